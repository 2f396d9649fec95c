"""A bare emulated processor whose state tests look at and change, with nothing around it."""

from __future__ import annotations

from typing import Any

import pytest

from tdvfsh.engine.x86.processor_state import ProcessorState

CODE = 0x1000
STACK = 0x8000
SIZE = 0x10000
SANDY_BRIDGE = 11


def bare_processor() -> tuple[Any, ProcessorState]:
    """Unicorn in 64-bit mode with 64 KiB of memory at 0, and its state, loaded; skips where there is no Unicorn."""
    unicorn: Any = pytest.importorskip("unicorn", reason="the CPU engine is not installed: extra [cpu]")
    uc = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    uc.mem_map(0, SIZE)
    state = ProcessorState(uc)
    state.load()
    return uc, state
