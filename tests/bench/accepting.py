"""AcceptMemory of more and more bytes: one call, one accept of the TDX module's page by page in the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import GIB, PAGE_SIZE, TIB
from tests.bench.measure import Figure, Goal, interleave

GROUP: Final = "accept"
_START: Final = 64 * GIB
_SIZES: Final = (("4 KiB", PAGE_SIZE), ("1 GiB", GIB), ("1 TiB", TIB))


def figures() -> list[Figure]:
    """The first accept of a range, on a machine set back to the moment before each time."""
    runs: dict[str, Callable[[], object]] = {"restore": _accept_of(0)}
    runs |= {name: _accept_of(size) for name, size in _SIZES}
    medians = interleave(runs)
    restore = medians["restore"]
    small = medians[_SIZES[0][0]] - restore
    return [
        Figure(GROUP, f"AcceptMemory of {name}", "" if size == PAGE_SIZE else "of 4 KiB", medians[name] - restore,
               None if size == PAGE_SIZE else small, goal=None if size == PAGE_SIZE else Goal(ratio=2))
        for name, size in _SIZES
    ]  # fmt: skip


def _accept_of(size: int) -> Callable[[], object]:
    machine = Machine(TdOptions(memory=4 * TIB, accept=parse_boot_accept("512M")))
    before = machine.snapshot()

    def run() -> None:
        machine.restore(before)
        if size:
            assert machine.services.accept_memory(_START, size) is SUCCESS

    return run
