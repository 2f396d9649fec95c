"""edk2's helpers around TDG.MEM.PAGE.ACCEPT, as rules on ranges.

Source: edk2 MdePkg/Library/TdxLib/AcceptPages.c (TdAcceptPages), OvmfPkg/TdxDxe/TdxDxe.c (the accept protocol),
edk2-staging commit c35c0b7b33 (its first form, 4 KiB only).
"""

from __future__ import annotations

from tdvfsh.lazy_dataclass import dataclass, replace
from tdvfsh.lazy_typing import TYPE_CHECKING, Final, NamedTuple
from tdvfsh.td.tdcall import AcceptGroup
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.uefi.tdx import ACCEPT_GPA_MASK, SeptLevel, TdcallStatus, completion_code, completion_name
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE, align_up

if TYPE_CHECKING:
    from tdvfsh.td.trust_domain import TrustDomain

ACCEPT_PAGE_MAX_RETRIED: Final = 3
"""TDX_ACCEPTPAGE_MAX_RETRIED: how often one page is tried again after OPERAND_BUSY."""

_PAGES: Final = LARGE_PAGE_SIZE // PAGE_SIZE
_CALLS_OF_FALLBACK: Final = _PAGES + 1
_LEVELS: Final = {PAGE_SIZE: SeptLevel.LEVEL_4K, LARGE_PAGE_SIZE: SeptLevel.LEVEL_2M}


@dataclass(frozen=True, slots=True)
class AcceptOutcome:
    """What an accept did. Outcomes add up; the first failure among them stays.

    ``calls`` counts completed TDCALLs; ``pages_4k`` and ``pages_2m`` those that accepted a page; ``already_accepted``
    those that warned that the page was accepted before; ``size_mismatches`` and ``busy`` those of that completion.
    ``stopped_at`` is the GPA of the page that failed and ``completion`` its value; what lies below it in the request
    is accepted.
    """

    status: EfiStatus = SUCCESS
    pages_4k: int = 0
    pages_2m: int = 0
    calls: int = 0
    size_mismatches: int = 0
    already_accepted: int = 0
    busy: int = 0
    td_exits: int = 0
    stopped_at: int | None = None
    completion: int = 0

    @property
    def accepted_bytes(self) -> int:
        """Bytes that were not accepted before and are now."""
        return self.pages_4k * PAGE_SIZE + self.pages_2m * LARGE_PAGE_SIZE

    @property
    def completion_name(self) -> str:
        """Name of the completion that ended the accept; SUCCESS where none did."""
        return completion_name(self.completion)

    def __add__(self, other: AcceptOutcome) -> AcceptOutcome:
        failed = self if self.status.is_error else other
        return AcceptOutcome(
            status=failed.status,
            pages_4k=self.pages_4k + other.pages_4k,
            pages_2m=self.pages_2m + other.pages_2m,
            calls=self.calls + other.calls,
            size_mismatches=self.size_mismatches + other.size_mismatches,
            already_accepted=self.already_accepted + other.already_accepted,
            busy=self.busy + other.busy,
            td_exits=self.td_exits + other.td_exits,
            stopped_at=failed.stopped_at,
            completion=failed.completion,
        )


NOTHING: Final = AcceptOutcome()


class AcceptCall(NamedTuple):
    """One TDG.MEM.PAGE.ACCEPT: the vCPU that made it, guest physical address, level and the module's status."""

    vcpu: int
    address: int
    level: int
    status: int


def td_accept_pages(td: TrustDomain, start: int, count: int, page_size: int) -> AcceptOutcome:
    """TdAcceptPages: ``count`` pages of ``page_size`` bytes from ``start``; the TD's clock advances.

    A page accepted before is a warning and counts as done; PAGE_SIZE_MISMATCH of a 2 MiB page makes it 512 of 4 KiB;
    OPERAND_BUSY is tried three times more. Nothing is undone after a failure.

    Returns:
        EFI_SUCCESS; EFI_INVALID_PARAMETER for bits set in ``start`` outside 51:12, another page size, or any other
        completion; EFI_UNSUPPORTED in a machine that is not a TD.
    """
    outcome = accept_pages_untimed(td, start, count, page_size)
    td.spend(td.cost.time(outcome))
    return outcome


def accept_pages_untimed(td: TrustDomain, start: int, count: int, page_size: int) -> AcceptOutcome:
    """:func:`td_accept_pages` for callers that account for the time themselves."""
    if not td.is_td:
        return AcceptOutcome(EfiStatus.EFI_UNSUPPORTED)
    level = _LEVELS.get(page_size)
    if start & ~ACCEPT_GPA_MASK or level is None:
        return AcceptOutcome(EfiStatus.EFI_INVALID_PARAMETER, stopped_at=start)
    return _accept(td, start, count, level)


def accept_memory_resource(td: TrustDomain, start: int, size: int, large_pages: bool = True) -> AcceptOutcome:
    """What the accept protocol does with ``size`` bytes at ``start``; the TD's clock advances.

    Three parts: up to the next 2 MiB boundary in 4 KiB pages; whole 2 MiB pages, but only where *more* than 2 MiB is
    left, so that exactly 2 MiB goes as 512 small pages; the rest in 4 KiB. Bytes after the last whole page stay as they
    are, and the status does not tell. Size 0 is EFI_SUCCESS.

    Args:
        td: The trust domain.
        start: Byte address.
        size: Bytes.
        large_pages: False selects the behaviour of edk2-staging in 2021: everything in 4 KiB pages.
    """
    outcome = accept_range_untimed(td, start, size, large_pages)
    td.spend(td.cost.time(outcome))
    return outcome


