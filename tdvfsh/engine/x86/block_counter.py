"""A countdown of the blocks of code that the processor runs, which stops it at zero.

The emulator calls a function at the start of each block: of this process's own machine code, where the host's processor
is one that it is written for, else of Python. The count is the same with either, and in every run: a block begins where
the guest's code is jumped to, where a run of the processor begins, and at each turn of a REP instruction. It does not
matter how often the emulator has translated it, whether blocks are chained, or what the host's clock says.

What was tried, on 269 million blocks of a kernel's boot (processor seconds, the same boot without it 10.9 s):

- the emulator's own count of instructions (``count`` of ``uc_emu_start``): about six times the run;
- a Python callback a block: about forty times;
- machine code as callback of each block, called by the translated code without any list of hooks: 0.6 to 0.7 s, that is
  2.5 ns a block. This is what stands here.

To count only blocks that jump back would need a hook each, and all hooks are looked at whenever a block is translated.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.lazy_typing import Any, Final, Protocol

_CODE_OFFSET: Final = 64
_EVERYWHERE: Final = (1, 0)  # a begin above the end
_MACHINE_CODE: Final = {
    # sub qword [rcx], 1; jle +1; ret; jmp [rcx + 8]
    ("posix", "x86_64"): bytes.fromhex("48832901 7e01 c3 ff6108"),
    # ldr x4, [x3]; subs x4, x4, #1; str x4, [x3]; b.le +8; ret; ldr x16, [x3, #8]; br x16
    ("linux", "aarch64"): bytes.fromhex("640040f9 840400f1 640000f9 4d000054 c0035fd6 700440f9 00021fd6"),
}
"""Functions of (emulator, address, size, data) in the host's calling convention, where data points to two words: the
count, and the address of ``uc_emu_stop``, which is called with the emulator."""


class BlockCounter(Protocol):
    """A countdown of blocks."""

    @property
    def left(self) -> int:
        """Blocks that are still to begin; the one at which this is zero or less has not run."""
        ...

    def arm(self, count: int) -> None:
        """Stop the processor when it is about to begin its block number ``count`` from here."""
        ...


def machine_code() -> bytes | None:
    """The callback for this host; None where there is none."""
    name = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    posix = "posix" if sys.platform != "win32" and sys.maxsize > 1 << 32 else ""
    return _MACHINE_CODE.get((posix, name)) or _MACHINE_CODE.get((sys.platform, name))


def block_counter(uc: Any, count: int) -> BlockCounter:
    """Count the blocks of an emulator from now on.

    Args:
        uc: The emulator, which does not run now.
        count: As for :meth:`BlockCounter.arm`.
    """
    code = machine_code()
    if code is not None:
        try:
            return NativeBlockCounter(uc, code, count)
        except OSError:  # a host that lets nobody write code
            pass
    return PythonBlockCounter(uc, count)


class NativeBlockCounter:
    """A countdown in machine code.

    Args:
        uc: The emulator.
        code: The machine code.
        count: As for :meth:`arm`.

    Raises:
        OSError: The host maps no memory to execute.
    """

    def __init__(self, uc: Any, code: bytes, count: int) -> None:
        unicorn: Any = cpu_extra("unicorn")
        library: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib
        self._page = _executable(code)
        self._words = (ctypes.c_int64 * 2)(count, ctypes.cast(library.uc_emu_stop, ctypes.c_void_p).value or 0)
        hook = ctypes.c_size_t()
        status = library.uc_hook_add(
            uc._uch,
            ctypes.byref(hook),
            ctypes.c_int(unicorn.UC_HOOK_BLOCK),
            ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(self._page)) + _CODE_OFFSET),
            ctypes.c_void_p(ctypes.addressof(self._words)),
            *map(ctypes.c_uint64, _EVERYWHERE),
        )
        if status != unicorn.UC_ERR_OK:
            raise OSError(f"the emulator refuses a hook: error {status}")
        uc.ctl_flush_tb()

    @property
    def left(self) -> int:
        """Blocks that are still to begin."""
        return self._words[0]

    def arm(self, count: int) -> None:
        """Stop the processor when it is about to begin its block number ``count`` from here."""
        self._words[0] = count


class PythonBlockCounter:
    """A countdown in Python, for hosts without machine code for it: the same count, and very slow.

    Args:
        uc: The emulator.
        count: As for :meth:`arm`.
    """

    def __init__(self, uc: Any, count: int) -> None:
        unicorn: Any = cpu_extra("unicorn")
        self.left = count

        def begins(uc: Any, address: int, size: int, data: object) -> None:
            self.left -= 1
            if self.left <= 0:
                uc.emu_stop()

        uc.hook_add(unicorn.UC_HOOK_BLOCK, begins, begin=_EVERYWHERE[0], end=_EVERYWHERE[1])
        uc.ctl_flush_tb()

    def arm(self, count: int) -> None:
        """Stop the processor when it is about to begin its block number ``count`` from here."""
        self.left = count


def _executable(code: bytes) -> mmap.mmap:
    """A page with code, which is not executable while it is written, so that the host's caches notice."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    page[_CODE_OFFSET : _CODE_OFFSET + len(code)] = code
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    protect: Any = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    if protect(address, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_EXEC):
        raise OSError(ctypes.get_errno(), "mprotect")
    return page
