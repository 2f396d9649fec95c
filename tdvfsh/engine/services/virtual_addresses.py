"""SetVirtualAddressMap and ConvertPointer: an operating system moves the runtime services to addresses of its own.

Source: UEFI 2.10 8.4; edk2 MdeModulePkg/Core/RuntimeDxe/Runtime.c for the order and the statuses.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.abi.system_table import SystemTables
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE
from tdvfsh.uefi.memory import EFI_MEMORY_RUNTIME
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT

_DESCRIPTOR: Final = struct.Struct("<I4xQQQQ")
_DESCRIPTOR_VERSION: Final = 1
_OPTIONAL_POINTER: Final = 1


class VirtualAddressServices:
    """The two services; they work once, after ExitBootServices.

    Args:
        context: Guest memory.
        tables: Their pointers change.
    """

    def __init__(self, context: GuestContext, tables: SystemTables) -> None:
        self._context = context
        self._tables = tables
        self._ram = context.ram
        self._map: list[tuple[int, int, int]] | None = None
        self._changing = False

    @service(service_names.SET_VIRTUAL_ADDRESS_MAP, "qqdq")
    def set_virtual_address_map(self, size: int, descriptor_size: int, version: int, address_map: int) -> EfiStatus:
        """EFI_SET_VIRTUAL_ADDRESS_MAP."""
        context = self._context
        if self._map is not None or not context.services.at_runtime:
            return EfiStatus.EFI_UNSUPPORTED
        if version != _DESCRIPTOR_VERSION or descriptor_size < _DESCRIPTOR.size:
            return EfiStatus.EFI_INVALID_PARAMETER
        found: list[tuple[int, int, int]] = []
        for at in range(address_map, address_map + size - descriptor_size + 1, descriptor_size):
            _, physical, virtual, pages, attribute = _DESCRIPTOR.unpack(self._ram.read(at, _DESCRIPTOR.size))
            if attribute & EFI_MEMORY_RUNTIME:
                found.append((physical, physical + (pages << PAGE_SHIFT), virtual))
        self._map, self._changing = found, True
        context.core.events.signal_group(EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE)
        self._tables.convert(self.convert)
        context.stubs.move(self.convert)
        self._changing = False
        return SUCCESS

    @property
    def address_map(self) -> list[tuple[int, int, int]] | None:
        """Physical start and end and virtual start of what the operating system has moved; None before it has."""
        return self._map

    def resume(self, address_map: list[tuple[int, int, int]] | None) -> None:
        """Continue with the map of a machine that was saved, whose tables in memory are as they were then."""
        self._map = address_map
        if address_map is not None:
            self._context.stubs.move(self.convert)

    def convert(self, address: int) -> int | None:
        """Where ``address`` is to be found from now on, or None where the map does not hold it."""
        for start, end, virtual in self._map or ():
            if start <= address < end:
                return address - start + virtual
        return None

    @service(service_names.CONVERT_POINTER, "qq")
    def convert_pointer(self, debug_disposition: int, address: int) -> EfiStatus:
        """EFI_CONVERT_POINTER."""
        if not self._changing:
            return EfiStatus.EFI_UNSUPPORTED
        if not address:
            return EfiStatus.EFI_INVALID_PARAMETER
        pointer = self._ram.u64(address)
        if not pointer:
            return SUCCESS if debug_disposition & _OPTIONAL_POINTER else EfiStatus.EFI_INVALID_PARAMETER
        converted = self.convert(pointer)
        if converted is None:
            return EfiStatus.EFI_NOT_FOUND
        self._ram.put_u64(address, converted)
        return SUCCESS
