"""Requests of firmware's own to its pool of BootServicesData, from which follow the pages that the pool takes.

When a pool takes a page, or returns one, depends on all small requests before: one blob less, and every later page is
taken at another moment, often between an image and the buffer that it was read into, and what is loaded afterwards
lies elsewhere. So a model has the requests, not the pages.

A text has one word for each request or free, without blanks where two letters meet:

- ``a`` to ``g``: a request of that size class (edk2's pool sizes below a page, overhead included);
- ``k``, ``i``: a request of as many bytes as the command line, the initrd, has;
- a number N: the block of the request N requests ago is freed, the last request being number 1;
- ``A`` to ``G``: a block that was in use before the text begins is freed, and its page stays.

A request that is left out in a boot without an initrd counts as one all the same.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Pool.c; recorded with a debugger on QEMU's gdb stub at CoreAllocatePool and
CoreFreePool; held by tests/loaders/test_pool_requests.py.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache

from tdvfsh.dxe.memory.pool import BLOCK_SIZES, POOL_OVERHEAD
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.td.firmware_calls import FirmwareCall, FirmwareCalls
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import PAGE_SIZE

WITHOUT_INITRD: Final = "without-initrd"
"""A mark: the calls before it are those of a boot with an initrd, those after it, counted anew, of one without."""

_WORD: Final = pattern(r"[a-gikA-G]|\d+")
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_KEPT: Final = 128


class _Page:
    """A page of the pool: the call that took it, and how many of its blocks are in use."""

    __slots__ = ("call", "used")

    def __init__(self, call: int) -> None:
        self.call = call
        self.used = 0


class _Block:
    """A block of a page."""

    __slots__ = ("index", "page")

    def __init__(self, page: _Page | None, index: int) -> None:
        self.page = page
        self.index = index


class _Pool:
    """Free blocks by size class, the one to be taken next last."""

    def __init__(self) -> None:
        self.free: list[list[_Block]] = [[] for _ in BLOCK_SIZES]

    def take(self, index: int, call: int) -> tuple[_Block, bool]:
        """A block of a class, and whether a page had to be taken for it, by the call number ``call``."""
        for larger in range(index, len(BLOCK_SIZES)):
            if self.free[larger]:
                page = self.free[larger].pop().page
                self._carve(page, BLOCK_SIZES[larger] - BLOCK_SIZES[index], larger)
                return self._used(page, index), False
        page = _Page(call)
        self._carve(page, PAGE_SIZE - BLOCK_SIZES[index], len(BLOCK_SIZES))
        return self._used(page, index), True

    def give(self, block: _Block) -> int | None:
        """Free a block; returns the call that took its page where nothing in the page is in use any more."""
        self.free[block.index].append(block)
        page = block.page
        if page is None:
            return None
        page.used -= 1
        if page.used:
            return None
        for blocks in self.free:
            blocks[:] = [other for other in blocks if other.page is not page]
        return page.call

    def _used(self, page: _Page | None, index: int) -> _Block:
        if page is not None:
            page.used += 1
        return _Block(page, index)

    def _carve(self, page: _Page | None, room: int, below: int) -> None:
        for index in range(below - 1, -1, -1):
            while room >= BLOCK_SIZES[index]:
                self.free[index].append(_Block(page, index))
                room -= BLOCK_SIZES[index]


@lru_cache(maxsize=_KEPT)
def with_pool_pages(calls: tuple[FirmwareCall, ...], initrd_size: int, cmdline_size: int) -> FirmwareCalls:
    """Calls whose requests to the pool have become the pages that it takes and returns.

    Args:
        calls: As a model has them.
        initrd_size: Bytes of the initrd; 0 for none, which leaves out what is done only for one.
        cmdline_size: Bytes of the command line, its NUL included; 0 for none.
    """
    marks = [number for number, call in enumerate(calls) if call.do == WITHOUT_INITRD]
    if marks:
        calls = calls[: marks[0]] if initrd_size else calls[marks[0] + 1 :]
    if not any(call.pool for call in calls):
        return FirmwareCalls(calls)
    return FirmwareCalls(_resolve(calls, {"i": initrd_size, "k": cmdline_size}))


def _resolve(calls: tuple[FirmwareCall, ...], sizes: dict[str, int]) -> list[FirmwareCall]:
    pool, requests, out = _Pool(), list[_Block | None](), list[FirmwareCall]()
    places: dict[int, int] = {}
    for number, call in enumerate(calls):
        if not call.pool:
            places[number] = len(out)
            out.append(call if call.frees is None else call._replace(frees=places.get(call.frees)))
            continue
        left_out = call.initrd and not sizes["i"]
        for word in _WORD.findall(call.pool):
            if word.isdigit():
                block = _freed(requests, int(word))
            elif word.isupper():
                block = _Block(None, ord(word) - ord("A"))
            else:
                index = bisect_left(BLOCK_SIZES, sizes[word] + POOL_OVERHEAD) if word in sizes else ord(word) - ord("a")
                if left_out or index == len(BLOCK_SIZES) or not sizes.get(word, 1):
                    requests.append(None)
                    continue
                taken, grows = pool.take(index, len(out))
                if grows:
                    out.append(FirmwareCall(memory_type=_BS_DATA, pages=1))
                requests.append(taken)
                continue
            returned = None if block is None else pool.give(block)
            if returned is not None:
                out.append(FirmwareCall(frees=returned, pages=1))
    return out


def _freed(requests: list[_Block | None], ago: int) -> _Block | None:
    if not 0 < ago <= len(requests):
        return None
    block, requests[-ago] = requests[-ago], None
    return block
