"""The one writer of TDG.MEM.PAGE.ACCEPT records: firmware's ranges, single TDCALLs, and what guest code accepts."""

from __future__ import annotations

from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import PageAccept
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.tdx import ACCEPT_GPA_MASK, ACCEPT_LEVEL_MASK, SeptLevel, completion_name

_SIZES: Final = tuple(level.page_size for level in SeptLevel)


class AcceptWork(Protocol):
    """Work of accepting: TDCALLs, and the pages of each size that they accepted."""

    @property
    def calls(self) -> int: ...
    @property
    def pages_4k(self) -> int: ...
    @property
    def pages_2m(self) -> int: ...


def open_accept(trace: Trace, start: int, size: int, vcpu: int = 0) -> PageAccept:
    """Open the record of accepting ``size`` bytes from ``start``, as it begins."""
    return trace.begin(PageAccept(start, size, vcpu))


def close_accept(
    trace: Trace, record: PageAccept, work: AcceptWork, completion: int, status: EfiStatus, *, duration_ns: int
) -> None:
    """Close a record with what was done.

    Args:
        trace: The journal.
        record: From :func:`open_accept`.
        work: What it took.
        completion: RAX of the last TDCALL.
        status: What the accept as a whole returned.
        duration_ns: Modelled nanoseconds.
    """
    _add(record, work, duration_ns)
    record.completion = completion_name(completion)
    trace.end(record, status)


def write_call(
    trace: Trace, rcx: int, work: AcceptWork, completion: int, *, duration_ns: int, vcpu: int = 0
) -> PageAccept:
    """Write down one TDCALL, made with ``rcx`` just now, before the clock advances by ``duration_ns``."""
    record = open_accept(trace, rcx & ACCEPT_GPA_MASK, size_of_call(rcx), vcpu)
    close_accept(trace, record, work, completion, status_of(completion), duration_ns=duration_ns)
    return record


def extend(record: PageAccept, rcx: int, work: AcceptWork, *, duration_ns: int) -> None:
    """Add one more TDCALL, of the page after those of ``record`` and with the same completion."""
    record.size += size_of_call(rcx)
    _add(record, work, duration_ns)


def size_of_call(rcx: int) -> int:
    """Bytes that a TDCALL with ``rcx`` is about; 1 GiB for a level that there is not."""
    return _SIZES[min(rcx & ACCEPT_LEVEL_MASK, len(_SIZES) - 1)]


def status_of(completion: int) -> EfiStatus:
    """What edk2 makes of a completion: a page that was accepted before is a success (TdAcceptPages)."""
    return EfiStatus.EFI_INVALID_PARAMETER if completion >> 63 else SUCCESS


def _add(record: PageAccept, work: AcceptWork, duration_ns: int) -> None:
    record.calls += work.calls
    record.pages_4k += work.pages_4k
    record.pages_2m += work.pages_2m
    record.duration_ns += duration_ns
