"""What stands in guest RAM, held sparsely: views of files and small writes; everything else is zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.td.ranges import RangeMap


@dataclass(frozen=True, slots=True, eq=False)
class _Backing:
    """Bytes whose byte 0 stands at guest address ``base``; compared by identity so that only its own parts join."""

    view: memoryview
    base: int


class Contents:
    """Guest memory as ranges; a mapped file is never copied, untouched memory costs nothing."""

    __slots__ = ("_ranges",)

    def __init__(self) -> None:
        self._ranges: RangeMap[_Backing] = RangeMap()

    def __len__(self) -> int:
        return len(self._ranges)

    def map_view(self, address: int, view: memoryview) -> None:
        """Let the bytes of ``view`` stand at ``address``, without copying; the view must not change afterwards."""
        flat = view if view.format == "B" and view.ndim == 1 else view.cast("B")
        self._ranges.set(address, address + len(flat), _Backing(flat, address))

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store a copy of ``data`` at ``address``."""
        self.map_view(address, memoryview(bytes(data)))

    def zero(self, start: int, end: int) -> None:
        """Fill ``[start, end)`` with zeros."""
        self._ranges.clear(start, end)

    def discard(self, start: int, end: int) -> None:
        """Forget ``[start, end)``, as a page that changes its owner does; it reads as zeros."""
        self._ranges.clear(start, end)

    def views(self, start: int, end: int) -> Iterator[tuple[int, int, memoryview | None]]:
        """``(start, end, bytes)`` pieces that tile ``[start, end)``; None where memory is zero. Nothing is copied."""
        at = start
        for low, high, backing in self._ranges.spans(start, end):
            if at < low:
                yield at, low, None
            yield low, high, backing.view[low - backing.base : high - backing.base]
            at = high
        if at < end:
            yield at, end, None

    def read(self, address: int, size: int) -> bytes:
        """``size`` bytes from ``address``; a view of a file is read as the file's mapping wants it to be."""
        pieces = self.views(address, address + size)
        return b"".join(bytes(high - low) if view is None else _bytes_of(view) for low, high, view in pieces)

    def copy_within(self, source: int, target: int, size: int) -> None:
        """Make ``size`` bytes at ``target`` equal to those at ``source``, as memmove does, sharing mapped files."""
        pieces = list(self.views(source, source + size))
        self._ranges.clear(target, target + size)
        for low, _, view in pieces:
            if view is not None:
                self.map_view(target + low - source, view)

    def copy(self) -> Contents:
        """An independent copy that shares the bytes."""
        twin = Contents()
        twin._ranges = self._ranges.copy()
        return twin


def _bytes_of(view: memoryview) -> bytes:
    copy_of: Callable[[memoryview], bytes] = getattr(view.obj, "copy_of", bytes)
    return copy_of(view)
