"""Memory maps asked for one after the other: what has not changed since the last is not put together again.

The result is that of :func:`tdvfsh.dxe.get_memory_map.build_memory_map`; a change costs by the descriptors between the
lowest and the highest of those that changed, and one copy of the list.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from tdvfsh.dxe.get_memory_map import MemoryMapView, gcd_pieces, join_pieces, ram_pieces, special_bins
from tdvfsh.units import PAGE_SHIFT

if TYPE_CHECKING:
    from tdvfsh.dxe.bins import Bin, Bins
    from tdvfsh.dxe.gcd import MemorySpaceMap
    from tdvfsh.dxe.get_memory_map import Piece
    from tdvfsh.dxe.memory_map import MemoryMap
    from tdvfsh.dxe.profile import FirmwareProfile
    from tdvfsh.uefi.memory import MemoryDescriptor

_NOWHERE: Final = 1 << 64
_BY_START: Final = itemgetter(1)


class MapReader:
    """Reads the maps of one machine, whose bins and profile never change.

    It learns of changes by ``MemoryMap.changes``, which it sets. A map that it has not read before, or that another
    reader has read since, is put together as a whole.
    """

    __slots__ = ("_changes", "_from_gcd", "_gcd", "_gcd_counted", "_gcd_version", "_ram", "_special")

    def __init__(self) -> None:
        self._changes: list[int] | None = None
        self._ram: list[MemoryDescriptor] = []
        self._special: list[Bin] = []
        self._gcd: MemorySpaceMap | None = None
        self._gcd_version = -1
        self._gcd_counted = 0
        self._from_gcd: list[MemoryDescriptor] = []

    def read(self, memory_map: MemoryMap, bins: Bins, gcd: MemorySpaceMap, profile: FirmwareProfile) -> MemoryMapView:
        """Everything GetMemoryMap would report now, and the number of descriptors its size check counts."""
        changes = self._changes
        if changes is None or memory_map.changes is not changes:
            self._special = special_bins(bins)
            self._ram = list(join_pieces(ram_pieces(memory_map, self._special, profile)))
            self._changes = memory_map.changes = [_NOWHERE, 0]
        elif changes[0] < changes[1]:
            self._renew(memory_map, profile, *changes)
            changes[:] = _NOWHERE, 0
        if gcd is not self._gcd or gcd.version != self._gcd_version:
            pieces, self._gcd_counted = gcd_pieces(gcd, profile)
            self._gcd, self._gcd_version, self._from_gcd = gcd, gcd.version, list(join_pieces(pieces))
        counted = len(memory_map) + profile.bin_slack_descriptors * len(self._special) + self._gcd_counted
        ram, rest = self._ram, self._from_gcd
        if ram and rest:
            _, start, pages, _, _ = ram[-1]
            if start + (pages << PAGE_SHIFT) == rest[0][1]:
                seam = join_pieces([_piece(ram[-1]), _piece(rest[0])])
                return MemoryMapView((*ram[:-1], *seam, *rest[1:]), counted)
        return MemoryMapView((*ram, *rest), counted)

    def _renew(self, memory_map: MemoryMap, profile: FirmwareProfile, low: int, high: int) -> None:
        """Put ``[low, high)`` together anew.

        No descriptor of gMemoryMap crosses either end, but one that is reported may, where several were joined: what
        lies outside of it stays. The neighbours come along because they may join what is new.
        """
        ram = self._ram
        last = bisect_left(ram, high, key=_BY_START)
        first = last  # what changed is mostly one descriptor or two: a step or two back is quicker than a search
        while first and ram[first - 1][1] >= low:
            first -= 1
        first = max(first - 1, 0)
        pieces: list[Piece] = []
        if first < last:
            memory_type, start, end, attribute = _piece(ram[first])
            if start < low:
                pieces.append((memory_type, start, min(end, low), attribute))
        pieces += ram_pieces(memory_map.between(low, high), self._special, profile)
        if first < last:
            memory_type, _, end, attribute = _piece(ram[last - 1])
            if end > high:
                pieces.append((memory_type, high, end, attribute))
        if last < len(ram):
            pieces.append(_piece(ram[last]))
            last += 1
        ram[first:last] = join_pieces(pieces)


def _piece(descriptor: MemoryDescriptor) -> Piece:
    memory_type, start, pages, attribute, _ = descriptor
    return memory_type, start, start + (pages << PAGE_SHIFT), attribute
