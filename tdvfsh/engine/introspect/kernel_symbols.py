"""Names for a running Linux kernel's code, by the symbol table in its memory, and which code accepts memory in it.

The kernel's own unwinding tables are not read: a word on the stack counts as a return address where it lies in the
kernel's code after a call. Of several candidates near each other one that follows a call of the function
that is being returned from is believed first, since what the others called has ended: they are left over.

Source, for the callers of accept_memory(): Linux 6.12 and 7.2, found in Debian's kernels as calls and jumps in
the code.

- mm/memblock.c: memblock_alloc_range_nid() and memblock_double_array() accept what early boot allocates.
- mm/page_alloc.c: get_page_from_freelist() and the bulk allocator go through cond_accept_memory() to __accept_page()
  when a zone runs low; set_migratetype_isolate() (contiguous ranges) goes through accept_page() to it.
- mm/page_alloc.c, mm/mm_init.c: __free_pages_core() and deferred_init_maxorder() accept what goes to the page allocator
  for the first time. ``accept_memory=eager`` accepts everything there; ``lazy`` only pieces below 4 MiB.
- mm/memory_hotplug.c: online_pages() frees new memory through the same __free_pages_core().
- arch/x86/coco/tdx/tdx.c: tdx_enc_status_changed() accepts what set_memory_encrypted() makes private again.
- kernel/kexec_core.c (7.2): sanity_check_segment_list() accepts where the next kernel will be.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from tdvfsh.engine.x86.return_addresses import CALL_REACH, call_target, follows_call
from tdvfsh.formats.symbols.kallsyms import Kallsyms, find_kallsyms
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import PAGE_SIZE, align_down

MEMBLOCK: Final = "memblock"
PAGE_ALLOCATOR: Final = "page allocator"
EAGER: Final = "eager"
HOTPLUG: Final = "hotplug"
CONVERSION: Final = "conversion"
OTHER: Final = "other"

_PHASES: Final = (
    ("__free_pages_core", EAGER),
    ("deferred_", EAGER),
    ("memblock_free_", EAGER),
    ("memblock_", MEMBLOCK),
    ("__accept_page", PAGE_ALLOCATOR),
    ("accept_page", PAGE_ALLOCATOR),
    ("try_to_accept_memory", PAGE_ALLOCATOR),
    ("cond_accept_memory", PAGE_ALLOCATOR),
    ("get_page_from_freelist", PAGE_ALLOCATOR),
    ("alloc_pages_bulk", PAGE_ALLOCATOR),
    ("tdx_enc_status_change", CONVERSION),
    ("tdx_kexec_finish", CONVERSION),
    ("sanity_check_segment_list", OTHER),
)
_ONLINE: Final = ("generic_online_page", "online_pages", "virtio_mem_")
KERNEL_MAP: Final = 0xFFFF_FFFF_8000_0000
"""Where a kernel's own mapping begins."""
_STACK_WORDS: Final = 512
FRAMES: Final = 16
"""How many callers are looked at."""
_LOOK_AHEAD: Final = 6


class _Return(NamedTuple):
    """A possible return address.

    Attributes:
        address: It.
        function: Address of the function that it is in.
        called: Address of the function that was called there; None for a call through a register or memory.
    """

    address: int
    function: int
    called: int | None


