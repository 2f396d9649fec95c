"""Stopping a run at the start of a block of code, where it can be continued from: from outside, or after a count.

Unicorn's own stop from another thread may end a run between the store and the end of an instruction that reads,
changes and writes memory. While a gdb is attached, each block of code therefore counts down and looks at one flag, in a
few instructions of the host's own; Python is not called. Where the host forbids such code, or has another processor, a
run is interrupted at its next stop, and nothing is counted.

The count is the same in every run, as that of :mod:`tdvfsh.engine.x86.block_counter` is, so that it names the place at
which a run was interrupted.
"""

from __future__ import annotations

import ctypes
import mmap
import platform

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.lazy_typing import Any, Final

_MACHINES: Final = ("x86_64", "AMD64")
_FOREVER: Final = 1 << 62
_CODE: Final = bytes.fromhex("48832901 7e07 80790800 7501 c3 ff6110")
"""sub qword [rcx], 1; jle stop; cmp byte [rcx + 8], 0; jne stop; ret; stop: jmp [rcx + 16]. The callback's data, in
RCX, are the count, the flag, and the address of ``uc_emu_stop``, which takes the callback's first argument."""


class Interruption:
    """What ends a run at a block of code: another thread, or a number of blocks.

    Args:
        cpu: The processor.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._page: mmap.mmap | None = None
        self._hook: Any = None
        self._words = (ctypes.c_int64 * 3)(_FOREVER, 0, 0)
        self._armed = _FOREVER

    def attach(self) -> None:
        """Have each block of code count and look. Only while no guest code runs."""
        if self._hook is not None or platform.machine() not in _MACHINES:
            return
        unicorn: Any = cpu_extra("unicorn")
        library: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib
        try:
            protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
            page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, protection)
        except (OSError, AttributeError):
            return
        page[: len(_CODE)] = _CODE
        self._words[2] = ctypes.cast(library.uc_emu_stop, ctypes.c_void_p).value or 0
        hook = ctypes.c_size_t()
        status = library.uc_hook_add(
            self._cpu.uc._uch, ctypes.byref(hook), unicorn.UC_HOOK_BLOCK,
            ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page))),
            ctypes.c_void_p(ctypes.addressof(self._words)), ctypes.c_uint64(1), ctypes.c_uint64(0),
        )  # fmt: skip
        if status == unicorn.UC_ERR_OK:
            self._page, self._hook = page, hook
            self._cpu.uc.ctl_flush_tb()

    # ---- blocks -------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> bool:
        """Whether blocks are counted here."""
        return self._hook is not None

    @property
    def left(self) -> int:
        """Blocks that are still to begin before the run ends; the one at which this is zero or less has not run."""
        return self._words[0]

    def arm(self, count: int) -> None:
        """Set what is left, as :class:`tdvfsh.engine.x86.block_counter.BlockCounter` has it."""
        self._words[0] = count

    def begin(self, blocks: int | None) -> None:
        """Count from here on, and end the run when it is about to begin block number ``blocks``; never where None."""
        self._armed = self._words[0] = _FOREVER if blocks is None else blocks

    @property
    def begun(self) -> int:
        """Blocks that have begun since."""
        return self._armed - self._words[0]

    @property
    def over(self) -> bool:
        """Whether the number of blocks has begun."""
        return self._words[0] <= 0

    # ---- another thread -----------------------------------------------------------------------------------------

    @property
    def requested(self) -> bool:
        """Whether another thread has asked for it."""
        return self._words[1] != 0

    def request(self) -> None:
        """Interrupt the run as soon as it can be continued; any thread may call this."""
        self._words[1] = 1

    def take(self) -> bool:
        """Whether an interruption was requested; the request is over, and what it was for is to be looked at next."""
        requested = self.requested
        self._words[1] = 0
        return requested
