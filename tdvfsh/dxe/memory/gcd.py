"""The Global Coherency Domain's memory space map: what every address is, beyond what the allocators own.

Source: PI 1.8 volume 2, 7.2; edk2 MdeModulePkg/Core/Dxe/Gcd/Gcd.c.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import EFI_MEMORY_RUNTIME, EfiGcdMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_NON_EXISTENT: Final = EfiGcdMemoryType.EfiGcdMemoryTypeNonExistent
_OWNED_AT_BIRTH: Final = frozenset(
    {EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, EfiGcdMemoryType.EfiGcdMemoryTypeMoreReliable}
)


class GcdDescriptor(NamedTuple):
    """EFI_GCD_MEMORY_SPACE_DESCRIPTOR over ``[start, end)``; ``owned`` stands for a non-null ImageHandle."""

    start: int
    end: int
    memory_type: EfiGcdMemoryType
    capabilities: int
    attributes: int
    owned: bool

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


class MemorySpaceMap:
    """The GCD memory map over ``[0, 2**width)``, as sorted adjacent descriptors.

    Args:
        width: Physical address bits (the CPU HOB's SizeOfMemorySpace).
    """

    __slots__ = ("_entries", "_starts", "limit", "version")

    def __init__(self, width: int = 48) -> None:
        self.limit = 1 << width
        self.version = 0  # rises with every change
        self._entries = [
            GcdDescriptor(start=0, end=self.limit, memory_type=_NON_EXISTENT, capabilities=0, attributes=0, owned=False)
        ]
        self._starts = [0]

    def copy(self) -> MemorySpaceMap:
        """An independent copy."""
        twin = MemorySpaceMap()
        twin.limit = self.limit
        twin.version = self.version
        twin._entries = self._entries.copy()
        twin._starts = self._starts.copy()
        return twin

    def __iter__(self) -> Iterator[GcdDescriptor]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def get_memory_space_descriptor(self, address: int) -> GcdDescriptor | None:
        """The descriptor that holds ``address``; None beyond the map."""
        if not 0 <= address < self.limit:
            return None
        return self._entries[bisect_right(self._starts, address) - 1]

    def covering(self, start: int, end: int) -> Iterator[GcdDescriptor]:
        """Descriptors that overlap ``[start, end)``, lowest first."""
        index = max(0, bisect_right(self._starts, start) - 1)
        while index < len(self._entries) and self._entries[index].start < end:
            if self._entries[index].end > start:
                yield self._entries[index]
            index += 1

    def of_type(self, memory_type: EfiGcdMemoryType) -> Iterator[GcdDescriptor]:
        """Descriptors of one type, lowest first."""
        return (entry for entry in self._entries if entry.memory_type == memory_type)

    def add_memory_space(
        self, memory_type: EfiGcdMemoryType, start: int, length: int, capabilities: int, attributes: int = 0
    ) -> EfiStatus:
        """AddMemorySpace: turn a piece of nothing into something.

        EFI_MEMORY_RUNTIME joins the capabilities. SystemMemory and MoreReliable belong to the DXE core at once; the
        caller adds the matching Conventional range to the memory map.

        Returns:
            EFI_INVALID_PARAMETER: The type cannot be added, or the length is 0.
            EFI_UNSUPPORTED: The range reaches past the map.
            EFI_ACCESS_DENIED: Part of the range exists already.
        """
        if memory_type == _NON_EXISTENT or length == 0:
            return EfiStatus.EFI_INVALID_PARAMETER
        end = start + length
        if end > self.limit:
            return EfiStatus.EFI_UNSUPPORTED
        if any(entry.memory_type != _NON_EXISTENT or entry.owned for entry in self.covering(start, end)):
            return EfiStatus.EFI_ACCESS_DENIED
        owned = memory_type in _OWNED_AT_BIRTH
        self._replace(
            GcdDescriptor(
                start=start,
                end=end,
                memory_type=memory_type,
                capabilities=capabilities | EFI_MEMORY_RUNTIME,
                attributes=attributes,
                owned=owned,
            )
        )
        return SUCCESS

    def remove_memory_space(self, start: int, length: int) -> EfiStatus:
        """RemoveMemorySpace.

        Returns:
            EFI_INVALID_PARAMETER: The length is 0.
            EFI_UNSUPPORTED: The range reaches past the map.
            EFI_NOT_FOUND: Part of the range is not there.
            EFI_ACCESS_DENIED: Part of it has an owner (all SystemMemory does; unaccepted memory does not).
        """
        if length == 0:
            return EfiStatus.EFI_INVALID_PARAMETER
        end = start + length
        if end > self.limit:
            return EfiStatus.EFI_UNSUPPORTED
        for entry in self.covering(start, end):
            if entry.memory_type == _NON_EXISTENT:
                return EfiStatus.EFI_NOT_FOUND
            if entry.owned:
                return EfiStatus.EFI_ACCESS_DENIED
        self._replace(
            GcdDescriptor(start=start, end=end, memory_type=_NON_EXISTENT, capabilities=0, attributes=0, owned=False)
        )
        return SUCCESS

    def _replace(self, new: GcdDescriptor) -> None:
        self.version += 1
        touched = list(self.covering(new.start, new.end))
        pieces = []
        if touched[0].start < new.start:
            pieces.append(touched[0]._replace(end=new.start))
        pieces.append(new)
        if touched[-1].end > new.end:
            pieces.append(touched[-1]._replace(start=new.end))
        first = bisect_right(self._starts, touched[0].start) - 1
        last = first + len(touched)
        if first:  # let the neighbours join
            first -= 1
            pieces.insert(0, self._entries[first])
        if last < len(self._entries):
            pieces.append(self._entries[last])
            last += 1
        joined = _join(pieces)
        self._entries[first:last] = joined
        self._starts[first:last] = [entry.start for entry in joined]


def _join(entries: Iterable[GcdDescriptor]) -> list[GcdDescriptor]:
    """Neighbours that differ only in their bounds become one descriptor."""
    joined: list[GcdDescriptor] = []
    for entry in entries:
        if joined and joined[-1].end == entry.start and joined[-1][2:] == entry[2:]:
            joined[-1] = joined[-1]._replace(end=entry.end)
        else:
            joined.append(entry)
    return joined
