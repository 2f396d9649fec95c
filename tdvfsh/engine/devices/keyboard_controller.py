"""The i8042 with a keyboard and a mouse without any input: firmware finds and initialises both.

Source: IBM PS/2 technical reference, keyboard controller; QEMU hw/input/pckbd.c and hw/input/ps2.c.
"""

from __future__ import annotations

from collections import Counter, deque

from tdvfsh.engine.errors import GuestReset
from tdvfsh.lazy_typing import Final

DATA: Final = 0x60
COMMAND: Final = 0x64
_OUTPUT_FULL: Final = 1
_UNLOCKED: Final = 0x18
_FROM_MOUSE: Final = 0x20
_MODE: Final = 0x03
_ACKNOWLEDGE: Final = 0xFA
_SELF_TEST_PASSED: Final = 0xAA
_CONTROLLER_PASSED: Final = 0x55
_TESTS: Final = {0xAA: _CONTROLLER_PASSED, 0xA9: 0, 0xAB: 0}
_SWITCHES: Final = {0xAD: (0x10, 0x10), 0xAE: (0x10, 0), 0xA7: (0x20, 0x20), 0xA8: (0x20, 0)}
_RESET_PULSE: Final = range(0xF0, 0xFF, 2)
_TO_MOUSE: Final = 0xD4
_WITH_ARGUMENT: Final = {False: (0xED, 0xF0, 0xF3), True: (0xE8, 0xF3)}
_ANSWERS: Final = {
    False: {0xFF: (_SELF_TEST_PASSED,), 0xF2: (0xAB, 0x83), 0xEE: ()},
    True: {0xFF: (_SELF_TEST_PASSED, 0), 0xF2: (0,), 0xE9: (0, 2, 100)},
}
_QUEUE_SIZE: Final = 16


class KeyboardController:
    """The controller at ports 0x60 and 0x64: two registers, at offsets 0 and 4.

    Args:
        missing: Counts what is asked for and lacking.
    """

    def __init__(self, missing: Counter[str]) -> None:
        self._missing = missing
        self._mode = _MODE
        self._output: deque[tuple[int, bool]] = deque()
        self._last = 0
        self._expects: int | None = None
        self._argument = {False: False, True: False}

    def read(self, offset: int, size: int) -> int:
        """The status, or the next byte for the host."""
        if offset == COMMAND - DATA:
            mouse = _FROM_MOUSE if self._output and self._output[0][1] else 0
            return _UNLOCKED | (_OUTPUT_FULL | mouse if self._output else 0)
        if offset:
            return 0xFF
        if self._output:
            self._last = self._output.popleft()[0]
        return self._last

    def write(self, offset: int, size: int, value: int) -> None:
        """A command to the controller, or a byte for the keyboard, the mouse or the controller's last command.

        Raises:
            GuestReset: The command resets the machine.
        """
        value &= 0xFF
        if offset == COMMAND - DATA:
            self._command(value)
        elif offset == 0:
            expects, self._expects = self._expects, None
            if expects is None:
                self._device(value, mouse=False)
            elif expects == _TO_MOUSE:
                self._device(value, mouse=True)
            elif expects == 0x60:
                self._mode = value
            elif expects in (0xD2, 0xD3):
                self._put(expects == 0xD3, value)

    def _command(self, value: int) -> None:
        if value == 0x20:
            self._put(False, self._mode)
        elif value in _TESTS:
            self._put(False, _TESTS[value])
        elif value in _SWITCHES:
            mask, bits = _SWITCHES[value]
            self._mode = self._mode & ~mask | bits
        elif value in (0x60, 0xD1, 0xD2, 0xD3, _TO_MOUSE):
            self._expects = value
        elif value in _RESET_PULSE:
            raise GuestReset("cold", 0)
        elif value not in range(0xF0, 0x100):
            self._missing[f"keyboard controller command {value:#x}"] += 1

    def _device(self, value: int, mouse: bool) -> None:
        """The keyboard, or the mouse, acknowledges every byte."""
        if self._argument[mouse]:
            self._argument[mouse] = False
            self._put(mouse, _ACKNOWLEDGE)
            return
        self._argument[mouse] = value in _WITH_ARGUMENT[mouse]
        answer = _ANSWERS[mouse].get(value, ())
        self._put(mouse, _ACKNOWLEDGE, *answer)

    def _put(self, mouse: bool, *data: int) -> None:
        """Bytes for the host; those that a device's queue has no room for are lost."""
        self._output.extend((byte, mouse) for byte in data[: _QUEUE_SIZE - len(self._output)])


class CommandPort:
    """The register at port 0x64, which has a place of its own on the bus.

    Args:
        controller: Whose register it is.
    """

    def __init__(self, controller: KeyboardController) -> None:
        self._controller = controller

    def read(self, offset: int, size: int) -> int:
        """The status."""
        return self._controller.read(COMMAND - DATA, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A command; raises GuestReset for those that reset the machine."""
        self._controller.write(COMMAND - DATA, size, value)
