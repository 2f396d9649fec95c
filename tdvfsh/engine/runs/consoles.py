"""Consoles of real firmware and its operating system: what they show, and whether that ends the run."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.console.serial_input import SerialInput
from tdvfsh.engine.runs.os_run import ConsoleMatched, SystemConsole
from tdvfsh.engine.virtio.console import ConsoleOutput
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.td.clock import VirtualClock


class Consoles:
    """The serial port's console and one beside it.

    Args:
        clock: Virtual time.
        serial: What the serial port sends.
        typed: What is typed at the serial port, which hears what that sends; None for nothing.

    Attributes:
        keep: Whether a line that ends the run ends it only after the instruction that sent it.
        serial: What the serial port sends.
        sent_ns: When the last byte was sent, in virtual nanoseconds.
        matched: The line that ends the run, where it is to end after the instruction that sent it.
    """

    def __init__(self, clock: VirtualClock, serial: SystemConsole, typed: SerialInput | None) -> None:
        self._clock = clock
        self.serial = serial
        self._typed = typed
        self.keep = False
        self._other: ConsoleOutput | None = None
        self.sent_ns = 0
        self.matched: ConsoleMatched | None = None

    @property
    def last_line(self) -> str:
        """The last line, of the console beside the serial port where that has shown any."""
        other = self._other.last_line if self._other is not None else ""
        return other or self.serial.last_line

    def sent(self, byte: int) -> None:
        """The serial port sends a byte. Raises what ends the run."""
        self._show(self.serial, byte)

    def beside(self, output: ConsoleOutput) -> ConsoleOutput:
        """Show what another device sends too; returns what takes its bytes."""
        self._other = output
        return _Shown(output, self._show)

    def resume(self, last_line: str, line: bytes, now: int) -> None:
        """Continue as a run that was saved.

        Args:
            last_line: The last line that the serial port had sent.
            line: The line that it was sending.
            now: When its last byte was sent.
        """
        self.serial.resume(last_line)
        self.sent_ns = now
        if self._typed is not None:
            for byte in line:
                self._typed.heard(now, byte)

    def _show(self, console: ConsoleOutput, byte: int) -> None:
        self.sent_ns = self._clock.now_ns
        try:
            console.put(byte)
        except ConsoleMatched as matched:
            if not self.keep:
                raise
            self.matched = self.matched or matched


@dataclass(frozen=True, slots=True)
class _Shown:
    """The console beside the serial port, as its device sees it."""

    output: ConsoleOutput
    show: Callable[[ConsoleOutput, int], None]

    @property
    def last_line(self) -> str:
        """See :class:`ConsoleOutput`."""
        return self.output.last_line

    def put(self, byte: int) -> None:
        """See :class:`ConsoleOutput`."""
        self.show(self.output, byte)
