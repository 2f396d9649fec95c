"""What stands in guest RAM while a processor runs on it: the mapping itself is the truth, for every reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.formats.mapped import copy_of
from tdvfsh.lazy_typing import Final
from tdvfsh.td.contents import Contents

_SCAN: Final = 1 << 12
_ZEROS: Final = bytes(_SCAN)


class LiveContents(Contents):
    """The same interface as :class:`Contents`, over :class:`GuestRam`; views are copied in at once.

    Args:
        ram: The mapping.
        before: What stood in memory before the processor came; it is copied in.
        written: Called with the range of every write, so that translated code can be dropped.
    """

    __slots__ = ("_ram", "_written")

    def __init__(self, ram: GuestRam, before: Contents, written: Callable[[int, int], None]) -> None:
        super().__init__()
        self._ram = ram
        self._written = written
        for start, _, view in list(before.views(0, ram.end)):
            if view is not None:
                self.map_view(start, view)

    def map_view(self, address: int, view: memoryview) -> None:
        """Copy the bytes of ``view`` to ``address``."""
        flat = copy_of(view)
        self._ram.view[address : address + len(flat)] = flat
        self._written(address, address + len(flat))

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Store ``data`` at ``address``."""
        self.map_view(address, memoryview(data))

    def zero(self, start: int, end: int) -> None:
        """Fill ``[start, end)`` with zeros."""
        self._ram.zero(start, end)
        self._written(start, end)

    def discard(self, start: int, end: int) -> None:
        """Forget ``[start, end)``: it reads as zeros."""
        self.zero(start, end)

    def views(self, start: int, end: int) -> Iterator[tuple[int, int, memoryview | None]]:
        """Pieces that tile ``[start, end)``: the accepted ones as they stand now, None where memory is not accepted."""
        at = start
        for low, high in self._ram.runs:
            low, high = max(low, at), min(high, end)
            if low >= high:
                continue
            if at < low:
                yield at, low, None
            yield low, high, self._ram.view[low:high]
            at = high
        if at < end:
            yield at, end, None

    def copy_within(self, source: int, target: int, size: int) -> None:
        """memmove."""
        self.write(target, bytes(self._ram.view[source : source + size]))

    def copy(self) -> Contents:
        """A plain copy that no processor changes; only memory that was touched is looked through."""
        twin = Contents()
        for start, end in self._ram.runs:
            for low, high in self._ram.touched(start, end):
                for at in range(low, high, _SCAN):
                    piece = self._ram.view[at : min(at + _SCAN, high)]
                    if piece != _ZEROS[: len(piece)]:
                        twin.write(at, piece)
        return twin

    def __len__(self) -> int:
        return len(self._ram.runs)
