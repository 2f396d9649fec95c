"""What became of an operating system: its console, how its run ended, and every page that it accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tdvfsh.engine.console.serial_input import InputEnded, SerialInput
from tdvfsh.engine.errors import EngineError, GuestDead, GuestFatal, GuestReset, GuestStopped
from tdvfsh.engine.tdx.page_accepts import AcceptMoment, Acceptor, AcceptTally
from tdvfsh.engine.virtio.parts import NO_PARTS, VirtioParts
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.tdx import SeptState
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE, align_down, align_up

if TYPE_CHECKING:
    from tdvfsh.engine.violation import Violation

_PANIC: Final = re.compile(r"---\[ end Kernel panic - not syncing: (.*?) \]---")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LONGEST_LINE: Final = 4096
_PANIC_END: Final = b"]---"


class ConsoleMatched(EngineError):
    """End of a run: the console showed the expected text."""


class KernelPanicked(EngineError):
    """End of a run: the console showed a kernel panic, after which the kernel only spins."""


class SystemConsole:
    """What an operating system sends to its serial port.

    Args:
        output: Takes the bytes as they come.
        until: A regular expression; the run ends with the first line that it is found in.
    """

    def __init__(self, output: Callable[[bytes], None], until: re.Pattern[str] | None = None) -> None:
        self._output = output
        self._until = until
        self._line = bytearray()
        self._last = ""

    @property
    def last_line(self) -> str:
        """The last line that is not empty, without escape sequences; the one that is being written does not count."""
        return self._last

    @property
    def line(self) -> bytes:
        """The line that is being written."""
        return bytes(self._line)

    def resume(self, last_line: str) -> None:
        """Continue after a line that another run has shown; what ends the run is looked for in what comes now."""
        self._last = last_line

    def put(self, byte: int) -> None:
        """One byte.

        Raises:
            ConsoleMatched, KernelPanicked: The line ends the run.
        """
        self._output(bytes((byte,)))
        self._line.append(byte)
        if len(self._line) > _LONGEST_LINE:
            del self._line[: _LONGEST_LINE // 2]
        panicked = self._line.endswith(_PANIC_END)
        line = self._line.decode("utf-8", "replace").rstrip("\r\n") if panicked or self._until is not None else ""
        if byte == ord("\n"):
            self._last = _ESCAPES.sub("", self._line.decode("utf-8", "replace")).strip() or self._last
            self._line.clear()
        panic = _PANIC.search(line) if panicked else None
        if panic is not None:
            raise KernelPanicked(f"the kernel panicked: {panic[1]}")
        if self._until is not None and line and self._until.search(line):
            raise ConsoleMatched(f"the console showed {self._until.pattern!r}")


@dataclass(frozen=True, slots=True)
class SystemOptions:
    """Options of a run through an operating system.

    Attributes:
        output: Takes the console's bytes as they come.
        until: End the run where the console shows this.
        drop_accept: Answer this TDG.MEM.PAGE.ACCEPT, counted from 1, without doing it.
        typed: What is typed at the console.
        virtio: Virtio devices.
    """

    output: Callable[[bytes], None]
    until: re.Pattern[str] | None = None
    drop_accept: int | None = None
    typed: SerialInput | None = None
    virtio: VirtioParts = NO_PARTS


@dataclass(frozen=True, slots=True, repr=False)
class OsRun:
    """A run of an operating system.

    Attributes:
        ending: ``power off``, ``reset``, ``matched``, ``input ended``, ``panic``, ``fatal error``, ``violation``,
            ``dead`` or ``given up``.
        why: One sentence.
        tallies: Accepts by acceptor, in order.
        unaccepted_before: Bytes at ExitBootServices.
        unaccepted_after: Bytes in the end.
        shared_bytes: Bytes that are shared in the end.
        lost_bytes: Accepted bytes that conversions to shared took away again.
        bitmap_before: The unaccepted-memory table's bitmap when the kernel began.
        bitmap_after: The same in the end.
        virtual_seconds: Virtual time from the kernel's first instruction on.
        accept_time: The modelled time that its accepts took.
        rest_time: The modelled time that accepting the rest would take.
        counts: How often the guest left for the module, the VMM and devices.
        violation: What it touched, if it was stopped for that.
        vcpus: How many vCPUs had been started in the end.
        refused: What virtio devices refused, and how often.
        moments: What it accepted, by time; milliseconds count from its first instruction.
    """

    ending: str
    why: str
    tallies: Mapping[Acceptor, AcceptTally]
    unaccepted_before: int
    unaccepted_after: int
    shared_bytes: int
    lost_bytes: int
    bitmap_before: bytes
    bitmap_after: bytes
    virtual_seconds: float
    accept_time: Modelled
    rest_time: Modelled
    counts: Mapping[str, int]
    violation: Violation | None = None
    vcpus: int = 1
    refused: Mapping[str, int] = field(default_factory=dict)
    moments: tuple[AcceptMoment, ...] = ()

    def __repr__(self) -> str:
        return f"<OsRun {self.ending}: {' '.join(self.why.split())}>"

    @property
    def succeeded(self) -> bool:
        """Whether it ended as a system should, or where it was requested to."""
        return self.ending in (POWER_OFF, RESET, MATCHED, INPUT_ENDED)

    @property
    def dropped_bytes(self) -> int:
        """Bytes less that are unaccepted in the end."""
        return self.unaccepted_before - self.unaccepted_after

    @property
    def again_bytes(self) -> int:
        """Accepted bytes beyond those, after conversions; negative where bytes were shared that were never accepted."""
        return self.total.accepted_bytes - self.dropped_bytes

    @property
    def total(self) -> AcceptTally:
        """All accepts."""
        tally = AcceptTally()
        for each in self.tallies.values():
            tally.add(each)
        return tally


POWER_OFF: Final = "power off"
RESET: Final = "reset"
MATCHED: Final = "matched"
INPUT_ENDED: Final = "input ended"
GIVEN_UP: Final = "given up"


def ending_of(error: EngineError) -> tuple[str, str]:
    """What kind of end an exception is, and why, in words."""
    if isinstance(error, GuestReset):
        if error.kind == "shutdown":
            return POWER_OFF, "the system switched the machine off"
        return RESET, f"the system asked for a {error.kind} reset"
    kinds: tuple[tuple[type[EngineError], str], ...] = (
        (ConsoleMatched, MATCHED), (InputEnded, INPUT_ENDED),
        (KernelPanicked, "panic"), (GuestFatal, "fatal error"), (GuestStopped, "violation"),
        (GuestDead, "dead"),
    )  # fmt: skip
    return next((name for kind, name in kinds if isinstance(error, kind)), GIVEN_UP), str(error)


def rest_time(td: TrustDomain) -> Modelled:
    """Modelled time of accepting all that is left, as a kernel would: 2 MiB where it can, on one vCPU."""
    if not td.is_td:
        return NO_TIME
    work = AcceptTally()
    for span in td.ram.spans:
        for start, end, entry in td.sept.spans(span.start, span.end):
            if entry.state not in (SeptState.FREE, SeptState.PENDING) or td.shared.get(start):
                continue
            exits = int(entry.state is SeptState.FREE)
            low, high = min(align_up(start, LARGE_PAGE_SIZE), end), max(align_down(end, LARGE_PAGE_SIZE), start)
            large = max(0, high - low) // LARGE_PAGE_SIZE
            small = (end - start - large * LARGE_PAGE_SIZE) // PAGE_SIZE
            if td.sept.host_page_size == PAGE_SIZE:
                work.add(AcceptTally(calls=large, mismatches=large))
                large, small = 0, (end - start) // PAGE_SIZE
            work.add(AcceptTally(large + small, small, large, td_exits=exits * (large + small)))
    return td.cost.time(work)
