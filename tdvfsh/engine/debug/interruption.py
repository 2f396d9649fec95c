"""Stopping a run from outside at the start of a block of code, where it can be continued from.

Unicorn's own stop from another thread may end a run between the store and the end of an instruction that reads,
changes and writes memory. While a debugger is attached, each block of code therefore looks at one byte first, in a few
instructions of the host's own; Python is not called. Where the host forbids such code, or has another processor, a run
is interrupted at its next stop.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from typing import Any, Final

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.cpu import Cpu

_FLAG: Final = 128
_MACHINES: Final = ("x86_64", "AMD64")


def _code(flag: int, stop: int) -> bytes:
    """mov rax, flag; cmp byte [rax], 0; jne +1; ret; mov rax, stop; jmp rax. The engine is the first argument."""
    look = b"\x48\xb8" + flag.to_bytes(8, "little") + b"\x80\x38\x00" + b"\x75\x01" + b"\xc3"
    return look + b"\x48\xb8" + stop.to_bytes(8, "little") + b"\xff\xe0"


class Interruption:
    """What another thread interrupts a run by.

    Args:
        cpu: The processor.
    """

    def __init__(self, cpu: Cpu) -> None:
        self._cpu = cpu
        self._page: mmap.mmap | None = None
        self._hook: Any = None
        self.requested = False

    def attach(self) -> None:
        """Have each block of code look. Only while no guest code runs."""
        if self._hook is not None or platform.machine() not in _MACHINES:
            return
        unicorn: Any = cpu_extra("unicorn")
        library: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib
        try:
            protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
            page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, protection)
        except (OSError, AttributeError):
            return
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        code = _code(start + _FLAG, ctypes.cast(library.uc_emu_stop, ctypes.c_void_p).value or 0)
        page[: len(code)] = code
        hook = ctypes.c_size_t()
        status = library.uc_hook_add(
            self._cpu.uc._uch, ctypes.byref(hook), unicorn.UC_HOOK_BLOCK, ctypes.c_void_p(start), None,
            ctypes.c_uint64(1), ctypes.c_uint64(0),
        )  # fmt: skip
        if status == unicorn.UC_ERR_OK:
            self._page, self._hook = page, hook
            self._cpu.uc.ctl_flush_tb()

    def request(self) -> None:
        """Interrupt the run as soon as it can be continued; any thread may call this."""
        self.requested = True
        if self._page is not None:
            self._page[_FLAG] = 1

    def take(self) -> bool:
        """Whether an interruption was requested; the request is over."""
        requested, self.requested = self.requested, False
        if requested and self._page is not None:
            self._page[_FLAG] = 0
        return requested
