"""Stores at full speed where no code is: the emulator's slow path only for pages that hold translated code.

The emulator notices that code is overwritten by looking at every store, and stops doing so for a page that has been
written, unless a hook for accesses to memory applies there. A hook for unmapped memory that applies everywhere, as it
is natural to have one, so makes every store of a run a slow one: a third of a kernel's boot. Here it applies only where
no memory is mapped.

Without any hook the emulator looks away too early: it forgets that a page which is written by one linear address may
hold code that is executed by another, as a kernel's copies of programs do. So each piece of RAM that code was
translated from gets a hook of a kind that is never called, and what is remembered of linear addresses is dropped when
that happens.

Source: Unicorn 2.1.4 qemu/accel/tcg/cputlb.c, notdirty_write; exec-all.h, uc_mem_hook_installed.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Any, Final, NamedTuple

_PIECE_SHIFT: Final = 14
_PIECE: Final = 1 << _PIECE_SHIFT
_END: Final = 1 << 64


class _CodeHook(NamedTuple):
    """The hook of memory ``[start, end)`` that code was translated from."""

    start: int
    end: int
    hook: object


class PlainStores:
    """Hooks on memory that are where they must be, and nowhere else.

    Args:
        uc: The emulator.
        unmapped: Called for an access to unmapped memory.
    """

    def __init__(self, uc: Any, unmapped: Callable[..., bool]) -> None:
        self._unicorn: Any = cpu_extra("unicorn")
        binding: Any = cpu_extra("unicorn.unicorn_py3.unicorn")
        self._library: Any = binding.uclib
        self._translate: Any = self._library.uc_vmem_translate
        self._uc = uc

        def called(handle: object, access: int, address: int, size: int, value: int, key: object) -> bool:
            return unmapped(uc, access, address, size, value, None)

        # One callback for all: the binding makes one for each hook, which takes longer than all else of a touch.
        self._callback = binding.HOOK_MEM_INVALID_CFUNC(called)
        self._callback_pointer = ctypes.cast(self._callback, ctypes.c_void_p)
        self._physical = ctypes.c_uint64()
        self._hooks: dict[tuple[int, int], int] = {(1, 0): self._watch(1, 0)}
        self._with_code: set[int] = set()
        self._code_hooks: dict[int, _CodeHook] = {}
        self.active = False

    def _watch(self, begin: int, end: int) -> int:
        hook = ctypes.c_size_t()
        kind, pointer = self._unicorn.UC_HOOK_MEM_UNMAPPED, self._callback_pointer
        status = self._library.uc_hook_add(self._uc._uch, ctypes.byref(hook), kind, pointer, None, begin, end)
        if status:
            raise HostError(f"Unicorn adds no hook: error {status}")
        return hook.value

    def _unwatch(self, hook: int) -> None:
        self._library.uc_hook_del(self._uc._uch, hook)

    def show(self, mapped: list[tuple[int, int]]) -> None:
        """Other memory is mapped now: ranges in ascending order. Only while the processor does not run."""
        if not self.active:
            return
        wanted: list[tuple[int, int]] = []
        at = 0
        for start, end in [*mapped, (_END, _END)]:
            if at < start:
                wanted.append((at, start - 1))
            at = max(at, end)
        for gone in self._hooks.keys() - set(wanted):
            self._unwatch(self._hooks.pop(gone))
        for begin, end in wanted:
            if (begin, end) not in self._hooks:
                self._hooks[begin, end] = self._watch(begin, end)
        self._forget_translations()

    def show_more(self, gap: tuple[int, int | None], start: int, end: int) -> None:
        """``[start, end)`` is about to be mapped, in a gap between what is. Only while the processor does not run."""
        if not self.active:
            return
        low, last = gap[0], (gap[1] or _END) - 1
        self._unwatch(self._hooks.pop((low, last)))
        for begin, until in ((low, start - 1), (end, last)):
            if begin <= until:
                self._hooks[begin, until] = self._watch(begin, until)

    def begin(self, mapped: list[tuple[int, int]]) -> None:
        """From now on store so. No block is translated yet; :meth:`translated` is called for each from here on."""
        self.active = True
        self.show(mapped)

    def _forget_translations(self) -> None:
        self._uc.ctl(self._unicorn.UC_CTL_TLB_FLUSH, self._unicorn.UC_CTL_IO_WRITE)

    def translated(self, address: int, size: int) -> None:
        """A block of code was translated that begins at a linear address, and has not run yet."""
        self._holds_code(address)
        if (address ^ (address + size - 1)) >> 12:
            self._holds_code(address + size - 1)

    def _holds_code(self, address: int) -> None:
        status = self._translate(
            self._uc._uch, ctypes.c_uint64(address), self._unicorn.UC_PROT_EXEC, ctypes.byref(self._physical)
        )
        piece = -1 if status else self._physical.value >> _PIECE_SHIFT
        if piece in self._with_code:
            return
        self._with_code.add(piece)
        if piece >= 0:
            self._hook_code(piece << _PIECE_SHIFT, piece + 1 << _PIECE_SHIFT)
        else:
            self._uc.hook_add(self._unicorn.UC_HOOK_MEM_FETCH_PROT, _never, begin=1, end=0)
        self._forget_translations()

    def _hook_code(self, start: int, end: int) -> None:
        """One hook for pieces that lie side by side: each slow store looks through all hooks."""
        for edge in (start, end):
            beside = self._code_hooks.pop(edge, None)
            if beside is not None:
                other = beside.end if edge == beside.start else beside.start
                del self._code_hooks[other]
                self._uc.hook_del(beside.hook)
                start, end = min(start, beside.start), max(end, beside.end)
        hook: object = self._uc.hook_add(self._unicorn.UC_HOOK_MEM_FETCH_PROT, _never, begin=start, end=end - 1)
        self._code_hooks[start] = self._code_hooks[end] = _CodeHook(start, end, hook)


def _never(uc: object, access: int, address: int, size: int, value: int, data: object) -> bool:
    """A fetch from memory that is not executable; all memory is."""
    return False
