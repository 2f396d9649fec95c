"""Outcome of a boot whose code really ran, with the same account as a modelled one."""

from __future__ import annotations

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.engine.introspect.fast_decompress import Shortcut
from tdvfsh.engine.runs.accept_account import AcceptRow, accept_account
from tdvfsh.engine.runs.os_run import OsRun
from tdvfsh.engine.violation import Violation
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.td.cost import Modelled


@dataclass(frozen=True, slots=True)
class ExitAccount:
    """What had been accepted when the operating system took over: it accepts on its own from there on."""

    accepted_bytes: int
    unaccepted_bytes: int
    calls: int
    clock_ns: int
    waited_ns: int
    spent: Modelled
    spent_on_dma: Modelled
    records: int
    pages_4k: int
    pages_2m: int


@dataclass(frozen=True, repr=False)
class CpuBootResult(BootResult):
    """Outcome of a boot on the processor.

    Attributes:
        waited_ns: Virtual time that the programs spent waiting; no accept took it.
        seconds: Real seconds.
        violation: Where the guest was stopped, if it was.
        unaccepted_bitmap: The bitmap of the unaccepted-memory table as the kernel would find it; empty without one.
        screen_lines: What the screen showed in the end.
        at_exit: The account when the operating system's first instruction ran, where it was run on.
        os_run: What became of it.
        shortcut: What became of ``--fast-decompress``, where it was asked for.
    """

    waited_ns: int = 0
    seconds: float = 0.0
    violation: Violation | None = None
    unaccepted_bitmap: bytes = b""
    screen_lines: tuple[str, ...] = ()
    at_exit: ExitAccount | None = None
    os_run: OsRun | None = None
    shortcut: Shortcut | None = None

    @property
    def summary(self) -> str:
        """One line: the loader, the outcome, where it failed why, and how a run of the operating system ended."""
        ran = "" if self.os_run is None else f"; OS: {self.os_run.ending}: {self.os_run.why}"
        return " ".join(f"{super().summary}{ran}".split())

    @property
    def dma_time(self) -> Modelled:
        """Modelled time of accepts after DMA, before the operating system."""
        return super().dma_time if self.at_exit is None else self.at_exit.spent_on_dma

    @property
    def on_demand_time(self) -> Modelled:
        """Modelled time of all accepts between the firmware's own and the operating system's."""
        if self.at_exit is None:
            return super().on_demand_time
        return self.at_exit.spent - self.boot_accept_time - self.dma_time

    @property
    def accept_account(self) -> tuple[AcceptRow, ...]:
        """All acceptors, in order."""
        return accept_account(self, {} if self.os_run is None else self.os_run.tallies)

    @property
    def os_ran(self) -> bool:
        """Whether the operating system was run on."""
        return self.os_run is not None

    @property
    def on_demand_bytes(self) -> int:
        """Bytes accepted while booting, before the operating system."""
        return super().on_demand_bytes if self.at_exit is None else self.at_exit.accepted_bytes - self.boot_bytes

    @property
    def left_to_os_bytes(self) -> int:
        """Bytes that were never accepted before the operating system."""
        return super().left_to_os_bytes if self.at_exit is None else self.at_exit.unaccepted_bytes

    @property
    def accept_calls(self) -> int:
        """TDCALLs that accept, before the operating system."""
        return super().accept_calls if self.at_exit is None else self.at_exit.calls

    def on_demand_pages(self, size: str) -> int:
        """Pages accepted while booting, before the operating system: ``pages_4k`` or ``pages_2m``."""
        return super().on_demand_pages(size) if self.at_exit is None else int(getattr(self.at_exit, size))
