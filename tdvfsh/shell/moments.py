"""Moments that were given a name, by ``snap``."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.shell.history import Moment, full_moment

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

FAMILY = "snapshots"
NOW = "now"
"""The name of the present moment, which no snapshot may have."""


def moments(shell: Shell) -> dict[str, Moment]:
    """The shell's snapshots by name, in the order in which they were taken."""
    known = shell.state.setdefault(FAMILY, {})
    assert isinstance(known, dict)
    return known


def moment_names(shell: Shell) -> list[str]:
    """The names of all snapshots."""
    return list(moments(shell))


def named_moment(shell: Shell, name: str) -> Moment | None:
    """A snapshot by name in any case, or the present; None where there is none."""
    if name.lower() == NOW:
        return full_moment(shell, "")
    return next((moment for known, moment in moments(shell).items() if known.lower() == name.lower()), None)
