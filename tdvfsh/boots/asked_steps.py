"""What each step of a boot asked of the firmware and what it got, out of the journal."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.loaders.flow import Placement
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import AllocatePagesCall, AllocatePoolCall
from tdvfsh.uefi.memory import EfiAllocateType
from tdvfsh.units import human_size

_NO_LIMIT: Final = (1 << 64) - 1


class AskedStep(NamedTuple):
    """One placement: what, bytes, by which call and within which limit, where it went, and whether it is gone again."""

    what: str
    size: int
    call: str
    start: int
    freed: bool


def asked_steps(result: BootResult) -> list[AskedStep]:
    """The placements of a boot with the calls that made them."""
    return [
        AskedStep(placement.what, placement.size, _call_of(placement, result.machine.trace), placement.start,
                  placement.freed)
        for placement in result.placements
    ]  # fmt: skip


def _call_of(placement: Placement, trace: Trace) -> str:
    made_by = None if placement.record is None else placement.record.made_by
    record = None if made_by is None else trace.records[made_by]
    match record:
        case AllocatePoolCall():
            return "AllocatePool, anywhere"
        case AllocatePagesCall(allocate_type=EfiAllocateType.AllocateMaxAddress):
            limit = _NO_LIMIT if record.asked is None else record.asked
            below = limit < _NO_LIMIT - 0xFFF
            return f"AllocatePages below {human_size(limit + 1)}" if below else "AllocatePages, anywhere"
        case AllocatePagesCall(allocate_type=EfiAllocateType.AllocateAnyPages):
            return "AllocatePages, anywhere"
        case AllocatePagesCall():
            return "AllocatePages at an address of its own choice"
    return "inside an earlier block"