class KernelSymbols:
    """The kernel that lies in guest memory from ``start`` on.

    Nothing is read before the first question. Until the kernel runs at its linear addresses it is known by its
    physical ones.

    Args:
        view: RAM by guest physical address.
        start: Guest physical address of the kernel's first byte, ``_text``.
        end: First byte after it.
        translate: Guest physical address of a linear page; None where it is not mapped.
    """

    def __init__(self, view: memoryview, start: int, end: int, translate: Callable[[int], int | None]) -> None:
        self._image = view[start:end]
        self._start = start
        self._end = end
        self._translate = translate
        self._linear: int | None = None
        self._names: dict[int, str] = {}
        self._returns: dict[int, _Return] = {}
        self._found: tuple[Kallsyms, tuple[tuple[int, int], ...]] | None = None
        self._searched = False

    @property
    def _symbols(self) -> tuple[Kallsyms, tuple[tuple[int, int], ...]] | None:
        """Symbols by offset in the image, and the ranges of code."""
        if not self._searched:
            self._searched = True
            symbols = find_kallsyms(self._image, 0)
            if symbols is not None:
                self._found = symbols, (symbols.text, symbols.init_text)
        return self._found

    @property
    def found(self) -> bool:
        """Whether this kernel has a symbol table."""
        return self._symbols is not None

    @property
    def linear(self) -> int | None:
        """Linear address of its first byte; None while none of its own mapping was seen."""
        return self._linear

    @property
    def start(self) -> int:
        """The address of its first byte, as far as it is known: linear, or physical before it runs there."""
        return self._start if self._linear is None else self._linear

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self._image)

    def address_of(self, name: str) -> int | None:
        """Address of a symbol; None where there is none of that name."""
        found = None if self._symbols is None else self._symbols[0].address_of(name)
        return None if found is None else self.start + found

    def all_symbols(self) -> list[tuple[str, int]]:
        """Name and offset from the first byte of each symbol in the image."""
        return [] if self._symbols is None else list(self._symbols[0].in_image())

    def _offset(self, address: int) -> int | None:
        """Where in the image a linear address leads; the first in the kernel's own mapping says where that is."""
        if self._linear is None and address >= KERNEL_MAP:
            page = self._translate(align_down(address, PAGE_SIZE))
            if page is not None and self._start <= page < self._end:
                self._linear = align_down(address, PAGE_SIZE) - (page - self._start)
                self._names, self._returns = {}, {}
        offset = address - (self._start if self._linear is None else self._linear)
        return offset if 0 <= offset < len(self._image) else None

    def name(self, address: int) -> str:
        """An address as ``accept_memory+0x1c``; the bare number where it is not in this kernel."""
        known = self._names.get(address)
        if known is None:
            offset = self._offset(address)
            symbol = None if offset is None or self._symbols is None else self._symbols[0].at(offset)
            known = self._names[address] = str(symbol) if symbol is not None else f"{address:#x}"
        return known

    def contains(self, address: int) -> bool:
        """Whether an address is in this kernel's code."""
        offset = self._offset(address)
        return offset is not None and self._is_code(offset)

    def _is_code(self, offset: int) -> bool:
        return self._symbols is not None and any(start <= offset < end for start, end in self._symbols[1])

    def call_chain(
        self, rsp: int, read: Callable[[int, int], bytes | None], rip: int | None = None, frames: int = FRAMES
    ) -> tuple[str, ...]:
        """The callers, the innermost first.

        Args:
            rsp: The stack pointer.
            read: Bytes at a linear address, None where they cannot be read; it is asked for parts of one page.
            rip: The instruction pointer. With it the chain begins with its name, if it is in the kernel's code.
            frames: Maximum number of names.
        """
        return tuple(islice(self.callers(rsp, read, rip), frames))

    def callers(self, rsp: int, read: Callable[[int, int], bytes | None], rip: int | None = None) -> Iterator[str]:
        """The same, one by one: the stack is read as far as is asked for."""
        candidates = (found for word in _stack(rsp & ~7, read) if (found := self._return(word)) is not None)
        function = self._function(rip) if rip is not None else None
        if rip is not None and function is not None:
            yield self.name(rip)
        near: list[_Return] = []
        while True:
            near += islice(candidates, _LOOK_AHEAD - len(near))
            if not near:
                return
            believed = (at for at, found in enumerate(near) if function is not None and found.called == function)
            chosen = next(believed, 0)
            yield self.name(near[chosen].address)
            function = near[chosen].function
            del near[: chosen + 1]

    def _function(self, address: int) -> int | None:
        """Address of the function that ``address`` is in, None outside of the kernel's code."""
        offset = self._offset(address)
        if offset is None or not self._is_code(offset) or self._symbols is None:
            return None
        symbol = self._symbols[0].at(offset)
        return None if symbol is None else address - symbol.offset

    def _return(self, word: int) -> _Return | None:
        known = self._returns.get(word)
        if known is not None:
            return known
        offset = self._offset(word)
        if offset is None or offset < CALL_REACH or not self._is_code(offset):
            return None
        before = bytes(self._image[offset - CALL_REACH : offset])
        if not follows_call(before):
            return None
        function = self._function(word - 1)  # a call may be the last instruction of a function that does not return
        if function is None:
            return None
        known = self._returns[word] = _Return(word, function, call_target(before, word))
        return known


def _stack(address: int, read: Callable[[int, int], bytes | None]) -> Iterable[int]:
    """The words from ``address`` upward, as far as they can be read."""
    end = address + 8 * _STACK_WORDS
    while address < end:
        data = read(address, min(end, align_down(address, PAGE_SIZE) + PAGE_SIZE) - address)
        if data is None:
            return
        yield from struct.unpack(f"<{len(data) // 8}Q", data)
        address += len(data)


def accept_phase(names: Iterable[str]) -> str:
    """What part of the kernel makes an accept.

    The kernel's decompressor and its EFI stub are not part of the running kernel and have no names there.

    Args:
        names: The call chain, the innermost first, as :meth:`KernelSymbols.call_chain` returns it.

    Returns:
        ``memblock``, ``page allocator``, ``eager``, ``hotplug``, ``conversion``; ``other`` where no name tells.
    """
    seen: list[str] = []
    rest = iter(names)
    for function in rest:
        seen.append(function)
        for prefix, phase in _PHASES:
            if function.startswith(prefix):
                comes_online = phase is EAGER and any(name.startswith(_ONLINE) for name in (*seen, *rest))
                return HOTPLUG if comes_online else phase
    return OTHER
