"""The TD options, which are declared in :mod:`tdvfsh.options.td`, for whom makes a machine."""

from __future__ import annotations

from tdvfsh.options.td import (
    ACCEPT_AT_EXIT_NAMES,
    LOADER_NAMES,
    NO_ACCEPT_AT_EXIT,
    PLAIN_VM,
    UNLESS_OBJECTED,
    TdOptions,
)

__all__ = ["ACCEPT_AT_EXIT_NAMES", "LOADER_NAMES", "NO_ACCEPT_AT_EXIT", "PLAIN_VM", "UNLESS_OBJECTED", "TdOptions"]
