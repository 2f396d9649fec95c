"""EFI_SYSTEM_TABLE, EFI_BOOT_SERVICES and EFI_RUNTIME_SERVICES in guest memory, with their checksums.

Source: UEFI 2.10 chapter 4; AcceptMemory follows CreateEventEx, and ``Hdr.HeaderSize`` grows with it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import Service, unsupported
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.service_names import BOOT_SERVICES, RUNTIME_SERVICES

REVISION: Final = 2 << 16 | 70
VENDOR: Final = "tdvfsh"

_HEADER: Final = struct.Struct("<8sIIII")
_CRC_OFFSET: Final = 16
_SYSTEM_TABLE_SIZE: Final = 120
_VENDOR_OFFSET: Final = 24
_RUNTIME_OFFSET: Final = 88
_CONFIGURATION_OFFSET: Final = 104
_MAXIMUM_TABLES: Final = 64
_WORD: Final = 8


class SystemTables:
    """The three tables.

    Args:
        context: Guest memory.
        area: Address in runtime memory for the system table, the runtime services and the configuration tables:
            ``SIZE`` bytes, of which the first ``USED`` are theirs.

    Attributes:
        system_table: Address of EFI_SYSTEM_TABLE.
        boot_services: Address of EFI_BOOT_SERVICES.
        runtime_services: Address of EFI_RUNTIME_SERVICES.
    """

    SIZE: Final = 0x1000
    USED: Final = 0xA00

    def __init__(self, context: GuestContext, area: int) -> None:
        self._context = context
        self._ram = context.ram
        self.system_table = area
        self.runtime_services = area + 0x100
        self._vendor = area + 0x200
        self._configuration = area + 0x300
        self.boot_services = context.heap.allocate(_HEADER.size + _WORD * len(BOOT_SERVICES))

    def service_address(self, name: str) -> int | None:
        """Where a service's code begins, as its table has it; None for no such service."""
        for table, names in ((self.boot_services, BOOT_SERVICES), (self.runtime_services, RUNTIME_SERVICES)):
            if name in names:
                at = table + _HEADER.size + _WORD * names.index(name)
                return int.from_bytes(self._ram.view[at : at + _WORD], "little")
        return None

    def write_services(self, services: dict[str, Service]) -> None:
        """Write EFI_BOOT_SERVICES and EFI_RUNTIME_SERVICES; a service that is missing answers EFI_UNSUPPORTED."""
        self._table(self.boot_services, b"BOOTSERV", BOOT_SERVICES, services)
        self._table(self.runtime_services, b"RUNTSERV", RUNTIME_SERVICES, services)
        self._ram.write(self._vendor, (VENDOR + "\0").encode("utf-16-le"))

    def write_system_table(self, console: tuple[int, int, int, int, int, int]) -> None:
        """Write EFI_SYSTEM_TABLE with the console's handles and interfaces: in, out, error."""
        fields = struct.pack("<QI4x6QQQ", self._vendor, 1 << 16, *console, self.runtime_services, self.boot_services)
        header = _HEADER.pack(b"IBI SYST", REVISION, _SYSTEM_TABLE_SIZE, 0, 0)
        self._ram.write(self.system_table, header + fields + bytes(16))
        self._context.core.system_table = self.system_table
        self.update_configuration_tables()

    def update_configuration_tables(self) -> None:
        """Write the array of configuration tables again, and the system table's count and checksum."""
        tables = list(self._context.core.configuration_tables.items())[:_MAXIMUM_TABLES]
        data = b"".join(guid.bytes_le + struct.pack("<Q", address) for guid, address in tables)
        self._ram.write(self._configuration, data)
        self._ram.write(self.system_table + _CONFIGURATION_OFFSET, struct.pack("<QQ", len(tables), self._configuration))
        self._checksum(self.system_table, _SYSTEM_TABLE_SIZE)

    def convert(self, convert: Callable[[int], int | None]) -> None:
        """Pointers of the runtime services and of the system table, as SetVirtualAddressMap changes them."""
        size = _HEADER.size + _WORD * len(RUNTIME_SERVICES)
        places = list(range(self.runtime_services + _HEADER.size, self.runtime_services + size, _WORD))
        places += [
            self.system_table + offset for offset in (_VENDOR_OFFSET, _RUNTIME_OFFSET, _CONFIGURATION_OFFSET + 8)
        ]
        for place in places:
            there = convert(self._ram.u64(place))
            if there is not None:
                self._ram.put_u64(place, there)
        self._checksum(self.runtime_services, size)
        self._checksum(self.system_table, _SYSTEM_TABLE_SIZE)

    def _table(self, address: int, signature: bytes, names: tuple[str, ...], services: dict[str, Service]) -> None:
        stubs = self._context.stubs
        pointers = [stubs.add(services.get(name) or unsupported(name)) for name in names]
        size = _HEADER.size + _WORD * len(pointers)
        self._ram.write(
            address, _HEADER.pack(signature, REVISION, size, 0, 0) + struct.pack(f"<{len(pointers)}Q", *pointers)
        )
        self._checksum(address, size)

    def _checksum(self, address: int, size: int) -> None:
        self._ram.put_u32(address + _CRC_OFFSET, 0)
        self._ram.put_u32(address + _CRC_OFFSET, zlib.crc32(self._ram.read(address, size)))
