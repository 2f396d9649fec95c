"""What services and protocols work with: made before all of them, over a board alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface, Interfaces
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.runs.layout import lay_out
from tdvfsh.engine.services.memory_services import MemoryServices
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.uefi.device_path import DevicePath, Pci, PciRoot
from tdvfsh.uefi.guids import EFI_BLOCK_IO_PROTOCOL_GUID, EFI_DISK_IO_PROTOCOL_GUID, EFI_RNG_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tests.engine.board.test_board import BareHost


def refuse(*arguments: int) -> int:
    """No guest code runs in these tests."""
    raise AssertionError(arguments)


@pytest.fixture
def context() -> Iterator[GuestContext]:
    """A context without any firmware for guest code around it."""
    machine = Machine(TdOptions())
    board = Board(machine.td, machine.trace, BareHost())
    layout = lay_out(machine, board)
    yield GuestContext(
        machine=machine,
        cpu=board.cpu,
        ram=board.ram,
        clock=board.clock,
        heap=layout.heap,
        stubs=layout.stubs,
        interfaces=Interfaces(board.ram, layout.heap, layout.stubs),
        call=refuse,
        wrote=board.wrote,
        check_limit=board.check_limit,
    )
    board.close()


def handles(context: GuestContext) -> HandleDatabase:
    """The handles of the machine."""
    return context.services.handles


def test_a_guid_stays_where_it_was_put(context: GuestContext) -> None:
    first = context.guid_address(EFI_BLOCK_IO_PROTOCOL_GUID)
    other = context.guid_address(EFI_DISK_IO_PROTOCOL_GUID)
    assert context.guid_address(EFI_BLOCK_IO_PROTOCOL_GUID) == first != other
    assert context.ram.guid(first) == EFI_BLOCK_IO_PROTOCOL_GUID
    assert context.ram.guid(other) == EFI_DISK_IO_PROTOCOL_GUID


def test_structures_of_the_firmware_share_a_new_handle(context: GuestContext) -> None:
    before = set(handles(context))
    context.offer({EFI_RNG_PROTOCOL_GUID: 0x1000, EFI_DISK_IO_PROTOCOL_GUID: 0x2000})
    (handle,) = set(handles(context)) - before
    assert handles(context).protocols(handle) == {
        EFI_RNG_PROTOCOL_GUID: GuestInterface(0x1000),
        EFI_DISK_IO_PROTOCOL_GUID: GuestInterface(0x2000),
    }


def test_a_device_path_of_the_guest_s_knows_where_it_is(context: GuestContext) -> None:
    path = DevicePath((PciRoot(0), Pci(31, 2)))
    address = context.interfaces.structure([path.pack()])
    found = context.device_path(address)
    assert (found.nodes, found.address) == (path.nodes, address)


def test_the_core_is_the_present_one_after_going_back_to_a_snapshot(context: GuestContext) -> None:
    machine = context.machine
    snapshot = machine.snapshot()
    context.core.configuration_tables[EFI_RNG_PROTOCOL_GUID] = 0x1000
    machine.restore(snapshot)
    assert context.core is machine.services.core
    assert EFI_RNG_PROTOCOL_GUID not in context.core.configuration_tables


def test_a_service_needs_nothing_but_a_context(context: GuestContext) -> None:
    pointer = context.heap.allocate(8)
    services = MemoryServices(context)
    kind, memory_type = EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData
    assert services.allocate_pages(kind, memory_type, 1, pointer) is SUCCESS
    entry = context.core.memory_map.find(context.ram.u64(pointer))
    assert entry is not None
    assert entry.memory_type == memory_type
