"""A 16550A serial port whose other end takes every byte at once.

Source: National Semiconductor PC16550D datasheet; the loopback and identification that Linux 8250_port.c relies on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from tdvfsh.lazy_typing import Final

COM1: Final = 0x3F8
COM1_LINE: Final = 4
_DIVISOR_ACCESS: Final = 0x80
_LOOP: Final = 0x10
_RECEIVE_ENABLE: Final = 1
_TRANSMIT_ENABLE: Final = 2
_NO_INTERRUPT: Final = 1
_TRANSMIT_EMPTY: Final = 2
_RECEIVED: Final = 4
_FIFO: Final = 0xC0
_FIFO_SIZE: Final = 16
_OVERRUN: Final = 2
_MOST_WAITING: Final = 4096  # as much as a terminal's own queue
_CLEAR_RECEIVED: Final = 2
_LINE_IDLE: Final = 0x60
_LOOKS_OF_A_LISTENER: Final = 16  # a driver that only sends looks once or twice before each byte
_CONNECTED: Final = 0xB0  # carrier, data set ready, clear to send


class SerialPort:
    """The port.

    Args:
        output: Takes each byte that is sent.
        set_line: Called with the level of the interrupt line.
    """

    def __init__(self, output: Callable[[int], None], set_line: Callable[[bool], None]) -> None:
        self._output = output
        self._set_line = set_line
        self._enabled = 0
        self._line_control = 0
        self._modem_control = 0
        self._scratch = 0
        self._divisor = 0x0C
        self._fifo = False
        self._transmit_pending = False
        self._received: deque[int] = deque()
        self._overrun = False
        self._looks = 0

    @property
    def listening(self) -> bool:
        """Whether a driver waits for input: by the interrupt, or as firmware does by looking again and again."""
        return bool(self._enabled & _RECEIVE_ENABLE) or self._looks >= _LOOKS_OF_A_LISTENER

    @property
    def full(self) -> bool:
        """Whether the other end has to wait before it sends more."""
        return len(self._received) >= _MOST_WAITING

    def receive(self, data: bytes) -> None:
        """Bytes arrive from the other end, which has a queue of its own: none is lost."""
        self._received.extend(data)
        self._update()

    def read(self, offset: int, size: int = 1) -> int:
        """A register, 0 to 7."""
        divisor = self._line_control & _DIVISOR_ACCESS
        match offset:
            case 0:
                if divisor:
                    return self._divisor & 0xFF
                value = self._received.popleft() if self._received else 0
                self._update()
                return value
            case 1:
                return self._divisor >> 8 if divisor else self._enabled
            case 2:
                reason = self._reason()
                if reason == _TRANSMIT_EMPTY:
                    self._transmit_pending = False
                    self._update()
                return reason | (_FIFO if self._fifo else 0)
            case 3:
                return self._line_control
            case 4:
                return self._modem_control
            case 5:
                self._looks += 1
                overrun, self._overrun = self._overrun, False
                return _LINE_IDLE | bool(self._received) | (_OVERRUN if overrun else 0)
            case 6:
                return self._modem_status()
        return self._scratch

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register, by its lowest byte."""
        value &= 0xFF
        self._looks = 0
        divisor = self._line_control & _DIVISOR_ACCESS
        if offset == 0 and divisor:
            self._divisor = self._divisor & 0xFF00 | value
        elif offset == 0:
            self._send(value)
        elif offset == 1 and divisor:
            self._divisor = self._divisor & 0xFF | value << 8
        elif offset == 1:
            if value & _TRANSMIT_ENABLE and not self._enabled & _TRANSMIT_ENABLE:
                self._transmit_pending = True
            self._enabled = value & 0xF
        elif offset == 2:
            self._control_fifos(value)
        elif offset == 3:
            self._line_control = value
        elif offset == 4:
            self._modem_control = value & 0x1F
        elif offset == 7:
            self._scratch = value
        self._update()

    def _control_fifos(self, value: int) -> None:
        """Switched on or off, the FIFOs are emptied; other bits count only while they are on."""
        on = bool(value & 1)
        if on != self._fifo or (on and value & _CLEAR_RECEIVED):
            self._received.clear()
        self._fifo = on

    def _send(self, value: int) -> None:
        if self._modem_control & _LOOP:
            self._loop_back(value)
        else:
            self._output(value)
        self._transmit_pending = True
        self._set_line(False)  # the transmitter was busy for a moment: the next interrupt is a new edge

    def _loop_back(self, value: int) -> None:
        """The receiver takes what is sent; a byte that it has no room for is lost."""
        if len(self._received) < (_FIFO_SIZE if self._fifo else 1):
            self._received.append(value)
        else:
            self._overrun = True

    def _reason(self) -> int:
        if self._enabled & _RECEIVE_ENABLE and self._received:
            return _RECEIVED
        if self._enabled & _TRANSMIT_ENABLE and self._transmit_pending:
            return _TRANSMIT_EMPTY
        return _NO_INTERRUPT

    def _update(self) -> None:
        self._set_line(self._reason() != _NO_INTERRUPT)

    def _modem_status(self) -> int:
        control = self._modem_control
        if not control & _LOOP:
            return _CONNECTED
        return (control & 0xC) << 4 | (control & 2) << 3 | (control & 1) << 5
