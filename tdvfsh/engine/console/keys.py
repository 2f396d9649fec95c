"""Keys for ConIn: from a script, or as bytes of a terminal.

Source: UEFI 2.10 12.3 (scan codes, table 12.1); sequences as terminals of the xterm family send them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tdvfsh.lazy_typing import Final, NamedTuple, Protocol

SCAN_ESC: Final = 0x17

_SEQUENCES: Final = {
    "[A": 0x01, "[B": 0x02, "[C": 0x03, "[D": 0x04, "OA": 0x01, "OB": 0x02, "OC": 0x03, "OD": 0x04,
    "[H": 0x05, "[F": 0x06, "[1~": 0x05, "[4~": 0x06, "[2~": 0x07, "[3~": 0x08, "[5~": 0x09, "[6~": 0x0A,
    "OP": 0x0B, "OQ": 0x0C, "OR": 0x0D, "OS": 0x0E, "[15~": 0x0F, "[17~": 0x10, "[18~": 0x11, "[19~": 0x12,
    "[20~": 0x13, "[21~": 0x14, "[23~": 0x15, "[24~": 0x16,
}  # fmt: skip


class Key(NamedTuple):
    """EFI_INPUT_KEY."""

    scan_code: int
    unicode_char: int


class KeySource(Protocol):
    """Source of keys.

    Attributes:
        live: The user may still type: waiting takes real time.
        ended: No key will ever come again.
    """

    live: bool

    @property
    def ended(self) -> bool:
        """Whether no key will ever come again."""
        ...

    def ready(self) -> bool:
        """Whether a key waits."""
        ...

    def read(self) -> Key | None:
        """The next key, or None; never waits."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for a key, at most so long."""

    def sleep(self, seconds: float) -> None:
        """Let real time pass."""


class ScriptedKeys:
    """Keys known in advance.

    Args:
        text: Characters; ``\\r\\n`` and ``\\n`` are one Enter, escape sequences are the keys that send them.
    """

    live = False

    def __init__(self, text: str = "") -> None:
        self._keys = deque(keys_of(text))

    @property
    def ended(self) -> bool:
        """Whether all were read."""
        return not self._keys

    def ready(self) -> bool:
        """Whether one is left."""
        return bool(self._keys)

    def read(self) -> Key | None:
        """The next one."""
        return self._keys.popleft() if self._keys else None

    def wait(self, seconds: float) -> None:
        """Nothing more will come."""

    def sleep(self, seconds: float) -> None:
        """Time is virtual."""


def keys_of(text: str) -> Iterable[Key]:
    """The keys that a terminal sends as ``text``."""
    text = text.replace("\r\n", "\r").replace("\n", "\r")
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == "\x1b":
            sequence = next((known for known in _SEQUENCES if text.startswith(known, at)), None)
            yield Key(SCAN_ESC if sequence is None else _SEQUENCES[sequence], 0)
            at += len(sequence or "")
        elif character == "\x7f":
            yield Key(0, 8)
        else:
            yield Key(0, ord(character) & 0xFFFF)
