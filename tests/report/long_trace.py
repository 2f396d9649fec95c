"""A made journal as long as one likes, as a kernel that accepts its memory writes it."""

from __future__ import annotations

from dataclasses import replace

from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.trace_file import trace_of_machine
from tdvfsh.trace.file import TraceFile
from tdvfsh.trace.records import NO_PARENT, PageAccept, TraceRecord
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, LARGE_PAGE_SIZE

_CALLERS = ("kernel, memblock", "kernel, page allocator")
_TRIED_NS, _ACCEPTED_NS = 9_000, 6_136_000


def os_trace(records: int) -> TraceFile:
    """A kernel in 1 TiB accepts 2 MiB after 2 MiB: each is refused as one page and accepted in pages of 4 KiB."""
    file = trace_of_machine(Machine(TdOptions(memory=1024 * GIB)))
    journal: list[TraceRecord] = list(file.records)
    last = max((entry for entry in file.memory_map), key=lambda entry: entry.physical_start)
    assert last.memory_type == EfiMemoryType.EfiUnacceptedMemoryType
    time, address = 10**9, last.physical_start
    while len(journal) < records:
        caller = _CALLERS[len(journal) * 2 // records]
        for calls, completion in ((1, "PAGE_SIZE_MISMATCH"), (512, "SUCCESS")):
            accept = PageAccept(address, LARGE_PAGE_SIZE)
            accept.calls, accept.completion = calls, completion
            accept.pages_4k = 0 if calls == 1 else calls
            accept.duration_ns = _TRIED_NS if calls == 1 else _ACCEPTED_NS
            accept.status = EfiStatus.EFI_INVALID_PARAMETER if calls == 1 else EfiStatus.EFI_SUCCESS
            _add(journal, accept, caller, time)
            time += accept.duration_ns + len(journal) * 7919 % 100_000
        address += LARGE_PAGE_SIZE
    return replace(file, records=journal)


def _add(journal: list[TraceRecord], record: TraceRecord, caller: str, time: int) -> None:
    record.number, record.parent, record.time_ns, record.caller = len(journal), NO_PARENT, time, caller
    journal.append(record)