def accept_range_untimed(td: TrustDomain, start: int, size: int, large_pages: bool = True) -> AcceptOutcome:
    """:func:`accept_memory_resource` for callers that account for the time themselves."""
    td.accepts += 1
    if td.faults is not None and (completion := td.faults.accept(td.accepts)) is not None:
        return _fail_at_once(td, start, completion)
    outcome = NOTHING
    for at, part, page_size in split_for_accept(start, size, large_pages):
        outcome += accept_pages_untimed(td, at, part // page_size, page_size)
        if outcome.status.is_error:
            break
    return outcome


def split_for_accept(start: int, size: int, large_pages: bool = True) -> tuple[tuple[int, int, int], ...]:
    """``(start, bytes, page size)`` of the parts that :func:`accept_memory_resource` makes; empty parts left out."""
    if not large_pages:
        return ((start, size, PAGE_SIZE),) if size else ()
    head = min(size, align_up(start, LARGE_PAGE_SIZE) - start)
    rest = size - head
    middle = rest // LARGE_PAGE_SIZE * LARGE_PAGE_SIZE if rest > LARGE_PAGE_SIZE else 0
    parts = (
        (start, head, PAGE_SIZE),
        (start + head, middle, LARGE_PAGE_SIZE),
        (start + head + middle, rest - middle, PAGE_SIZE),
    )
    return tuple(part for part in parts if part[1])


def _fail_at_once(td: TrustDomain, start: int, completion: int) -> AcceptOutcome:
    calls = ACCEPT_PAGE_MAX_RETRIED + 1 if completion_code(completion) == TdcallStatus.OPERAND_BUSY else 1
    td.tdcall.calls += calls
    return AcceptOutcome(
        EfiStatus.EFI_INVALID_PARAMETER,
        calls=calls,
        busy=calls if calls > 1 else 0,
        stopped_at=start,
        completion=completion,
    )


def _accept(td: TrustDomain, start: int, count: int, level: SeptLevel) -> AcceptOutcome:
    """The loop of TdAcceptPages, a group of like pages at a time."""
    tdcall = td.tdcall
    outcome = NOTHING
    at, left, retried = start, count, 0
    while left:
        group = _next_group(td, at, left, level)
        tdcall.perform(at, level, group)
        outcome = _tally(outcome, group, level)
        code = completion_code(group.status)
        if code == TdcallStatus.OPERAND_BUSY:
            retried += 1
            if retried <= ACCEPT_PAGE_MAX_RETRIED:
                continue
            return _failed(outcome, at, group.status)
        if code == TdcallStatus.PAGE_SIZE_MISMATCH and level is SeptLevel.LEVEL_2M:
            outcome += _accept(td, at, group.calls * _PAGES, SeptLevel.LEVEL_4K)
            if outcome.status.is_error:
                return outcome
        elif code not in (TdcallStatus.SUCCESS, TdcallStatus.PAGE_ALREADY_ACCEPTED):
            return _failed(outcome, at, group.status)
        at += group.calls * level.page_size
        left -= group.calls
        retried = 0
    return outcome


def _next_group(td: TrustDomain, at: int, left: int, level: SeptLevel) -> AcceptGroup:
    """The next group, cut so that a failure stops at its first page and injected faults meet the right TDCALL."""
    group = td.tdcall.peek(at, left, level)
    code = completion_code(group.status)
    if group.calls == 1 or code in (TdcallStatus.SUCCESS, TdcallStatus.PAGE_ALREADY_ACCEPTED):
        return group
    if code != TdcallStatus.PAGE_SIZE_MISMATCH:
        return td.tdcall.peek(at, 1, level)
    undisturbed = td.tdcall.until_fault()
    if undisturbed is None:
        return group
    return td.tdcall.peek(at, min(left, max(1, undisturbed // _CALLS_OF_FALLBACK)), level)


def _tally(outcome: AcceptOutcome, group: AcceptGroup, level: SeptLevel) -> AcceptOutcome:
    count = group.calls
    calls = outcome.calls + count
    td_exits = outcome.td_exits + group.exits
    match completion_code(group.status):
        case TdcallStatus.SUCCESS if level is SeptLevel.LEVEL_2M:
            return replace(outcome, calls=calls, td_exits=td_exits, pages_2m=outcome.pages_2m + count)
        case TdcallStatus.SUCCESS:
            return replace(outcome, calls=calls, td_exits=td_exits, pages_4k=outcome.pages_4k + count)
        case TdcallStatus.PAGE_ALREADY_ACCEPTED:
            return replace(outcome, calls=calls, td_exits=td_exits, already_accepted=outcome.already_accepted + count)
        case TdcallStatus.PAGE_SIZE_MISMATCH:
            return replace(outcome, calls=calls, td_exits=td_exits, size_mismatches=outcome.size_mismatches + count)
        case TdcallStatus.OPERAND_BUSY:
            return replace(outcome, calls=calls, td_exits=td_exits, busy=outcome.busy + count)
    return replace(outcome, calls=calls, td_exits=td_exits)


def _failed(outcome: AcceptOutcome, at: int, completion: int) -> AcceptOutcome:
    return replace(outcome, status=EfiStatus.EFI_INVALID_PARAMETER, stopped_at=at, completion=completion)
