"""What a service or protocol of the firmware needs to serve guest code."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import DxeCore
from tdvfsh.engine.abi.device_paths import parse_device_path
from tdvfsh.engine.abi.interfaces import GuestDevicePath, GuestInterface, Interfaces
from tdvfsh.engine.abi.memory import FirmwareHeap
from tdvfsh.engine.abi.stubs import Stubs
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.guest_clock import GuestClock
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.machine import Machine
from tdvfsh.uefi.guids import Guid
from tdvfsh.units import MIB

SLICE: Final = 16 * MIB
"""Bytes that a service handles at once."""


@dataclass(slots=True, kw_only=True, eq=False)
class GuestContext:
    """Guest memory, the firmware's own memory in it, and the way back into guest code.

    It is made before every service and every protocol, and knows none of them.

    Attributes:
        machine: The machine whose firmware guest code calls.
        cpu: The processor.
        ram: Guest memory; accesses are checked against what is accepted.
        clock: Virtual time.
        heap: The firmware's own memory, for structures.
        stubs: Entry points of services.
        interfaces: Structures of protocol interfaces.
        call: Calls guest code with 64-bit arguments; returns RAX.
        wrote: Called after a service wrote ``(address, size)`` that may have held code.
        check_limit: Aborts the run where its time is over.
    """

    machine: Machine
    cpu: Cpu
    ram: GuestRam
    clock: GuestClock
    heap: FirmwareHeap
    stubs: Stubs
    interfaces: Interfaces
    call: Callable[..., int]
    wrote: Callable[[int, int], None]
    check_limit: Callable[[], None]
    _guids: dict[Guid, int] = field(default_factory=dict, init=False)

    @property
    def services(self) -> BootServices:
        """The boot services."""
        return self.machine.services

    @property
    def core(self) -> DxeCore:
        """The present DXE core: going back to a snapshot replaces it."""
        return self.machine.services.core

    def slices(self, size: int) -> Iterator[tuple[int, int]]:
        """``(offset, size)`` of the pieces in which a service works on a range that a guest chose.

        The host never holds more than one piece, and the run's time limit is looked at between them.
        """
        for offset in range(0, size, SLICE):
            if offset:
                self.check_limit()
            yield offset, min(SLICE, size - offset)

    def guid_address(self, guid: Guid) -> int:
        """Address of a GUID that stays where it is."""
        address = self._guids.get(guid)
        if address is None:
            address = self._guids[guid] = self.interfaces.structure([guid.bytes_le])
        return address

    def device_path(self, address: int) -> GuestDevicePath:
        """The device path that guest code keeps at ``address``."""
        return GuestDevicePath(parse_device_path(self.ram, address).nodes, address)

    def offer(self, protocols: dict[Guid, int]) -> None:
        """Put structures of the firmware's own on a new handle."""
        handle: int | None = None
        for guid, address in protocols.items():
            handle = self.services.handles.install_protocol_interface(handle, guid, GuestInterface(address)).handle
