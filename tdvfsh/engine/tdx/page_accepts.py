"""Every TDG.MEM.PAGE.ACCEPT that guest code makes: carried out, timed, counted and written to the journal.

Neighbouring calls of one caller are one record, whose range grows.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.errors import GuestDead
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.td.cost import Modelled
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace.accepts import extend, write_call
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import PageAccept
from tdvfsh.uefi.service_names import PAGE_ACCEPT
from tdvfsh.uefi.tdx import (
    ACCEPT_GPA_MASK,
    ACCEPT_LEVEL_MASK,
    SeptLevel,
    TdcallStatus,
    completion_code,
    completion_name,
)
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE


class Acceptor(NamedTuple):
    """An acceptor: a phase of the run, and the vCPU that executes it."""

    phase: str
    vcpu: int = 0


class AcceptMoment(NamedTuple):
    """What one acceptor accepted within a millisecond.

    Attributes:
        milliseconds: Virtual time since the TD was built.
        acceptor: Who.
        accepted_bytes: How much.
    """

    milliseconds: int
    acceptor: Acceptor
    accepted_bytes: int


@dataclass(slots=True)
class AcceptTally:
    """Accepts of one acceptor.

    Attributes:
        calls: TDCALLs.
        pages_4k: Pages of 4 KiB accepted.
        pages_2m: Pages of 2 MiB accepted.
        mismatches: Calls that were refused for the page's size.
        refused: Other calls that accepted nothing.
        td_exits: TD exits on the way.
        ns: Modelled nanoseconds.
    """

    calls: int = 0
    pages_4k: int = 0
    pages_2m: int = 0
    mismatches: int = 0
    refused: int = 0
    td_exits: int = 0
    ns: int = 0

    @property
    def accepted_bytes(self) -> int:
        """Bytes that were accepted."""
        return self.pages_4k * PAGE_SIZE + self.pages_2m * LARGE_PAGE_SIZE

    def add(self, other: AcceptTally) -> None:
        """Add another tally to this one."""
        self.calls += other.calls
        self.pages_4k += other.pages_4k
        self.pages_2m += other.pages_2m
        self.mismatches += other.mismatches
        self.refused += other.refused
        self.td_exits += other.td_exits
        self.ns += other.ns


class _Outcome(NamedTuple):
    """What all calls that complete alike come to.

    Attributes:
        status: RAX.
        call: The tally of one.
        accepted_bytes: How much it accepts.
        took: Its modelled time.
        completion: The name of its completion.
    """

    status: int
    call: AcceptTally
    accepted_bytes: int
    took: Modelled
    completion: str


class PageAccepts:
    """The accept leaf for running guest code.

    Args:
        td: The trust domain; its clock advances.
        trace: The journal.
        caller: Returns the current acceptor.

    Attributes:
        drop: Number of a call, from 1, that is answered as done and does nothing: a lie, to see that it is found out.
        tallies: What each acceptor accepted, in the order in which they began.
        moments: What was accepted, by time.
        called: Called after each call with its raw RCX and RAX.
    """

    def __init__(self, td: TrustDomain, trace: Trace, caller: Callable[[], Acceptor]) -> None:
        self._td = td
        self._trace = trace
        self._caller = caller
        self.drop: int | None = None
        self._calls = 0
        self._outcomes: dict[tuple[int, int, int], _Outcome] = {}
        self._last: PageAccept | None = None
        self.tallies: dict[Acceptor, AcceptTally] = {}
        self.moments: list[AcceptMoment] = []
        self.called: Callable[[int, int], None] | None = None

    def accept(self, rcx: int) -> int:
        """One call with a raw RCX; returns RAX.

        Raises:
            GuestDead: The call never returns: the VMM has no RAM to add.
        """
        self._calls += 1
        if self._calls == self.drop:
            return TdcallStatus.SUCCESS
        status, exits = self._td.tdcall.tdcall(rcx)
        outcome = self._outcome(rcx & ACCEPT_LEVEL_MASK, status, exits)
        if outcome is None:
            raise GuestDead(f"{PAGE_ACCEPT} of {rcx & ACCEPT_GPA_MASK:#x} never returns: there is no RAM")
        acceptor = self._caller()
        tally = self.tallies.get(acceptor)
        if tally is None:
            tally = self.tallies[acceptor] = AcceptTally()
        tally.add(outcome.call)
        self._note(acceptor, outcome.accepted_bytes)
        self._write(acceptor, rcx, outcome)
        self._td.spend(outcome.took)
        if self.called is not None:
            self.called(rcx, status)
        return status

    def _outcome(self, level: int, status: int, exits: int) -> _Outcome | None:
        """What a call of a level comes to that completes so; None where it never does. Few kinds of calls recur."""
        known = self._outcomes.get((level, status, exits))
        if known is not None:
            return known
        code = completion_code(status)
        if code == TdcallStatus.NOT_RETURNED:
            return None
        done = code == TdcallStatus.SUCCESS
        call = AcceptTally(
            calls=1,
            pages_4k=int(done and level == SeptLevel.LEVEL_4K),
            pages_2m=int(done and level == SeptLevel.LEVEL_2M),
            mismatches=int(code == TdcallStatus.PAGE_SIZE_MISMATCH),
            refused=int(not done and code != TdcallStatus.PAGE_SIZE_MISMATCH),
            td_exits=exits,
        )
        took = self._td.cost.time(call)
        call.ns = took.likely
        outcome = self._outcomes[level, status, exits] = _Outcome(
            status=status, call=call, accepted_bytes=call.accepted_bytes, took=took, completion=completion_name(status)
        )
        return outcome

    def _note(self, acceptor: Acceptor, accepted_bytes: int) -> None:
        """Neighbours of one millisecond and one acceptor are one."""
        if not accepted_bytes:
            return
        now, moments = self._td.clock.now_ns // 1_000_000, self.moments
        if moments and moments[-1][:2] == (now, acceptor):
            moments[-1] = AcceptMoment(now, acceptor, moments[-1].accepted_bytes + accepted_bytes)
        else:
            moments.append(AcceptMoment(now, acceptor, accepted_bytes))

    def _write(self, acceptor: Acceptor, rcx: int, outcome: _Outcome) -> None:
        last, trace, call = self._last, self._trace, outcome.call
        if (
            last is not None
            and last.start + last.size == rcx & ACCEPT_GPA_MASK
            and last is trace.records[-1]
            and last.caller == acceptor.phase
            and last.vcpu == acceptor.vcpu
            and last.completion == outcome.completion
        ):
            extend(last, rcx, call, duration_ns=call.ns)
            return
        with trace.on_behalf_of(acceptor.phase):
            self._last = write_call(trace, rcx, call, outcome.status, duration_ns=call.ns, vcpu=acceptor.vcpu)
