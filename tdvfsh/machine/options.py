"""The TD options as a dataclass: values in, compared, replaced and hashed as a whole.

They are declared in :mod:`tdvfsh.options.td`, which the command line reads without importing :mod:`dataclasses`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tdvfsh.options.td import (
    ACCEPT_AT_EXIT_NAMES,
    LOADER_NAMES,
    NO_ACCEPT_AT_EXIT,
    PLAIN_VM,
    UNLESS_OBJECTED,
    TdOptions,
)

__all__ = ["ACCEPT_AT_EXIT_NAMES", "LOADER_NAMES", "NO_ACCEPT_AT_EXIT", "PLAIN_VM", "UNLESS_OBJECTED", "TdOptions"]

TdOptions.__module__ = __name__  # where pickle, and with it a sweep's worker, finds it as a dataclass
dataclass(frozen=True)(TdOptions)
