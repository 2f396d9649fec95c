"""Reader of successive memory maps: what has not changed since the last is not assembled again.

The result is that of :func:`tdvfsh.dxe.memory.get_memory_map.build_memory_map`; a change costs by the descriptors
between the lowest and the highest of those that changed, and by the number of chunks of the map.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter

from tdvfsh.dxe.memory.descriptor_chunks import DescriptorChunks, DescriptorSequence
from tdvfsh.dxe.memory.get_memory_map import MemoryMapView, gcd_pieces, joined, ram_descriptors, ram_pieces
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.units import PAGE_SHIFT

if TYPE_CHECKING:
    from tdvfsh.dxe.memory.bins import Bins
    from tdvfsh.dxe.memory.gcd import MemorySpaceMap
    from tdvfsh.dxe.memory.get_memory_map import Piece
    from tdvfsh.dxe.memory.memory_map import MemoryMap
    from tdvfsh.dxe.profile import FirmwareProfile
    from tdvfsh.uefi.memory import MemoryDescriptor

_new: Final = tuple.__new__  # of a MemoryMapView: what its constructor does, in half the time
_NOWHERE: Final = 1 << 64
_START: Final = itemgetter(1)


class MapReader:
    """Reader of the maps of one machine, whose bins and profile never change.

    It learns of changes by ``MemoryMap.changes``, which it sets. A map that it has not read before, or that another
    reader has read since, is assembled as a whole.
    """

    __slots__ = (
        "_changes",
        "_from_gcd",
        "_gcd",
        "_gcd_counted",
        "_gcd_version",
        "_ram",
    )

    def __init__(self) -> None:
        self._changes: list[int] | None = None
        self._ram = DescriptorChunks([])
        self._gcd: MemorySpaceMap | None = None
        self._gcd_version = -1
        self._gcd_counted = 0
        self._from_gcd: list[MemoryDescriptor] = []

    def read(self, memory_map: MemoryMap, bins: Bins, gcd: MemorySpaceMap, profile: FirmwareProfile) -> MemoryMapView:
        """Everything GetMemoryMap would report now, and the number of descriptors its size check counts."""
        counted = self.count(memory_map, bins, gcd, profile)
        changes = self._changes
        if changes is None or memory_map.changes is not changes:
            entries = memory_map.between(0, _NOWHERE)
            self._ram = DescriptorChunks(ram_descriptors(entries, bins.special, profile))
            self._changes = memory_map.changes = [_NOWHERE, 0]
        elif changes[1]:
            self._renew(memory_map, bins, profile, changes[0], changes[1])
            changes[0], changes[1] = _NOWHERE, 0
        chunks, rest = self._ram.chunks, self._from_gcd
        tail = chunks[-1]
        if rest:
            seam = [rest[0]]
            if tail:
                _, start, pages, _, _ = tail[-1]
                if start + (pages << PAGE_SHIFT) == rest[0][1]:
                    seam = joined([_piece(tail[-1]), _piece(rest[0])])
                    tail = tail[:-1]
            tail = (*tail, *seam, *rest[1:])
        if len(chunks) == 1:
            return _new(MemoryMapView, (tail, counted))
        length = self._ram.length + len(tail) - len(chunks[-1])
        return MemoryMapView(DescriptorSequence((*chunks[:-1], tail), length), counted)

    def count(self, memory_map: MemoryMap, bins: Bins, gcd: MemorySpaceMap, profile: FirmwareProfile) -> int:
        """The number of descriptors that the size check counts now, without putting the map together."""
        if gcd is not self._gcd or gcd.version != self._gcd_version:
            pieces, self._gcd_counted = gcd_pieces(gcd, profile)
            self._gcd, self._gcd_version, self._from_gcd = gcd, gcd.version, joined(pieces)
        return len(memory_map) + profile.bin_slack_descriptors * len(bins.special) + self._gcd_counted

    def _renew(self, memory_map: MemoryMap, bins: Bins, profile: FirmwareProfile, low: int, high: int) -> None:
        """Put ``[low, high)`` together anew.

        No descriptor of gMemoryMap crosses either end, but one that is reported may, where several were joined: what
        lies outside of it stays. A neighbour comes along where it may join what is new.
        """
        chunk, end_chunk, ram, starts = self._ram.around(low, high)
        first, last = bisect_left(starts, low), bisect_left(starts, high)
        pieces = ram_pieces(memory_map.between(low, high), bins.special, profile)
        if first:
            memory_type, start, pages, attribute, _ = ram[first - 1]
            end = start + (pages << PAGE_SHIFT)
            if end > low or not pieces or pieces[0][0] == memory_type:
                first -= 1
                pieces.insert(0, (memory_type, start, min(end, low), attribute))
        if first < last:
            memory_type, start, pages, attribute, _ = ram[last - 1]
            end = start + (pages << PAGE_SHIFT)
            if end > high:
                pieces.append((memory_type, high, end, attribute))
        if last < len(ram) and (not pieces or pieces[-1][0] == ram[last][0]):
            pieces.append(_piece(ram[last]))
            last += 1
        renewed = joined(pieces)
        ram[first:last] = renewed
        starts[first:last] = map(_START, renewed)
        self._ram.replace(chunk, end_chunk, ram, starts)


def _piece(descriptor: MemoryDescriptor) -> Piece:
    memory_type, start, pages, attribute, _ = descriptor
    return memory_type, start, start + (pages << PAGE_SHIFT), attribute
