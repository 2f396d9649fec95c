"""The pages in which the DXE core keeps its own map descriptors, and the stack on which new ones wait.

Source: edk2 MdeModulePkg/Core/Dxe/Mem/Page.c (AllocateMemoryMapEntry, RemoveMemoryMapEntry, CoreFreeMemoryMapStack) and
Mem/Imem.h; held by tests/dxe/memory/test_descriptor_pages.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

TakePage = Callable[[], None]


class DescriptorPages:
    """The free list of descriptors.

    Every descriptor that enters the map is drawn from it; when it is empty the core takes one page for more. How many
    stand free is hidden from all other code, so ``spare`` may be None: the list then never runs empty.

    Args:
        spare: Descriptors on the free list, or None.
        per_page: Descriptors in one page: 4096 over the 64 bytes of a MEMORY_MAP.

    Attributes:
        emptying: Whether the stack is being emptied right now: taking a page changes the map once more.
    """

    __slots__ = ("_stack", "_waiting", "emptying", "per_page", "spare")

    def __init__(self, spare: int | None = None, per_page: int = 64) -> None:
        self.spare = spare
        self.per_page = per_page
        self.emptying = False
        self._stack: list[int | None] = []  # mMapStack: starts of new descriptors; None where one has left the map
        self._waiting: dict[int, int] = {}  # start → place on the stack

    def copy(self) -> DescriptorPages:
        """An independent copy; nothing waits between two calls."""
        return DescriptorPages(self.spare, self.per_page)

    def __eq__(self, other: object) -> bool:
        """Whether another list is in the same state."""
        if not isinstance(other, DescriptorPages):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def push(self, start: int) -> None:
        """A descriptor is new in the map, and waits on the stack."""
        if self.spare is not None:
            self._waiting[start] = len(self._stack)
            self._stack.append(start)

    def move(self, start: int, new_start: int) -> None:
        """A descriptor has another start now; if it waits, it keeps waiting."""
        place = self._waiting.pop(start, None)
        if place is not None:
            self._stack[place] = new_start
            self._waiting[new_start] = place

    def give_back(self, start: int) -> None:
        """A descriptor leaves the map: one that came from a page goes back to the list."""
        if self.spare is not None:
            place = self._waiting.pop(start, None)
            if place is None:
                self.spare += 1
            else:
                self._stack[place] = None

    def exchange(self, given: int, new: Sequence[int], take_page: TakePage | None) -> None:
        """``given`` descriptors have left the map, those at ``new`` come into it, and nothing else waits."""
        assert self.spare is not None
        self.spare += given
        if self.spare >= len(new):
            self.spare -= len(new)
            return
        for start in new:
            self.push(start)
        self.settle(take_page)

    def settle(self, take_page: TakePage | None) -> None:
        """CoreFreeMemoryMapStack: move new descriptors from the stack to ones drawn from the free list.

        One that was joined to a neighbour while it waited needs none, but the list is filled before that is looked at.
        """
        if self.spare is None or self.emptying:
            return
        self.emptying = True
        while self._stack:
            if self.spare == 0 and take_page is not None:
                take_page()
                self.spare += self.per_page
            start = self._stack.pop()
            if start is not None:
                del self._waiting[start]
                self.spare -= 1
        self.emptying = False
