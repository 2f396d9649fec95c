"""Devices in the address space of a plain VM, which reaches them by plain accesses."""

from __future__ import annotations

from functools import partial
from typing import Final

from tdvfsh.engine.devices.bus import DeviceBus
from tdvfsh.engine.devices.io_apic import ADDRESS, SIZE
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.tdx import SeptState

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


def _read_at(memory: DeviceBus, base: int, offset: int, size: int) -> int:
    return memory.read(base + offset, size)


def _write_at(memory: DeviceBus, base: int, offset: int, size: int, value: int) -> None:
    memory.write(base + offset, size, value)
