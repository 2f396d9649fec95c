"""A TD whose RAM was accepted in part, with nothing else in it."""

from __future__ import annotations

from tdvfsh.accept.on_demand import on_demand_named
from tdvfsh.dxe.accept_protocol import TdxMemoryAccept
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import start_core
from tdvfsh.dxe.memory.bins import Bins
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.dxe.profile import RFC2021, FirmwareProfile
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID
from tdvfsh.uefi.memory import AddressSpan, EfiGcdMemoryType, EfiMemoryType
from tdvfsh.units import MIB

SYSTEM = EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory
UNACCEPTED = EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted
ANY, MAX, ADDRESS = 0, 1, 2
DATA = EfiMemoryType.EfiLoaderData


def lazy_td(
    memory: int,
    accepted: tuple[int, int] = (0, 16 * MIB),
    holes: tuple[tuple[int, int], ...] = (),
    on_demand: str = "none",
    profile: FirmwareProfile = RFC2021,
) -> BootServices:
    """A TD with ``memory`` bytes of RAM, of which ``accepted`` is Conventional and all else unaccepted.

    Args:
        memory: Bytes of RAM.
        accepted: ``(start, end)`` in bytes.
        holes: RAM that the GCD does not know, ``(start, end)``.
        on_demand: The option in force.
        profile: The firmware's rules.
    """
    ram = RamLayout.q35(memory)
    td = TrustDomain(ram, added=[AddressSpan(*accepted)])
    gcd = MemorySpaceMap()
    for span in ram.spans:
        at = span.start
        cuts = sorted([(*accepted, True), *((low, high, False) for low, high in holes)])
        for low, high, known in cuts:
            low, high = max(low, span.start), min(high, span.end)
            if low >= high:
                continue
            if at < low:
                gcd.add_memory_space(UNACCEPTED, at, low - at, 0)
            if known:
                gcd.add_memory_space(SYSTEM, low, high - low, 0)
            at = high
        if at < span.end:
            gcd.add_memory_space(UNACCEPTED, at, span.end - at, 0)
    entries = [MapEntry(*accepted, EfiMemoryType.EfiConventionalMemory, 0)]
    services = BootServices(start_core(profile, entries, Bins(), gcd), td, Trace())
    interface = TdxMemoryAccept(td, services.trace)
    services.handles.install_protocol_interface(None, EDKII_MEMORY_ACCEPT_PROTOCOL_GUID, interface)
    on_demand_named(on_demand).attach(services)
    return services


def conventional(services: BootServices) -> list[tuple[int, int, int]]:
    """Free pieces as ``(start, end, attribute)``."""
    return [
        (entry.start, entry.end, entry.attribute)
        for entry in services.core.memory_map
        if entry.memory_type == EfiMemoryType.EfiConventionalMemory
    ]
