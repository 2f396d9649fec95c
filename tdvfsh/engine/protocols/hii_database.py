"""Package lists of the human interface infrastructure, without the protocols over them.

Source: UEFI 2.10 33.3 (packages) and 34.8 (database); edk2 MdeModulePkg/Universal/HiiDatabaseDxe/Database.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tdvfsh.engine.protocols.hii_strings import PACKAGE_STRINGS, StringPackage, packages_of, parse_string_package
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import Guid

PACKAGE_ALL: Final = 0x00
PACKAGE_GUID: Final = 0x01
PACKAGE_DEVICE_PATH: Final = 0x08
PACKAGE_KEYBOARD_LAYOUT: Final = 0x09
_END_PACKAGE: Final = struct.pack("<I", 4 | 0xDF << 24)
_LIST_HEADER: Final = struct.Struct("<16sI")
_PACKAGE_HEADER: Final = 4
_GUID_SIZE: Final = 16


@dataclass(slots=True)
class Package:
    """A package: its type, and its bytes with the header, or its texts."""

    kind: int
    data: bytes
    strings: StringPackage | None = None

    def pack(self) -> bytes:
        """The package's bytes."""
        return self.data if self.strings is None else self.strings.pack()

    @property
    def guid(self) -> Guid | None:
        """The GUID of a package of that type."""
        end = _PACKAGE_HEADER + _GUID_SIZE
        if self.kind != PACKAGE_GUID or len(self.data) < end:
            return None
        return Guid(bytes_le=self.data[_PACKAGE_HEADER:end])

    def is_of(self, kind: int, guid: Guid | None) -> bool:
        """Whether a type, or all, with the GUID of a package of that type, means this package."""
        return kind in (PACKAGE_ALL, self.kind) and (guid is None or guid == self.guid)


@dataclass(slots=True)
class PackageList:
    """A package list: its GUID, the handle of its driver, and its packages."""

    guid: Guid
    driver_handle: int
    packages: list[Package] = field(default_factory=list)

    @property
    def strings(self) -> list[StringPackage]:
        """The string packages."""
        return [package.strings for package in self.packages if package.strings is not None]

    def pack(self) -> bytes:
        """The list's bytes, its end package included."""
        body = b"".join(package.pack() for package in self.packages) + _END_PACKAGE
        return _LIST_HEADER.pack(self.guid.bytes_le, _LIST_HEADER.size + len(body)) + body

    def layouts(self) -> Iterator[tuple[Guid, bytes]]:
        """Keyboard layouts by GUID."""
        for package in self.packages:
            if package.kind == PACKAGE_KEYBOARD_LAYOUT:
                yield from _layouts(package.data)


def parse_packages(package_list: bytes) -> list[Package] | None:
    """The packages of a list's bytes; None where a string package is malformed."""
    found = []
    for kind, data in packages_of(package_list):
        strings = parse_string_package(data) if kind == PACKAGE_STRINGS else None
        if kind == PACKAGE_STRINGS and strings is None:
            return None
        found.append(Package(kind, data, strings))
    return found


def list_guid(package_list: bytes) -> Guid:
    """The GUID of a list's bytes."""
    return Guid(bytes_le=package_list[:_GUID_SIZE])


def device_path_package(path: bytes) -> Package:
    """The package that names where a list's driver is."""
    header = struct.pack("<I", _PACKAGE_HEADER + len(path) | PACKAGE_DEVICE_PATH << 24)
    return Package(PACKAGE_DEVICE_PATH, header + path)


def _layouts(package: bytes) -> Iterator[tuple[Guid, bytes]]:
    at, count = _PACKAGE_HEADER + 2, int.from_bytes(package[_PACKAGE_HEADER : _PACKAGE_HEADER + 2], "little")
    for _ in range(count):
        length = int.from_bytes(package[at : at + 2], "little")
        if length < 2 + _GUID_SIZE or at + length > len(package):
            return
        yield Guid(bytes_le=package[at + 2 : at + 2 + _GUID_SIZE]), package[at : at + length]
        at += length
