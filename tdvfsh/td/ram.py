"""Where the guest's RAM lies: as QEMU's q35 machine puts it, or as another machine's map says.

Source: QEMU hw/i386/pc_q35.c (the split at 0xB0000000), hw/i386/pc.c (max-ram-below-4g).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from tdvfsh.errors import UsageError
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.units import GIB, MIB, PAGE_SIZE, TIB, format_size, human_size

MINIMUM_MEMORY: Final = 128 * MIB
MAXIMUM_MEMORY: Final = 64 * TIB
HIGH_RAM_BASE: Final = 4 * GIB
_LOW_RAM_LIMIT: Final = 0xB0000000
_LOW_RAM_LIMIT_OF_LARGE: Final = 0x80000000


@dataclass(frozen=True, slots=True)
class RamLayout:
    """The guest's RAM: ``memory`` bytes in one span from 0 and, past the hole below 4 GiB, one from 4 GiB.

    Other machines have more holes: then ``pieces`` are the spans, and ``low`` and ``high`` only say from where to where
    they reach on either side of 4 GiB.
    """

    memory: int
    low: AddressSpan
    high: AddressSpan | None
    pieces: tuple[AddressSpan, ...] = ()

    @classmethod
    def q35(cls, memory: int, max_ram_below_4g: int = 4 * GIB) -> RamLayout:
        """The layout of ``memory`` bytes on q35.

        From 2816 MiB on, 2 GiB lie below 4 GiB and the rest above; smaller guests lie below as a whole.

        Args:
            memory: Bytes of RAM: a multiple of 4 KiB, from 128M to 64T.
            max_ram_below_4g: QEMU's machine option, in bytes; lowers the part below 4 GiB.

        Raises:
            UsageError: A size that the machine cannot have.
        """
        if not MINIMUM_MEMORY <= memory <= MAXIMUM_MEMORY:
            raise UsageError(
                f"memory of {human_size(memory)} is out of range: a TD has {format_size(MINIMUM_MEMORY)} to "
                f"{format_size(MAXIMUM_MEMORY)}"
            )
        if memory % PAGE_SIZE:
            raise UsageError(f"memory of {memory} bytes is not a multiple of 4 KiB")
        if not MIB <= max_ram_below_4g <= 4 * GIB or max_ram_below_4g % PAGE_SIZE:
            raise UsageError(f"max-ram-below-4g of {max_ram_below_4g} bytes is not a page multiple from 1M to 4G")
        limit = _LOW_RAM_LIMIT_OF_LARGE if memory >= _LOW_RAM_LIMIT else _LOW_RAM_LIMIT
        below = min(memory, limit, max_ram_below_4g)
        above = memory - below
        return cls(memory, AddressSpan(0, below), AddressSpan(HIGH_RAM_BASE, HIGH_RAM_BASE + above) if above else None)

    @classmethod
    def of_spans(cls, spans: Iterable[AddressSpan]) -> RamLayout:
        """RAM in ``spans``, in any order; those that touch are joined.

        Raises:
            UsageError: No bytes at all, or two spans overlap.
        """
        pieces: list[AddressSpan] = []
        for span in sorted(part for given in spans for part in _at_4_gib(given)):
            if pieces and span.start < pieces[-1].end:
                raise UsageError(f"RAM at {span.start:#x} is listed twice")
            if pieces and span.start == pieces[-1].end and span.start != HIGH_RAM_BASE:
                pieces[-1] = AddressSpan(pieces[-1].start, span.end)
            else:
                pieces.append(span)
        if not pieces:
            raise UsageError("there is no RAM")
        below = [span for span in pieces if span.start < HIGH_RAM_BASE]
        above = [span for span in pieces if span.start >= HIGH_RAM_BASE]
        return cls(
            sum(span.size for span in pieces),
            AddressSpan(below[0].start, below[-1].end) if below else AddressSpan(0, 0),
            AddressSpan(above[0].start, above[-1].end) if above else None,
            tuple(pieces),
        )

    @property
    def spans(self) -> tuple[AddressSpan, ...]:
        """The spans in ascending order."""
        if self.pieces:
            return self.pieces
        return (self.low,) if self.high is None else (self.low, self.high)

    @property
    def end(self) -> int:
        """First byte after the highest RAM."""
        return self.spans[-1].end

    def span_at(self, address: int) -> AddressSpan | None:
        """The span that holds ``address``, or None in a hole."""
        spans = self.spans
        index = bisect_right(spans, address, key=lambda span: span.start) - 1
        return spans[index] if index >= 0 and address < spans[index].end else None

    def next_span(self, address: int) -> AddressSpan | None:
        """The first span that starts above ``address``, or None."""
        return next((span for span in self.spans if span.start > address), None)

    def contains(self, start: int, end: int) -> bool:
        """Whether the whole of ``[start, end)`` is RAM, in one span."""
        span = self.span_at(start)
        return span is not None and start <= end <= span.end


def _at_4_gib(span: AddressSpan) -> list[AddressSpan]:
    """The parts of ``span`` below and above 4 GiB; none where it is empty."""
    parts = (
        AddressSpan(span.start, min(span.end, HIGH_RAM_BASE)),
        AddressSpan(max(span.start, HIGH_RAM_BASE), span.end),
    )
    return [part for part in parts if part.start < part.end]
