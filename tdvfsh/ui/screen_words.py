"""Addresses and sizes that were printed, for completion: what a user reads off ``memmap`` need not be typed."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator

from tdvfsh.lazy_typing import Final

_KEPT: Final = 2_000
_LOOKED_AT: Final = 1 << 16  # characters at the end of one write: as much as a user may have read
_NUMBER: Final = re.compile(r"\b(?:0[xX][0-9A-Fa-f]{1,16}|[0-9A-F]{8,16}|(?:\d+(?:\.\d+)?)[KMGT])\b")
_HEX: Final = re.compile(r"(?:0[xX])?[0-9A-Fa-f]*")


class ScreenWords:
    """The last numbers seen, newest first."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[int, str] = OrderedDict()
        self._sizes: OrderedDict[str, str] = OrderedDict()

    def see(self, text: str) -> None:
        """Take the numbers out of printed text; each is remembered with the first word of its line."""
        for line in text[-_LOOKED_AT:].split("\n"):
            words = line.split(None, 1)
            label = words[0].rstrip(":,") if words else ""
            for word in _NUMBER.findall(line):
                self._remember(word, label)

    def _remember(self, word: str, label: str) -> None:
        meta = "on screen" if word in label or not label else f"on screen, {label}"
        if word[-1] in "KMGT":
            self._sizes[word] = meta
            self._sizes.move_to_end(word)
            if len(self._sizes) > _KEPT:
                self._sizes.popitem(last=False)
            return
        value = int(word, 16)
        self._addresses[value] = meta
        self._addresses.move_to_end(value)
        if len(self._addresses) > _KEPT:
            self._addresses.popitem(last=False)

    def addresses(self) -> list[str]:
        """All addresses, as ``0x`` numbers."""
        return [f"{value:#x}" for value in reversed(self._addresses)]

    def sizes(self) -> list[str]:
        """All sizes with a suffix."""
        return list(reversed(self._sizes))

    def matching(self, typed: str) -> Iterator[tuple[str, str]]:
        """Numbers that begin with what was typed, and what they are.

        Args:
            typed: At least one digit; ``0x`` and leading zeros decide how the addresses are spelled.
        """
        if not typed or not typed[0].isalnum():
            return
        if _HEX.fullmatch(typed) is not None:
            wanted = typed.upper().replace("X", "x")
            for value, meta in reversed(self._addresses.items()):
                plain = f"{value:X}"
                for spelled in (f"0x{plain}", plain, f"{value:016X}"):
                    if spelled.startswith(wanted):
                        yield spelled, meta
                        break
        for size, meta in reversed(self._sizes.items()):
            if size.startswith(typed):
                yield size, meta
