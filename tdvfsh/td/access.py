"""What happens when the guest touches private memory that it has not accepted.

Source: Intel TDX module 1.5 td_ept_violation.c; Linux arch/x86/kvm/vmx/tdx.c.
"""

from __future__ import annotations

from enum import Enum

from tdvfsh.lazy_typing import TYPE_CHECKING, NamedTuple
from tdvfsh.uefi.tdx import SeptLevel, SeptState
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE, align_down

if TYPE_CHECKING:
    from tdvfsh.td.trust_domain import TrustDomain


class AccessKind(Enum):
    """Outcome of an access: it works, raises #VE in the guest, or leaves the TD for good."""

    OK = "ok"
    VIRTUALIZATION_EXCEPTION = "#VE"
    TD_TERMINATED = "TD exit that the VMM cannot cure"


class AccessResult(NamedTuple):
    """Outcome of an access and, unless it worked, the first address that failed."""

    kind: AccessKind
    gpa: int | None = None


def access(td: TrustDomain, start: int, end: int) -> AccessResult:
    """Touch every byte of private ``[start, end)`` in ascending order; stops at the first page that is not accepted.

    A page that the VMM does not back yet costs a TD exit, in which the VMM adds it as PENDING with its own page size.
    Touching a PENDING page raises #VE, or, with SEPT_VE_DISABLE, is a TD exit after which the TD does not run again.
    """
    gpa = _first_unmapped(td, start, end)
    if gpa is None:
        return AccessResult(AccessKind.OK)
    if td.sept.state(gpa) in (SeptState.BLOCKED, SeptState.PENDING_BLOCKED):
        _exit(td)
        level = td.sept.entry(gpa).level
        page = align_down(gpa, level.page_size)
        td.sept.unblock(page, page + level.page_size)
        return access(td, gpa, end)
    if td.sept.state(gpa) is SeptState.FREE:
        _exit(td)
        if not td.is_td or not td.ram.contains(gpa, gpa + 1):
            return AccessResult(AccessKind.TD_TERMINATED, gpa)
        _back(td, gpa)
    if td.sept_ve_disable:
        _exit(td)
        return AccessResult(AccessKind.TD_TERMINATED, gpa)
    return AccessResult(AccessKind.VIRTUALIZATION_EXCEPTION, gpa)


def _first_unmapped(td: TrustDomain, start: int, end: int) -> int | None:
    return next((low for low, _, entry in td.sept.spans(start, end) if entry.state is not SeptState.MAPPED), None)


def _back(td: TrustDomain, gpa: int) -> None:
    region = align_down(gpa, LARGE_PAGE_SIZE)
    whole = td.ram.contains(region, region + LARGE_PAGE_SIZE)
    if td.sept.host_page_size == LARGE_PAGE_SIZE and whole and td.sept.entry(gpa).level is SeptLevel.LEVEL_2M:
        td.sept.aug(region, region + LARGE_PAGE_SIZE, SeptLevel.LEVEL_2M)
    else:
        page = align_down(gpa, PAGE_SIZE)
        td.sept.aug(page, page + PAGE_SIZE)


def _exit(td: TrustDomain) -> None:
    td.tdcall.exits += 1
    td.spend(td.cost.calls("td_exit", 1))
