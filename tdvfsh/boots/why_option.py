"""Why an accept option helped a boot, or why it could not."""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.trace.records import AllocatePagesCall, LoadImageCall, ProtocolAccept, TraceRecord
from tdvfsh.uefi.memory import EfiAllocateType
from tdvfsh.uefi.service_names import ACCEPT_AT_EXIT, GET_MEMORY_MAP
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import human_size


def why_option(name: str, result: BootResult) -> str:
    """One sentence on the part that the option ``name`` had in how ``result`` ended."""
    accepts = sum(isinstance(record, ProtocolAccept) for record in result.machine.trace)
    if result.booted:
        return _why_it_boots(name, result, accepts)
    return _why_it_fails(name, result, accepts)


def _why_it_boots(name: str, result: BootResult, accepts: int) -> str:
    if result.lacks_initrd:
        return "the failed step is not one that a boot depends on: GRUB starts the kernel all the same"
    if not accepts:
        return "nothing more had to be accepted"
    times = {1: "once", 2: "twice"}.get(accepts, f"{accepts} times")
    at_exit = any(record.service == ACCEPT_AT_EXIT for record in result.machine.trace)
    if name == "none" or (at_exit and accepts == len(result.machine.td.ram.spans)):
        return "firmware accepted the rest only at ExitBootServices"
    if name == "allocator":
        return f"the allocator, about to say OUT_OF_RESOURCES, accepted {times} instead, in multiples of 32 MiB"
    if name == "service":
        return f"the loader knew the sizes and called AcceptMemory() before it asked; firmware accepted {times}"
    failed = _failed_loads(result.machine.trace)
    if name == "loader-literal":
        return "LoadImage said OUT_OF_RESOURCES; the image's memory was accepted and LoadImage repeated"
    after = f", LoadImage's {failed[0]} among what went wrong" if failed else ""
    return f"the loader accepted {times} what a failed step had lacked, and repeated the step{after}"


def _why_it_fails(name: str, result: BootResult, accepts: int) -> str:
    failure = result.failure
    if failure is None:
        return "it fails for another reason than memory"
    got_further = f"{human_size(result.on_demand_bytes)} got it that far, but " if result.on_demand_bytes else ""
    if result.status not in (EfiStatus.EFI_OUT_OF_RESOURCES, EfiStatus.EFI_NOT_FOUND):
        return f"{got_further}{result.status.short_name} is nothing that memory cures"
    asked = human_size(failure.asked_bytes)
    if name == "none":
        return f"nothing accepts memory after boot, and {asked} do not fit"
    if name == "allocator":
        return got_further + _why_allocator_fails(result)
    if name == "loader-literal":
        return got_further + _why_literal_fails(result)
    if not failure.unaccepted_bytes:
        return f"{got_further}all is accepted by now, and no piece of {asked} is left"
    return f"{got_further}no unaccepted piece in reach makes room for {asked}"


def _why_allocator_fails(result: BootResult) -> str:
    failure = result.failure
    assert failure is not None
    if failure.service == GET_MEMORY_MAP:
        return "the allocator is never asked: the loader looks for a place in the memory map itself and finds none"
    tried = [
        record
        for record in result.machine.trace
        if isinstance(record, AllocatePagesCall)
        and record.allocate_type == EfiAllocateType.AllocateAddress
        and record.status is EfiStatus.EFI_NOT_FOUND
    ]
    if tried:
        return "AllocateAddress fails with NOT_FOUND, and the allocator accepts only in place of OUT_OF_RESOURCES"
    rounded = -(-failure.asked_bytes // (32 << 20)) * 32
    return f"no unaccepted piece in reach holds the request rounded up to {rounded} MiB, or the retry lacked room again"


def _why_literal_fails(result: BootResult) -> str:
    failed = _failed_loads(result.machine.trace)
    called = any(isinstance(record, LoadImageCall) for record in result.machine.trace)
    if EfiStatus.EFI_OUT_OF_RESOURCES.name in failed:
        return f"after LoadImage's OUT_OF_RESOURCES it accepts for the image only, and {result.stage} fails next"
    if failed:
        said = failed[0].removeprefix("EFI_")
        return f"LoadImage said {said}, which hides that memory ran out; it waits for OUT_OF_RESOURCES"
    if called:
        return f"LoadImage had no trouble, and {result.stage} is nothing it looks at"
    return f"LoadImage, the one call it watches, is not reached: {result.stage} fails before"


def _failed_loads(records: Iterable[TraceRecord]) -> list[str]:
    """The statuses of LoadImage calls that failed."""
    return [
        record.status.name
        for record in records
        if isinstance(record, LoadImageCall) and record.status is not None and record.status.is_error
    ]
