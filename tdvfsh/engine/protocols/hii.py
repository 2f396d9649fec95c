"""EFI_HII_DATABASE_PROTOCOL and EFI_HII_STRING_PROTOCOL, as far as programs bring texts with them.

What is not needed here (forms, fonts, keyboard layouts, exporting) returns EFI_UNSUPPORTED.

Source: UEFI 2.10 34.3 and 34.8; edk2 MdeModulePkg/Universal/HiiDatabaseDxe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tdvfsh.engine.abi.buffers import fill_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.protocols.hii_strings import PACKAGE_STRINGS, StringPackage, packages_of, parse_string_package
from tdvfsh.uefi.guids import EFI_HII_DATABASE_PROTOCOL_GUID, EFI_HII_STRING_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_DATABASE: Final = "EFI_HII_DATABASE_PROTOCOL"
_STRING: Final = "EFI_HII_STRING_PROTOCOL"


@dataclass(slots=True)
class _PackageList:
    """One list: its owner, and its texts by language."""

    driver_handle: int
    strings: list[StringPackage] = field(default_factory=list)


class HiiProtocols:
    """Both protocols over one database."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram
        self._lists: dict[int, _PackageList] = {}

    def install(self) -> None:
        """Make the handle."""
        context = self._context
        structure, missing = context.interfaces.structure, context.interfaces.missing
        database = structure(
            [
                self.new_package_list, self.remove_package_list,
                *missing(_DATABASE, "UpdatePackageList", "ListPackageLists", "ExportPackageLists",
                         "RegisterPackageNotify", "UnregisterPackageNotify", "FindKeyboardLayouts",
                         "GetKeyboardLayout", "SetKeyboardLayout"),
                self.get_package_list_handle,
            ]
        )  # fmt: skip
        strings = structure(
            [
                *missing(_STRING, "NewString"), self.get_string, *missing(_STRING, "SetString"), self.get_languages,
                *missing(_STRING, "GetSecondaryLanguages"),
            ]
        )  # fmt: skip
        context.offer({EFI_HII_DATABASE_PROTOCOL_GUID: database, EFI_HII_STRING_PROTOCOL_GUID: strings})

    @service("EFI_HII_DATABASE_PROTOCOL.NewPackageList", "qqqq")
    def new_package_list(self, this: int, package_list: int, driver_handle: int, handle: int) -> EfiStatus:
        """Take a copy of a list's texts."""
        if not package_list or not handle:
            return _INVALID
        data = self._ram.read(package_list, self._ram.u32(package_list + 16))
        added = _PackageList(driver_handle)
        for kind, package in packages_of(data):
            if kind == PACKAGE_STRINGS:
                strings = parse_string_package(package)
                if strings is None:
                    return _INVALID
                added.strings.append(strings)
        key = self._context.heap.allocate(16)
        self._lists[key] = added
        self._ram.put_u64(handle, key)
        return SUCCESS

    @service("EFI_HII_DATABASE_PROTOCOL.RemovePackageList", "qq")
    def remove_package_list(self, this: int, handle: int) -> EfiStatus:
        """Forget a list."""
        if self._lists.pop(handle, None) is None:
            return EfiStatus.EFI_NOT_FOUND
        self._context.heap.free(handle)
        return SUCCESS

    @service("EFI_HII_DATABASE_PROTOCOL.GetPackageListHandle", "qqq")
    def get_package_list_handle(self, this: int, package_list_handle: int, driver_handle: int) -> EfiStatus:
        """The owner of a list."""
        known = self._lists.get(package_list_handle)
        if known is None or not driver_handle:
            return _INVALID
        self._ram.put_u64(driver_handle, known.driver_handle)
        return SUCCESS

    @service("EFI_HII_STRING_PROTOCOL.GetString", "qqqwqqq")
    def get_string(
        self, this: int, language: int, package_list: int, string_id: int, string: int, string_size: int,
        string_font_info: int,
    ) -> EfiStatus:  # fmt: skip
        """A text of one language."""
        known = self._lists.get(package_list)
        if not language or not string_id or not string_size:
            return _INVALID
        if known is None:
            return EfiStatus.EFI_NOT_FOUND
        wanted = self._ram.ascii(language)
        packages = [package for package in known.strings if package.language == wanted]
        text = next((package.texts[string_id] for package in packages if string_id in package.texts), None)
        if text is None:
            if any(string_id in package.texts for package in known.strings):
                return EfiStatus.EFI_INVALID_LANGUAGE
            return EfiStatus.EFI_NOT_FOUND
        status = fill_buffer(self._ram, string_size, string, (text + "\0").encode("utf-16-le"))
        if status is SUCCESS and string_font_info:
            self._ram.put_u64(string_font_info, 0)
        return status

    @service("EFI_HII_STRING_PROTOCOL.GetLanguages", "qqqq")
    def get_languages(self, this: int, package_list: int, languages: int, languages_size: int) -> EfiStatus:
        """Languages of a list, semicolons between."""
        known = self._lists.get(package_list)
        if known is None:
            return EfiStatus.EFI_NOT_FOUND
        if not languages_size:
            return _INVALID
        names = dict.fromkeys(package.language for package in known.strings)
        data = ";".join(names).encode("ascii", "replace") + b"\0"
        return fill_buffer(self._ram, languages_size, languages, data)
