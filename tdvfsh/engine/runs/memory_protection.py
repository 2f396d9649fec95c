"""The page tables follow the machine's memory protection while boot services run."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.x86.protected_paging import ProtectedPaging
from tdvfsh.machine.machine import Machine


def protect_memory(machine: Machine, paging: ProtectedPaging | None) -> Callable[[], None]:
    """What to call where services may have changed memory types or attributes; it costs where they did.

    Args:
        machine: Whose firmware protects memory.
        paging: Its page tables; None where nothing is protected.
    """
    if paging is None:
        return lambda: None
    seen: tuple[object, int, int] | None = None

    def update() -> None:
        nonlocal seen
        core = machine.services.core
        if core.at_runtime:
            return
        now = (core, core.memory_map.key, core.protection.version)
        if now != seen:
            seen = now
            paging.update(core.protection.spans(core.memory_map))

    return update
