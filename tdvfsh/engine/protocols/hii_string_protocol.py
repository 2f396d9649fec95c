"""EFI_HII_STRING_PROTOCOL over package lists.

Source: UEFI 2.10 34.3; edk2 MdeModulePkg/Universal/HiiDatabaseDxe/String.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping

from tdvfsh.engine.abi.buffers import fill_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.protocols.hii_database import Package, PackageList
from tdvfsh.engine.protocols.hii_strings import PACKAGE_STRINGS, StringPackage
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_LANGUAGE_NAME: Final = 1  # the first text of a language that is new
_LAST_NUMBER: Final = 0xFFFF
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_NOT_FOUND: Final = EfiStatus.EFI_NOT_FOUND


class HiiStringProtocol:
    """The texts of the package lists.

    Args:
        context: Guest memory.
        lists: Package lists by handle.
        changed: Called with handle, package and whether it is new when a text was added or set.
    """

    def __init__(
        self,
        context: GuestContext,
        lists: Mapping[int, PackageList],
        changed: Callable[[int, Package, bool], None],
    ) -> None:
        self._context = context
        self._ram = context.ram
        self._lists = lists
        self._changed = changed

    def structure(self) -> int:
        """Address of the protocol's structure."""
        return self._context.interfaces.structure(
            [self.new_string, self.get_string, self.set_string, self.get_languages, self.get_secondary_languages]
        )

    def _package(self, package_list: PackageList, language: str) -> Package | None:
        for package in package_list.packages:
            if package.strings is not None and package.strings.language.lower() == language.lower():
                return package
        return None

    @service("EFI_HII_STRING_PROTOCOL.NewString", "qqqqqsq")
    def new_string(
        self, this: int, package_list: int, string_id: int, language: int, language_name: int, string: int,
        string_font_info: int,
    ) -> EfiStatus:  # fmt: skip
        """Add a text under a number that no language of the list has; a language that is new is added, too."""
        known = self._lists.get(package_list)
        if not package_list or not string_id or not language or not string:
            return _INVALID
        if known is None:
            return _NOT_FOUND
        wanted = self._ram.ascii(language)
        number = max((number for one in known.strings for number in one.texts), default=_LANGUAGE_NAME) + 1
        if number > _LAST_NUMBER:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        package = self._package(known, wanted)
        is_new = package is None
        if package is None:
            name = self._ram.utf16(language_name) if language_name else wanted
            package = Package(PACKAGE_STRINGS, b"", StringPackage(wanted, {_LANGUAGE_NAME: name}))
            known.packages.append(package)
        assert package.strings is not None
        package.strings.set(number, self._ram.utf16(string))
        self._ram.write(string_id, struct.pack("<H", number))
        self._changed(package_list, package, is_new)
        return SUCCESS

    @service("EFI_HII_STRING_PROTOCOL.GetString", "qqqwqqq")
    def get_string(
        self, this: int, language: int, package_list: int, string_id: int, string: int, string_size: int,
        string_font_info: int,
    ) -> EfiStatus:  # fmt: skip
        """A text of one language."""
        known = self._lists.get(package_list)
        if not language or not package_list or not string_id or not string_size:
            return _INVALID
        if self._ram.u64(string_size) and not string:
            return _INVALID
        if known is None:
            return _NOT_FOUND
        package = self._package(known, self._ram.ascii(language))
        text = package.strings.texts.get(string_id) if package is not None and package.strings is not None else None
        if text is None:
            if any(string_id in one.texts for one in known.strings):
                return EfiStatus.EFI_INVALID_LANGUAGE
            return _NOT_FOUND
        status = fill_buffer(self._ram, string_size, string, (text + "\0").encode("utf-16-le", "surrogatepass"))
        if status is SUCCESS and string_font_info:
            self._ram.put_u64(string_font_info, 0)
        return status

    @service("EFI_HII_STRING_PROTOCOL.SetString", "qqwqsq")
    def set_string(
        self, this: int, package_list: int, string_id: int, language: int, string: int, string_font_info: int
    ) -> EfiStatus:
        """Replace a text of one language."""
        known = self._lists.get(package_list)
        if not package_list or not string_id or not language or not string:
            return _INVALID
        package = self._package(known, self._ram.ascii(language)) if known is not None else None
        if package is None or package.strings is None or string_id not in package.strings.texts:
            return _NOT_FOUND
        package.strings.set(string_id, self._ram.utf16(string))
        self._changed(package_list, package, False)
        return SUCCESS

    @service("EFI_HII_STRING_PROTOCOL.GetLanguages", "qqqq")
    def get_languages(self, this: int, package_list: int, languages: int, languages_size: int) -> EfiStatus:
        """Languages of a list with their secondary ones, semicolons between."""
        known = self._lists.get(package_list)
        if not package_list or not languages_size or (self._ram.u64(languages_size) and not languages):
            return _INVALID
        if known is None:
            return _NOT_FOUND
        names = dict.fromkeys(one.languages for one in known.strings)
        data = ";".join(names).encode("ascii", "replace") + b"\0"
        return fill_buffer(self._ram, languages_size, languages, data)

    @service("EFI_HII_STRING_PROTOCOL.GetSecondaryLanguages", "qqqqq")
    def get_secondary_languages(
        self, this: int, package_list: int, primary_language: int, secondary_languages: int,
        secondary_languages_size: int,
    ) -> EfiStatus:  # fmt: skip
        """The secondary languages of a language, semicolons between."""
        known = self._lists.get(package_list)
        if not package_list or not primary_language or not secondary_languages_size:
            return _INVALID
        if self._ram.u64(secondary_languages_size) and not secondary_languages:
            return _INVALID
        if known is None:
            return _NOT_FOUND
        package = self._package(known, self._ram.ascii(primary_language))
        if package is None or package.strings is None:
            return EfiStatus.EFI_INVALID_LANGUAGE
        rest = package.strings.languages.partition(";")[2].encode("ascii", "replace") + b"\0"
        return fill_buffer(self._ram, secondary_languages_size, secondary_languages, rest)
