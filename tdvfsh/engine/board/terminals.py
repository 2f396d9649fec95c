"""What is typed at a machine, and the devices that it can be typed at: the serial port, and consoles beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tdvfsh.engine.console.serial_input import SerialInput
from tdvfsh.engine.virtio.console import ConsoleOutput
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Protocol


class Terminal(Protocol):
    """A device that can be typed at."""

    @property
    def listening(self) -> bool:
        """Whether a driver waits for input."""
        ...

    @property
    def full(self) -> bool:
        """Whether more has to wait."""
        ...

    def receive(self, data: bytes) -> None:
        """Bytes arrive."""
        ...


class Terminals:
    """The devices; what is typed goes to the first one that listens.

    Args:
        serial: The serial port, which comes last.
        typed: What is typed; None for nothing.
        now: Returns virtual nanoseconds.
    """

    def __init__(self, serial: Terminal, typed: SerialInput | None, now: Callable[[], int]) -> None:
        self._terminals = [serial]
        self._typed = typed
        self._now = now

    def add(self, terminal: Terminal) -> None:
        """One that is preferred to those before."""
        self._terminals.insert(0, terminal)

    def hear(self, byte: int) -> None:
        """One of them sends a byte."""
        if self._typed is not None:
            self._typed.heard(self._now(), byte)

    def heard(self, output: ConsoleOutput) -> ConsoleOutput:
        """The output of one, which whoever types hears too."""
        return _Heard(output, self.hear)

    @property
    def awaited(self) -> bool:
        """Whether a guest that waits may wait for what is typed."""
        return self._typed is not None and self._listener is not None

    def waits(self, until: int | None) -> int | None:
        """As :meth:`SerialInput.waits`; what is typed meanwhile arrives."""
        assert self._typed is not None
        until = self._typed.waits(self._now(), until)
        self.receive()
        return until

    def receive(self) -> None:
        """What has been typed arrives, as far as there is room."""
        if self._typed is None:
            return
        listener = self._listener
        data = self._typed.take() if listener is not None and not listener.full else b""
        if listener is not None and data:
            listener.receive(data)

    @contextmanager
    def nobody_types(self) -> Iterator[None]:
        """Meanwhile the input cannot end: for a call into a guest that waits for input already."""
        typed, self._typed = self._typed, None
        try:
            yield
        finally:
            self._typed = typed

    @property
    def _listener(self) -> Terminal | None:
        return next((terminal for terminal in self._terminals if terminal.listening), None)


@dataclass(frozen=True, slots=True)
class _Heard:
    """Output that is heard on its way."""

    output: ConsoleOutput
    hear: Callable[[int], None]

    @property
    def last_line(self) -> str:
        """See :class:`ConsoleOutput`."""
        return self.output.last_line

    def put(self, byte: int) -> None:
        """See :class:`ConsoleOutput`."""
        self.hear(byte)
        self.output.put(byte)
