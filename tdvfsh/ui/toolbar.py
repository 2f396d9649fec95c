"""The line below the prompt: whose memory is whose, the virtual clock, and ``%lasterror%``."""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.units import GIB, KIB, MIB, TIB, human_size

Fragment = tuple[str, str]
"""Style class and text."""

_WIDEST_BAR: Final = 40
_NARROWEST_BAR: Final = 8
_BLOCKS: Final = "█▓░"
_ASCII: Final = "#=."
_STYLES: Final = ("class:bar.used", "class:bar.free", "class:bar.unaccepted")


@dataclass(frozen=True, slots=True)
class MemoryShares:
    """RAM of a TD in bytes: in use, accepted and free, not accepted. Their sum is all of it."""

    used: int
    free: int
    unaccepted: int

    @property
    def ram(self) -> int:
        """All RAM."""
        return self.used + self.free + self.unaccepted


def memory_shares(machine: object) -> MemoryShares | None:
    """The shares of a machine; None where it is not a machine of ours."""
    from tdvfsh.machine.machine import Machine

    if not isinstance(machine, Machine):
        return None
    td = machine.td
    free = sum(end - start for start, end in machine.services.core.memory_map.free_ranges())
    accepted = td.ram.memory - td.unaccepted_bytes
    free = min(free, accepted)
    return MemoryShares(accepted - free, free, td.unaccepted_bytes)


def memory_bar(shares: MemoryShares, width: int, *, blocks: bool) -> list[Fragment]:
    """A bar in proportion; what is there at all gets a cell at least.

    Args:
        shares: The shares.
        width: Cells, at least 3.
        blocks: Block characters; else ``#`` used, ``=`` free, ``.`` unaccepted.
    """
    parts = (shares.used, shares.free, shares.unaccepted)
    cells = _cells(parts, width)
    characters = _BLOCKS if blocks else _ASCII
    return [
        (style, character * count) for style, character, count in zip(_STYLES, characters, cells, strict=True) if count
    ]


def _cells(parts: tuple[int, ...], width: int) -> list[int]:
    whole = sum(parts) or 1
    cells = [max(part * width // whole, 1 if part else 0) for part in parts]
    while (rest := width - sum(cells)) != 0:
        errors = [part * width / whole - count for part, count in zip(parts, cells, strict=True)]
        chosen = range(len(parts)) if rest > 0 else [index for index, count in enumerate(cells) if count > 1]
        if not chosen:
            break
        best = max(chosen, key=errors.__getitem__) if rest > 0 else min(chosen, key=errors.__getitem__)
        cells[best] += 1 if rest > 0 else -1
    return cells


def clock_text(now_ns: int) -> str:
    """The virtual clock in readable form: seconds and milliseconds."""
    milliseconds = now_ns // 1_000_000
    return f"{milliseconds // 1000}.{milliseconds % 1000:03d} s"


def toolbar(shares: MemoryShares | None, now_ns: int, last_error: int, width: int, *, blocks: bool) -> list[Fragment]:
    """The toolbar: as much as fits into the width, the most telling things last to go.

    Args:
        shares: Memory, or None where there is no machine.
        now_ns: The virtual clock.
        last_error: ``%lasterror%``.
        width: Columns of the window.
        blocks: Whether block characters can be shown.
    """
    clock, error = clock_text(now_ns), f"lasterror 0x{last_error:X}"
    error_style = "class:toolbar.error" if last_error else "class:toolbar"
    for text in _texts(shares):
        rest = width - sum(len(part) for part in (" ", text, " | ", clock, " | ", error, " "))
        bar_width = min(_WIDEST_BAR, rest - 1) if shares is not None else 0
        if rest >= 0 and (shares is None or bar_width >= _NARROWEST_BAR):
            bar = memory_bar(shares, bar_width, blocks=blocks) if shares is not None else []
            head = f" {text} | {clock} | " if text else f" {clock} | "
            return [("class:toolbar", " "), *bar, ("class:toolbar", head), (error_style, error)]
    if shares is not None and width >= _NARROWEST_BAR + 2:
        return [("class:toolbar", " "), *memory_bar(shares, min(_WIDEST_BAR, width - 2), blocks=blocks)]
    return [(error_style, f"0x{last_error:X}"[:width])]


def _texts(shares: MemoryShares | None) -> Iterable[str]:
    if shares is None:
        return ("",)
    used, free, unaccepted = (human_size(part) for part in (shares.used, shares.free, shares.unaccepted))
    accepted, ram = human_size(shares.used + shares.free), human_size(shares.ram)
    return (
        f"{used} used, {free} free, {unaccepted} unaccepted of {ram}",
        f"{_short(shares.used)} used, {_short(shares.free)} free, {_short(shares.unaccepted)} unaccepted",
        f"{accepted} of {ram} accepted",
        f"{accepted}/{ram}",
        "",
    )


def _short(size: int) -> str:
    """Two digits or more of a size, for narrow windows: ``3.5G``, ``454M``."""
    for suffix, scale in (("T", TIB), ("G", GIB), ("M", MIB)):
        if size >= scale:
            tenths = size * 10 // scale
            return (
                f"{tenths // 10}.{tenths % 10}{suffix}" if tenths < 100 and tenths % 10 else f"{tenths // 10}{suffix}"
            )
    return f"{size // KIB}K"
