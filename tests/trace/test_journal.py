"""The journal: what caused what, who called, and which call gave a placement its memory."""

from __future__ import annotations

from tdvfsh.td.clock import VirtualClock
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import (
    KINDS,
    NO_PARENT,
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    FreePoolCall,
    LoadImageCall,
    PageAccept,
    ServiceCall,
)
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB, PAGE_SIZE

DATA = EfiMemoryType.EfiLoaderData


def _allocate(trace: Trace, start: int, pages: int = 1, status: EfiStatus = SUCCESS) -> AllocatePagesCall:
    record = AllocatePagesCall(0, DATA, pages, 0)
    record.memory = start
    return trace.add(record, status)


def test_what_is_written_inside_a_call_is_its_child() -> None:
    trace = Trace()
    outer = trace.enter("StartImage")
    inner = trace.begin(AllocatePagesCall(0, DATA, 1, 0))
    leaf = trace.note("Stall")
    trace.end(inner, SUCCESS)
    trace.leave(outer, SUCCESS, exit_data=None)
    after = trace.note("Exit")
    assert [record.parent for record in trace] == [NO_PARENT, outer.number, inner.number, NO_PARENT]
    assert trace.children(outer.number) == [inner]
    assert (leaf.number, after.number, len(trace)) == (2, 3, 4)


def test_closing_a_call_closes_what_was_left_open_inside_it() -> None:
    trace = Trace()
    outer = trace.enter("StartImage")
    trace.enter("Never returns")
    trace.leave(outer, EfiStatus.EFI_ABORTED)
    assert trace.note("Stall").parent == NO_PARENT
    assert trace.records[1].status is None
    assert not trace.records[1].failed
    assert not trace.records[1].succeeded


def test_records_have_the_time_and_the_caller_of_their_beginning() -> None:
    clock = VirtualClock(5)
    trace = Trace(clock)
    with trace.on_behalf_of("stub"):
        record = trace.enter("Stall")
        clock.advance(4)
        trace.leave(record, SUCCESS)
    assert (record.time_ns, record.caller) == (5, "stub")
    assert trace.note("Stall").caller == "shell"


def test_a_placement_names_the_last_call_that_gave_its_memory() -> None:
    trace = Trace()
    _allocate(trace, MIB)
    _allocate(trace, MIB, status=EfiStatus.EFI_NOT_FOUND)
    assert trace.place("kernel", MIB, 2 * MIB, DATA).made_by == 0
    pool = AllocatePoolCall(DATA, 100)
    pool.buffer = 0x1018
    trace.add(pool)
    assert trace.place("initrd", 0x1018, 0x107C, DATA).made_by == pool.number
    image = LoadImageCall(None, 10)
    image.image_base = 4 * MIB
    trace.add(image)
    assert trace.place("image", 4 * MIB, 5 * MIB, DATA).made_by == image.number
    assert trace.place("inside", 4 * MIB + PAGE_SIZE, 5 * MIB, DATA).made_by is None


def test_memory_that_was_freed_or_used_since_gives_nothing_more() -> None:
    trace = Trace()
    _allocate(trace, MIB)
    trace.add(FreePagesCall(MIB, 1))
    assert trace.place("kernel", MIB, 2 * MIB, DATA).made_by is None
    _allocate(trace, 4 * MIB)
    trace.place("heap", 4 * MIB, 5 * MIB, DATA)
    assert trace.place("kernel", 4 * MIB, 5 * MIB, DATA).made_by is None


def test_a_placement_that_is_gone_names_the_call_that_freed_it() -> None:
    trace = Trace()
    _allocate(trace, MIB, 4)
    placed = trace.place("kernel", MIB + PAGE_SIZE, 2 * MIB, DATA)
    other = trace.add(FreePagesCall(8 * MIB, 4))
    freed = trace.add(FreePagesCall(MIB, 4))
    gone = trace.unplace(placed)
    assert (gone.placement, gone.freed_by, gone.what) == (placed.number, freed.number, "kernel")
    assert gone.freed_by != other.number
    early = trace.place("image", 3 * MIB, 4 * MIB, DATA)
    assert trace.unplace(early).freed_by is None
    pool = trace.place("file_buffer", 0x2018, 0x3000, DATA)
    freed_pool = trace.add(FreePoolCall(0x2018))
    assert trace.unplace(pool).freed_by == freed_pool.number


def test_a_record_is_plain_values_by_the_specification_s_names() -> None:
    trace = Trace()
    record = AllocatePagesCall(2, 0x80000001, 16, MIB)
    trace.add(record, EfiStatus.EFI_NOT_FOUND)
    assert record.as_dict() == {
        "kind": "allocate_pages",
        "number": 0,
        "parent": -1,
        "time_ns": 0,
        "caller": "shell",
        "service": "AllocatePages",
        "arguments": {
            "allocate_type": "AllocateAddress", "memory_type": "0x80000001", "pages": 16, "memory": MIB,
        },
        "status": "EFI_NOT_FOUND",
        "results": {},
    }  # fmt: skip
    assert repr(record).startswith("<AllocatePages(allocate_type='AllocateAddress', ")
    assert repr(trace.enter("Stall")) == "<Stall(): running>"


def test_every_kind_has_a_name_and_fields_of_its_own() -> None:
    assert len(KINDS) == len({kind.service for kind in KINDS.values() if kind is not ServiceCall}) + 1
    for name, kind in KINDS.items():
        assert name == kind.KIND
        assert kind.__doc__
        names = [field.name for field in kind.ARGUMENTS]
        assert len(names) == len(set(names))


def test_an_accept_s_range_is_what_is_accepted_behind_it() -> None:
    trace = Trace()
    done = PageAccept(MIB, 3 * PAGE_SIZE + 5)
    trace.add(done)
    assert done.accepted == (MIB, MIB + 3 * PAGE_SIZE)
    failed = PageAccept(MIB, 8 * PAGE_SIZE)
    failed.pages_4k = 2
    trace.add(failed, EfiStatus.EFI_INVALID_PARAMETER)
    assert failed.accepted == (MIB, MIB + 2 * PAGE_SIZE)
    none = trace.add(PageAccept(MIB, PAGE_SIZE), EfiStatus.EFI_INVALID_PARAMETER)
    assert none.accepted is None
