"""The override protocols of guest code, for the DXE core's ConnectController.

Source: UEFI 2.10 11.3 to 11.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import status_of
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import (
    EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL_GUID,
    EFI_DRIVER_FAMILY_OVERRIDE_PROTOCOL_GUID,
    EFI_PLATFORM_DRIVER_OVERRIDE_PROTOCOL_GUID,
    Guid,
)

_VERSION_MASK: Final = 0xFFFFFFFF
_MOST_DRIVERS: Final = 1024
"""Answers of one GetDriver(): firmware asks one that never fails for ever."""


class GuestDriverOverrides:
    """Caller of the functions of those protocols.

    Args:
        context: Guest memory.
        call: Calls guest code, as the context does.
    """

    def __init__(self, context: GuestContext, call: Callable[..., int]) -> None:
        self._context = context
        self._call = call

    def platform(self, controller: int) -> Iterator[int]:
        """EFI_PLATFORM_DRIVER_OVERRIDE_PROTOCOL.GetDriver() until it fails."""
        handles = self._context.services.handles.locate_handles(EFI_PLATFORM_DRIVER_OVERRIDE_PROTOCOL_GUID)
        for handle in handles[:1]:
            yield from self._drivers(handle, EFI_PLATFORM_DRIVER_OVERRIDE_PROTOCOL_GUID, controller)

    def bus_specific(self, controller: int) -> Iterator[int]:
        """EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL.GetDriver() until it fails."""
        yield from self._drivers(controller, EFI_BUS_SPECIFIC_DRIVER_OVERRIDE_PROTOCOL_GUID)

    def family_version(self, driver: int) -> int | None:
        """EFI_DRIVER_FAMILY_OVERRIDE_PROTOCOL.GetVersion()."""
        address = self._address(driver, EFI_DRIVER_FAMILY_OVERRIDE_PROTOCOL_GUID)
        if not address:
            return None
        return self._call(self._context.ram.u64(address), address) & _VERSION_MASK

    def _drivers(self, handle: int, protocol: Guid, *arguments: int) -> Iterator[int]:
        """What GetDriver(), the first function, stores, beginning with NULL, as long as it succeeds."""
        address = self._address(handle, protocol)
        if not address:
            return
        context = self._context
        cell = context.heap.allocate(8)
        context.ram.put_u64(cell, 0)
        try:
            for _ in range(_MOST_DRIVERS):
                if status_of(self._call(context.ram.u64(address), address, *arguments, cell)).is_error:
                    return
                yield context.ram.u64(cell)
        finally:
            context.heap.free(cell)

    def _address(self, handle: int, protocol: Guid) -> int:
        """Address of a guest's interface on a handle, 0 where there is none."""
        interface = self._context.services.handles.protocols(handle).get(protocol)
        return interface.address if isinstance(interface, GuestInterface) else 0
