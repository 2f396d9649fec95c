"""Accesses to memory that is not plain accepted RAM: shared pages, device registers, unaccepted pages."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.board.shared_alias import SharedAlias
from tdvfsh.engine.board.stopped_guest import VIRTUALIZATION, RunningGuest
from tdvfsh.engine.tdx import vmm as exits
from tdvfsh.engine.tdx.vcpu import VirtualizationInfo
from tdvfsh.engine.x86.page_walk import walk
from tdvfsh.engine.x86.stop import Stop
from tdvfsh.lazy_typing import Final
from tdvfsh.td.access import AccessKind, access
from tdvfsh.td.mapgpa import map_gpa
from tdvfsh.units import PAGE_SIZE, align_down

_RESERVED_BIT: Final = 1 << 3
_WRITE: Final = 1 << 1
_PROTECTION: Final = 1 << 0
_FETCH: Final = 1 << 4
_TRAP: Final = 1 << 8
_QUALIFICATIONS: Final = {"read": 1, "write": 2, "fetch": 4}


class MemoryFaults:
    """Emulation of accesses to shared pages, device registers and unaccepted pages.

    Args:
        guest: The guest.
        violation_ve: Deliver #VE for a page that is not accepted, whatever SEPT_VE_DISABLE says.
        map_device: Shows a plain VM's processor the device at an address; False where there is none new.
    """

    def __init__(self, guest: RunningGuest, violation_ve: bool, map_device: Callable[[int], bool]) -> None:
        self._guest = guest
        self._violation_ve = violation_ve
        self._map_device = map_device
        self._shared = SharedAlias(guest.td, guest.ram, guest.cpu)
        self._trapping = False

    @property
    def in_shared_access(self) -> bool:
        """Whether the guest is in an instruction that touches a shared page: it is let alone until that is over."""
        return self._shared.pointing

    def shared_access(self) -> bool:
        """Whether a page fault was for a page table entry's shared bit, which the emulator takes for a reserved one.

        Shared RAM is reached through its alias; a device's page is an EPT violation that becomes #VE. Where the page
        is private, QEMU converts it on its own and its contents are lost (accel/kvm/kvm-all.c, kvm_convert_memory).
        """
        guest = self._guest
        state, td = guest.state, guest.td
        if not state.error_code & _RESERVED_BIT:
            return False
        linear = state.control(2)
        found = walk(guest.ram.view, state.control(3), linear, td.shared_mask, state.control(4))
        if found is None or not found.physical & td.shared_mask:
            return False
        physical = found.physical & ~td.shared_mask
        if td.ram.contains(physical, physical + 1):
            if not td.shared.get(physical):
                self._convert(physical)
            self._shared.point(found)
            self._trapping = bool(state.system_flags & _TRAP)
            state.system_flags |= _TRAP
            state.exception_delivered()
            return True
        qualification = 1 << (1 if state.error_code & _WRITE else 0)
        guest.virtualization_exception(
            VirtualizationInfo(exits.EPT_VIOLATION, qualification, linear=linear, physical=found.physical)
        )
        return True

    def protected(self) -> bool:
        """Whether a page fault was for what firmware's page tables forbid: then the run ends; False for any other.

        Raises:
            GuestStopped: It was, in firmware of the host's.
        """
        guest, code = self._guest, self._guest.state.error_code
        if not guest.in_firmware or code & _RESERVED_BIT:
            return False
        address = guest.state.control(2)
        where = self._name(address)
        if code & _FETCH and code & _PROTECTION:
            guest.stop(f"jump to {where}, which is not executable", address, "fetch")
        if code & _WRITE and code & _PROTECTION:
            guest.stop(f"write to {where}, which is read-only", address, "write")
        if guest.td.ram.contains(address, address + 1) and not code & _PROTECTION:
            kind = "write" if code & _WRITE else "fetch" if code & _FETCH else "read"
            guest.stop(f"{kind} of {where}, which may not be read", address, kind)
        return False

    def _name(self, address: int) -> str:
        place, kind = self._guest.host.code.place(address), self._guest.host.memory_name(address)
        return f"{place} of {kind}" if kind else place

    def after_shared_access(self) -> None:
        """The one instruction is over, or could not be: the entry and the trap flag are the guest's again."""
        self._shared.restore()
        if not self._trapping:
            self._guest.state.system_flags &= ~_TRAP

    def _convert(self, physical: int) -> None:
        guest = self._guest
        guest.counts["implicit conversions"] += 1
        map_gpa(guest.td, align_down(physical, PAGE_SIZE) | guest.td.shared_mask, PAGE_SIZE)
        guest.hardware.converted()

    def untouchable(self, stop: Stop) -> None:
        """Memory that the processor does not see: it was accepted just now, or is not there: #VE, or the end.

        Raises:
            GuestStopped: The end.
        """
        guest, td, address, lowest = self._guest, self._guest.td, stop.address, self._guest.ram.lowest
        if guest.ram.accepted(address, stop.size) and guest.hardware.map_accepted():
            return
        if not td.is_td and self._map_device(address):
            return
        if td.ram.contains(address, address + 1) and address >= lowest:
            result = access(td, address, min(address + stop.size, td.ram.end))
            if result.kind is AccessKind.VIRTUALIZATION_EXCEPTION or self._violation_ve:
                guest.vcpus.current.td.virtualization = VirtualizationInfo(
                    exits.EPT_VIOLATION, _QUALIFICATIONS.get(stop.access, 0), linear=address, physical=address
                )
                if guest.deliver(VIRTUALIZATION):
                    return
            what = f"{stop.access} of memory that is not accepted, {address:#x}"
        elif address < lowest:
            what = f"{stop.access} through a NULL pointer, {address:#x}"
        else:
            what = f"{stop.access} of {address:#x}, where there is no RAM"
        guest.stop(what, address, stop.access)
