from __future__ import annotations

import pytest

from tdvfsh.dxe.accept_protocol import TdxMemoryAccept
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import start_core
from tdvfsh.dxe.memory.bins import Bins
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.dxe.profile import UPSTREAM
from tdvfsh.td.faults import FaultPlan
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID
from tdvfsh.uefi.memory import AddressSpan, EfiGcdMemoryType
from tdvfsh.uefi.tdx import TdcallStatus
from tdvfsh.units import MIB
from tests.dxe.machines import ANY, CONVENTIONAL, LOADER_DATA, RAM, page

ACCEPTED = 64 * MIB


def lazy_td(protocol: bool = True) -> BootServices:
    """128 MiB of RAM, the lower half accepted."""
    td = TrustDomain(RamLayout.q35(RAM), added=[AddressSpan(0, ACCEPTED)])
    gcd = MemorySpaceMap()
    gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, 0, ACCEPTED, 0)
    gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted, ACCEPTED, RAM - ACCEPTED, 0)
    services = BootServices(start_core(UPSTREAM, [MapEntry(0, ACCEPTED, CONVENTIONAL, 0)], Bins(), gcd), td, Trace())
    if protocol:
        interface = TdxMemoryAccept(td, services.trace)
        services.handles.install_protocol_interface(None, EDKII_MEMORY_ACCEPT_PROTOCOL_GUID, interface)
    return services


@pytest.mark.parametrize(
    ("start", "size", "status"),
    [
        (ACCEPTED, 0, "EFI_INVALID_PARAMETER"),
        (ACCEPTED + 1, 4096, "EFI_INVALID_PARAMETER"),
        (ACCEPTED, 4097, "EFI_INVALID_PARAMETER"),
        ((1 << 64) - 4096, 8192, "EFI_INVALID_PARAMETER"),
        (RAM, 4096, "EFI_NOT_FOUND"),
        (RAM - 4096, 8192, "EFI_NOT_FOUND"),
        (1 << 60, 4096, "EFI_NOT_FOUND"),
        (0, ACCEPTED, "EFI_SUCCESS"),
        (ACCEPTED - 4096, 8192, "EFI_SUCCESS"),
        (ACCEPTED, RAM - ACCEPTED, "EFI_SUCCESS"),
    ],
)
def test_each_range_has_its_status(start: int, size: int, status: str) -> None:
    assert lazy_td().accept_memory(start, size).name == status


def test_without_the_protocol_it_is_unsupported() -> None:
    assert lazy_td(protocol=False).accept_memory(ACCEPTED, 4096).name == "EFI_UNSUPPORTED"


def test_accepted_memory_leaves_the_gcd_as_unaccepted_and_is_free_in_the_map() -> None:
    services = lazy_td()
    services.accept_memory(ACCEPTED + 2 * MIB, 2 * MIB)
    assert services.unaccepted_bytes() == RAM - ACCEPTED - 2 * MIB == services.td.unaccepted_bytes
    entry = services.core.memory_map.find(ACCEPTED + 2 * MIB)
    assert entry is not None
    assert (entry.start, entry.end, entry.memory_type, entry.attribute) == (
        ACCEPTED + 2 * MIB, ACCEPTED + 4 * MIB, CONVENTIONAL, 0x80000,
    )  # fmt: skip


def test_the_key_changes_with_what_is_accepted_and_not_when_it_was_before() -> None:
    services = lazy_td()
    services.accept_memory(ACCEPTED, 2 * MIB)
    key = services.core.memory_map.key
    assert services.accept_memory(ACCEPTED, 2 * MIB).name == "EFI_SUCCESS"
    assert services.core.memory_map.key == key
    services.accept_memory(ACCEPTED, 4 * MIB)
    assert services.core.memory_map.key > key


def test_a_tdcall_that_fails_keeps_what_was_accepted_before_it() -> None:
    services = lazy_td()
    services.td.faults = FaultPlan(tdcalls={3: int(TdcallStatus.OPERAND_INVALID)})
    assert services.accept_memory(ACCEPTED, 8 * MIB).name == "EFI_DEVICE_ERROR"
    assert services.core.memory_map.type_at(ACCEPTED) == CONVENTIONAL
    assert services.unaccepted_bytes() == services.td.unaccepted_bytes > 0


def test_without_room_for_bookkeeping_nothing_changes() -> None:
    services = lazy_td()
    free = sum(end - start for start, end in services.core.memory_map.free_ranges()) // 4096
    services.allocate_pages(2, LOADER_DATA, free - 1, page(1))
    services.allocate_pages(2, LOADER_DATA, 1, 0)
    pages = sum(end - start for start, end in services.core.memory_map.free_ranges()) // 4096
    assert pages <= 1
    services.core.memory_map.convert_pages(0, 1, LOADER_DATA)
    assert services.allocate_pages(ANY, LOADER_DATA, 1, 0).status.name == "EFI_OUT_OF_RESOURCES"
    assert services.accept_memory(ACCEPTED, 4096).name == "EFI_OUT_OF_RESOURCES"
    assert services.unaccepted_bytes() == RAM - ACCEPTED
