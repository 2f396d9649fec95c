"""What is done for each block of code when the emulator translates it, before the block runs.

Source: Unicorn 2.1.4 include/unicorn/unicorn.h, uc_hook_edge_gen_t and uc_tb.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterable

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.lazy_typing import Any, Final, NamedTuple

_BLOCK: Final = struct.Struct("<QHH")  # address, instructions, bytes
_EVERYWHERE: Final = (1, 0)

Reached = Callable[[object, int, int, object], None]
"""Called before an instruction: with the emulator, address and size of the instruction, and None."""


class Search(NamedTuple):
    """A search through code.

    Attributes:
        concerned: Whether a block that begins at an address has to be looked through.
        places: Addresses of the instructions that are looked for, in the code of a block.
        reached: Called before each of them.
        known: Those that were found.
    """

    concerned: Callable[[int], bool]
    places: Callable[[bytes, int], list[int]]
    reached: Reached
    known: set[int]


class TranslatedCode:
    """Notifications of translated blocks, and searches through their code.

    Args:
        uc: The emulator.
        fetched: Returns code by address and size.
        failed: Called with an exception that came up meanwhile: it cannot leave a callback that C called.

    Attributes:
        searches: The searches through the code.
    """

    def __init__(self, uc: Any, fetched: Callable[[int, int], bytes], failed: Callable[[BaseException], None]) -> None:
        self._unicorn: Any = cpu_extra("unicorn")
        self._uc = uc
        self._fetched = fetched
        self._failed = failed
        self._callback: object = None
        self._notified: list[Callable[[int, int], None]] = []
        self.searches: list[Search] = []
        self._found: list[tuple[Search, int]] = []

    @property
    def found(self) -> bool:
        """Whether the run was stopped for :meth:`hook_found`."""
        return bool(self._found)

    def notify(self, callback: Callable[[int, int], None]) -> None:
        """Call ``callback`` with address and size of each block that is translated."""
        self._begin()
        self._notified.append(callback)

    def look_through(
        self, concerned: Callable[[int], bool], places: Callable[[bytes, int], list[int]], reached: Reached
    ) -> None:
        """Call ``reached`` before each instruction that ``places`` finds in a block of code that is translated.

        Args:
            concerned: Whether a block that begins at an address has to be looked through.
            places: As above, in the code of such a block.
            reached: As above.
        """
        self._begin()
        self.searches.append(Search(concerned, places, reached, set()))
        self._uc.ctl_flush_tb()

    def hook_found(self) -> None:
        """Hook what was found. Only while the emulator does not run."""
        found, self._found = self._found, []
        for search, at in found:
            self.hook(search, [at])
            self._uc.ctl_remove_cache(at, at + 1)

    def hook(self, search: Search, places: Iterable[int]) -> None:
        """Hook instructions of code that is not translated yet. Only while the emulator does not run."""
        for at in places:
            if at not in search.known:
                search.known.add(at)
                self._uc.hook_add(self._unicorn.UC_HOOK_CODE, search.reached, begin=at, end=at)

    def _begin(self) -> None:
        """Have the emulator call, without its Python binding, which takes as long again as all that is done here."""
        if self._callback is not None:
            return
        library: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib
        pointer, number = ctypes.c_void_p, ctypes.c_uint64
        self._callback = callback = ctypes.CFUNCTYPE(None, pointer, pointer, pointer, pointer)(self._translated)
        library.uc_hook_add(
            self._uc._uch,
            ctypes.byref(ctypes.c_size_t()),
            ctypes.c_int(self._unicorn.UC_HOOK_EDGE_GENERATED),
            ctypes.cast(callback, pointer),
            pointer(),
            *map(number, _EVERYWHERE),
        )

    def _translated(self, handle: object, block: int, before: object, data: object) -> None:
        try:
            address, _, size = _BLOCK.unpack(ctypes.string_at(block, _BLOCK.size))
            for callback in self._notified:
                callback(address, size)
            searches = [search for search in self.searches if search.concerned(address)]
            if searches:
                code = self._fetched(address, size)
                self._found += [
                    (search, at) for search in searches for at in search.places(code, address) if at not in search.known
                ]
                if self._found:
                    self._uc.emu_stop()
        except BaseException as error:
            self._failed(error)
