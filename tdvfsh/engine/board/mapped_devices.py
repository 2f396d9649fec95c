"""Devices in the address space of a plain VM, which reaches them by plain accesses."""

from __future__ import annotations

from functools import partial

from tdvfsh.engine.devices.bus import DeviceBus
from tdvfsh.engine.devices.io_apic import ADDRESS, SIZE
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.lazy_typing import Final
from tdvfsh.td.ranges import RangeMap
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import PAGE_SIZE, align_down, align_up

_4_GIB: Final = 1 << 32


def map_devices(cpu: Cpu, td: TrustDomain, memory: DeviceBus) -> None:
    """Show the devices wherever there is no RAM below 4 GiB, no firmware, and no I/O APIC, which is mapped already."""
    spans = td.sept.spans(td.ram.low.end, _4_GIB)
    taken = [(start, end) for start, end, entry in spans if entry.state is SeptState.MAPPED]
    taken += [(ADDRESS, ADDRESS + SIZE), (_4_GIB, _4_GIB)]
    at = td.ram.low.end
    for start, end in sorted(taken):
        if at < start:
            cpu.map_device(at, start - at, partial(_read_at, memory, at), partial(_write_at, memory, at))
        at = max(at, end)


class DevicesOnDemand:
    """Devices that are mapped when they are touched: base addresses are put above 4 GiB, and wherever a system likes.

    Args:
        cpu: The processor.
        memory: The devices by address.

    Attributes:
        mapped: Pages that were mapped.
    """

    def __init__(self, cpu: Cpu, memory: DeviceBus) -> None:
        self._cpu = cpu
        self._memory = memory
        self.mapped: RangeMap[bool] = RangeMap()

    def map_at(self, address: int) -> bool:
        """Map the pages of the device at an address; False where there is none, or it is mapped already."""
        region = self._memory.overlapping(address, 1)
        if region is None or self.mapped.get(address):
            return False
        for start, end in _gaps(self.mapped, align_down(region.start, PAGE_SIZE), align_up(region.end, PAGE_SIZE)):
            self.map_range(start, end)
        return True

    def map_range(self, start: int, end: int) -> None:
        """Map pages that are not mapped, whatever device is there."""
        read, write = partial(_read_at, self._memory, start), partial(_write_at, self._memory, start)
        self._cpu.map_device(start, end - start, read, write)
        self.mapped.set(start, end, True)


def _gaps(mapped: RangeMap[bool], start: int, end: int) -> list[tuple[int, int]]:
    """The parts of ``[start, end)`` that are not mapped."""
    gaps, at = [], start
    for low, high, _ in [*mapped.spans(start, end), (end, end, True)]:
        if at < low:
            gaps.append((at, low))
        at = high
    return gaps


def _read_at(memory: DeviceBus, base: int, offset: int, size: int) -> int:
    return memory.read(base + offset, size)


def _write_at(memory: DeviceBus, base: int, offset: int, size: int, value: int) -> None:
    memory.write(base + offset, size, value)
