"""From unaccepted to Conventional: the DXE core's side of accepting memory.

:func:`accept_memory` is the boot service AcceptMemory() that the 2021 "TDVF Lazy Page Accept" RFC proposed as option 3;
the RFC does not specify it, so its statuses are this project's. :func:`take_into_map` is what it shares with option 1.
"""

from __future__ import annotations

from tdvfsh.dxe.protocols import MemoryAccept
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID
from tdvfsh.uefi.memory import EFI_MEMORY_CPU_CRYPTO, EFI_MEMORY_RUNTIME, EfiGcdMemoryType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import PAGE_SIZE, align_down

if TYPE_CHECKING:
    from tdvfsh.dxe.memory_services import MemoryServices

_UNACCEPTED: Final = EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted
_RAM: Final = frozenset({_UNACCEPTED, EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory})
_GCD_MAP_ENTRY_SIZE: Final = 0x60  # sizeof (EFI_GCD_MAP_ENTRY)
_MAX: Final = (1 << 64) - 1


def accept_memory(services: MemoryServices, start_address: int, size: int) -> EfiStatus:
    """Accept ``[start_address, start_address + size)`` and let the allocators use it.

    Parts that were accepted before are left alone.

    Returns:
        EFI_SUCCESS: The whole range is accepted now.
        EFI_INVALID_PARAMETER: Start or size off the 4 KiB page, size 0, or a range that wraps.
        EFI_UNSUPPORTED: No accept protocol is installed.
        EFI_NOT_FOUND: Some of the range is not RAM that the GCD knows.
        EFI_OUT_OF_RESOURCES: No memory for the bookkeeping; nothing changed.
        EFI_DEVICE_ERROR: A TDCALL failed; what was accepted before it stays accepted and is in the map.
    """
    end = start_address + size
    if start_address % PAGE_SIZE or size % PAGE_SIZE or size <= 0 or start_address < 0 or end - 1 > _MAX:
        return EfiStatus.EFI_INVALID_PARAMETER
    protocol = accept_protocol(services)
    if protocol is None:
        return EfiStatus.EFI_UNSUPPORTED
    if end > services.gcd.limit or any(
        entry.memory_type not in _RAM for entry in services.gcd.covering(start_address, end)
    ):
        return EfiStatus.EFI_NOT_FOUND
    pieces = [
        (max(entry.start, start_address), min(entry.end, end))
        for entry in services.gcd.covering(start_address, end)
        if entry.memory_type == _UNACCEPTED
    ]
    if pieces and not has_room_for_bookkeeping(services):
        return EfiStatus.EFI_OUT_OF_RESOURCES
    for low, high in pieces:
        status = protocol.accept_memory(low, high - low)
        if status.is_error:
            accepted_end = mapped_until(services.td, low, high)
            if accepted_end > low:
                take_into_map(services, low, align_down(accepted_end, PAGE_SIZE))
            return EfiStatus.EFI_DEVICE_ERROR
        take_into_map(services, low, high)
    return SUCCESS


def accept_protocol(services: MemoryServices) -> MemoryAccept | None:
    """The accept protocol's interface, or None where no driver installed it."""
    interface = services.handles.locate_protocol(EDKII_MEMORY_ACCEPT_PROTOCOL_GUID).interface
    return interface if isinstance(interface, MemoryAccept) else None


def mapped_until(td: TrustDomain, start: int, end: int) -> int:
    """The first byte of ``[start, end)`` whose page the secure EPT does not hold as MAPPED; ``end`` if all are."""
    for low, _, entry in td.sept.spans(start, end):
        if entry.state is not SeptState.MAPPED:
            return low
    return end


def has_room_for_bookkeeping(services: MemoryServices) -> bool:
    """Whether the pool can still provide the two GCD map entries that splitting a range takes."""
    pool = services.core.pool
    entries = [pool.allocate_pool(EfiMemoryType.EfiBootServicesData, _GCD_MAP_ENTRY_SIZE) for _ in range(2)]
    for entry in reversed(entries):
        if entry.buffer:
            pool.free_pool(entry.buffer)
    return all(entry.buffer for entry in entries)


def take_into_map(services: MemoryServices, start: int, end: int) -> None:
    """Turn accepted ``[start, end)`` from Unaccepted into SystemMemory, and its pages into Conventional memory.

    The new descriptor's attribute is CPU_CRYPTO, unlike that of memory accepted at boot, so the two never join.
    """
    gcd = services.gcd
    gcd.remove_memory_space(start, end - start)
    gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, start, end - start, EFI_MEMORY_CPU_CRYPTO)
    services.core.memory_map.add_range(
        EfiMemoryType.EfiConventionalMemory, start, end, EFI_MEMORY_CPU_CRYPTO & ~EFI_MEMORY_RUNTIME
    )
