"""The order of Debian package versions.

Source: Debian Policy 5.6.12; deb-version(7).
"""

from __future__ import annotations

import re

from tdvfsh.lazy_typing import Final

_PART: Final = re.compile(r"(\D*)(\d*)")
_END: Final = 1
"""Weight of the end of a text: after ``~`` and before everything else."""

VersionKey = tuple[int, tuple[tuple[tuple[int, ...], int], ...], tuple[tuple[tuple[int, ...], int], ...]]


def version_key(version: str) -> VersionKey:
    """A key that sorts version texts as dpkg does; ``1.0~rc1`` < ``1.0`` < ``1.0+deb13`` < ``1.10``."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return int(epoch), _fragments(upstream), _fragments(revision)


def _fragments(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Pairs of a non-digit part, as weights, and the number after it."""
    parts = [match.groups() for match in _PART.finditer(text) if match.group()]
    return tuple(((*(map(_weight, letters)), _END), int(digits or 0)) for letters, digits in (*parts, ("", "")))


def _weight(letter: str) -> int:
    if letter == "~":
        return 0
    return ord(letter) + (2 if letter.isalpha() else 0x1000)
