"""An address space of device registers: I/O ports, or addresses outside of RAM.

Each range has one device. Where none answers, reads return all ones and writes are lost, as on q35; both are
counted, so that a run can name what its guest looked for and the board lacks.

Source: QEMU system/physmem.c (unassigned_io_ops, unassigned_mem_ops).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable

from tdvfsh.errors import TdvfshError
from tdvfsh.lazy_typing import NamedTuple, Protocol


class Device(Protocol):
    """Registers at a range of ports or addresses; offsets and sizes are in bytes."""

    def read(self, offset: int, size: int) -> int:
        """``size`` bytes from a register, as a little-endian number."""
        ...

    def write(self, offset: int, size: int, value: int) -> None:
        """``size`` bytes to a register."""
        ...


class Overlap(TdvfshError):
    """Error: two devices at the same addresses."""


class Region(NamedTuple):
    """Addresses ``[start, end)`` of one device."""

    start: int
    end: int
    name: str
    device: Device


class DeviceBus:
    """The devices of an address space.

    Args:
        what: What an address of it is called, such as ``port``.
        missing: Counts accesses that nothing answers, by a text that names them; its own where None is given.
        absent: Names the device that a PC may have at an address, for that text.

    Attributes:
        missing: That counter. Devices add to it what they lack.
    """

    def __init__(
        self,
        what: str,
        missing: Counter[str] | None = None,
        absent: Callable[[int], str | None] = lambda address: None,
    ) -> None:
        self._what = what
        self._absent = absent
        self.missing: Counter[str] = Counter() if missing is None else missing
        self._starts: list[int] = []
        self._regions: list[Region] = []

    @property
    def regions(self) -> tuple[Region, ...]:
        """The devices, by ascending address."""
        return tuple(self._regions)

    def attach(self, start: int, size: int, name: str, device: Device) -> None:
        """Let ``device`` answer at ``[start, start + size)``.

        Raises:
            Overlap: Another one answers there.
        """
        other = self.overlapping(start, size)
        if other is not None:
            raise Overlap(f"{name} at {self._what} {start:#x} overlaps {other.name} at {other.start:#x}")
        index = bisect_right(self._starts, start)
        self._starts.insert(index, start)
        self._regions.insert(index, Region(start, start + size, name, device))

    def detach(self, start: int) -> None:
        """Remove the device that begins at ``start``."""
        index = self._starts.index(start)
        del self._starts[index]
        del self._regions[index]

    def overlapping(self, start: int, size: int) -> Region | None:
        """The first device that answers anywhere in ``[start, start + size)``, or None."""
        index = max(0, bisect_right(self._starts, start) - 1)
        return next((each for each in self._regions[index:] if start < each.end and each.start < start + size), None)

    def read(self, address: int, size: int) -> int:
        """``size`` bytes; all ones where nothing answers."""
        region = self._at(address)
        if region is None:
            self._lacks(address, "read")
            return (1 << 8 * size) - 1
        return region.device.read(address - region.start, size)

    def write(self, address: int, size: int, value: int) -> None:
        """Store ``size`` bytes; lost where nothing answers."""
        region = self._at(address)
        if region is None:
            self._lacks(address, "write")
        else:
            region.device.write(address - region.start, size, value)

    def _lacks(self, address: int, how: str) -> None:
        name = self._absent(address)
        self.missing[f"{self._what} {address:#x} ({how if name is None else f'{name}, {how}'})"] += 1

    def _at(self, address: int) -> Region | None:
        index = bisect_right(self._starts, address) - 1
        if index < 0 or address >= self._regions[index].end:
            return None
        return self._regions[index]
