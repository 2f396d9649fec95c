"""Who has a physical address: its page, the map's range, the code there, what allocated and accepted it."""

from __future__ import annotations

from tdvfsh.engine.debug.scene import Scene
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.introspect.describe import page_state
from tdvfsh.trace.records import (
    AcceptMemoryCall,
    AllocatePagesCall,
    AllocatePoolCall,
    BootAccept,
    FreePagesCall,
    FreePoolCall,
    LoadImageCall,
    PageAccept,
    PlacementGone,
    PlacementMade,
    TraceRecord,
)
from tdvfsh.uefi.memory import memory_type_name
from tdvfsh.units import PAGE_SHIFT


def who_lines(scene: Scene, address: int) -> list[str]:
    """All that is known of a physical address, a line each."""
    td = scene.board.td
    lines = [f"page      {page_state(td, address)}"]
    try:
        for entry in scene.memory_map():
            end = entry.physical_start + (entry.number_of_pages << PAGE_SHIFT)
            if entry.physical_start <= address < end:
                lines.append(f"map       {memory_type_name(entry.memory_type)} {entry.physical_start:#x}-{end:#x}")
    except EngineError:
        pass
    for image in scene.images():
        if image.start <= address < image.end:
            lines.append(f"image     {image.name}+{address - image.start:#x}")
    records = scene.trace.records
    lines += [f"placed    {each.what} {each.start:#x}-{each.end:#x}" for each in _placed(records, address)]
    owner = _owner(records, address)
    if owner is not None:
        lines.append(f"allocated {_call(owner)}" if not _frees(owner) else f"freed     {_call(owner)}")
    accept = next((record for record in reversed(records) if _accepts(record, address)), None)
    if accept is not None:
        lines.append(f"accepted  {_call(accept)}")
    return lines


def _call(record: TraceRecord) -> str:
    start, end = _range(record) or (0, 0)
    vcpu = f" on vCPU {record.vcpu}" if isinstance(record, PageAccept) else ""
    return (
        f"by {record.caller}: {record.service} {start:#x}-{end:#x}{vcpu}, record {record.number}, "
        f"{record.time_ns / 1e6:.3f} ms"
    )


def _frees(record: TraceRecord) -> bool:
    return isinstance(record, FreePagesCall | FreePoolCall)


def _range(record: TraceRecord) -> tuple[int, int] | None:
    if isinstance(record, AllocatePagesCall | AllocatePoolCall | FreePagesCall | FreePoolCall):
        return record.range
    if isinstance(record, PageAccept):
        return record.start, record.start + record.size
    if isinstance(record, AcceptMemoryCall):
        return record.start_address, record.start_address + record.size
    if isinstance(record, BootAccept):
        return 0, record.end_address
    if isinstance(record, LoadImageCall) and record.image_base is not None:
        return record.image_base, record.image_base + (record.image_size or 0)
    return None


def _holds(record: TraceRecord, address: int) -> bool:
    span = _range(record)
    return span is not None and span[0] <= address < span[1]


def _owner(records: list[TraceRecord], address: int) -> TraceRecord | None:
    """The last call that allocated or freed it."""
    kinds = (AllocatePagesCall, AllocatePoolCall, FreePagesCall, FreePoolCall, LoadImageCall)
    owners = (record for record in reversed(records) if isinstance(record, kinds) and record.succeeded)
    return next((record for record in owners if _holds(record, address)), None)


def _accepts(record: TraceRecord, address: int) -> bool:
    return isinstance(record, PageAccept | AcceptMemoryCall | BootAccept) and _holds(record, address)


def _placed(records: list[TraceRecord], address: int) -> list[PlacementMade]:
    gone = {record.placement for record in records if isinstance(record, PlacementGone)}
    return [
        record
        for record in records
        if isinstance(record, PlacementMade) and record.start <= address < record.end and record.number not in gone
    ]
