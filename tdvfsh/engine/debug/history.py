"""All that a gdb has asked of a run: what it takes to come to the same moment again, since runs are deterministic.

The packets that change something are kept, those that only look are not. A run that begins again is answered by them,
in the place of gdb, up to the moment that gdb wants to go back to.
"""

from __future__ import annotations

from tdvfsh.engine.debug.arrivals import Moment
from tdvfsh.engine.debug.halt import Until
from tdvfsh.lazy_typing import Final, NamedTuple

_CHANGES: Final = (
    b"Z", b"z", b"M", b"X", b"G", b"P", b"H", b"c", b"C", b"s", b"S", b"vCont;", b"qSupported", b"QStartNoAckMode",
    b"qXfer:libraries:",
)  # fmt: skip
_COMMAND: Final = b"qRcmd,"
_BREAK_ON: Final = b"break-on".hex().encode()
_MOST_ENTRIES: Final = 200_000
_CONTINUE: Final = b"c"


class Stops(NamedTuple):
    """What gdb wants to halt at.

    Attributes:
        places: Its breakpoints and watchpoints, as in its packets.
        events: What ``monitor break-on`` waits for, in words.
    """

    places: tuple[bytes, ...]
    events: tuple[tuple[str, ...], ...]


class Entry(NamedTuple):
    """One thing that was asked.

    Attributes:
        packet: gdb's packet.
        until: Where one that continues is to halt at the latest.
        stops: What is to be halted at from here on, in the place of a packet.
    """

    packet: bytes = b""
    until: Until | None = None
    stops: Stops | None = None


class History:
    """What was asked at each halt.

    Attributes:
        entries: All of it.
        unknown: Why the run cannot be repeated; empty where it can.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.unknown = ""
        self._halts: list[int] = []
        self._blocks: list[int] = []

    def clear(self) -> None:
        """The run begins again."""
        self.entries, self._halts, self._blocks = [], [], []

    @property
    def halts(self) -> int:
        """How many halts there were."""
        return len(self._halts)

    def halted(self, blocks: int) -> None:
        """The run has halted, so many blocks of code after it was continued."""
        self._halts.append(len(self.entries))
        self._blocks.append(blocks)

    def blocks_before(self, halt: int) -> int:
        """Blocks of code between a halt and the one before."""
        return self._blocks[halt]

    def asked(self, packet: bytes) -> None:
        """gdb has sent a packet."""
        if packet.startswith(_CHANGES) or packet[len(_COMMAND) :].startswith(_BREAK_ON):
            self.append(Entry(packet))

    def append(self, entry: Entry) -> None:
        """Something else was asked."""
        if len(self.entries) >= _MOST_ENTRIES:
            self.unknown = f"gdb has sent more than {_MOST_ENTRIES} packets, and no more are kept"
        if not self.unknown:
            self.entries.append(entry)

    def interrupted(self, blocks: int) -> None:
        """The run has ended at a block of code, counted from its last continuation, because of another thread."""
        if self.entries:
            self.entries[-1] = self.entries[-1]._replace(until=Until(blocks=blocks))

    def undo_step(self, stops: Stops) -> None:
        """The last step was taken back."""
        if self._halts:
            self._blocks.pop()
            del self.entries[max(0, self._halts.pop() - 1) :]
            self.append(Entry(stops=stops))

    def up_to(self, moment: Moment) -> list[Entry]:
        """What leads to a moment."""
        following = moment.halt + 1
        end = self._halts[following] - 1 if following < self.halts else len(self.entries)
        return self.entries[:end] + ([Entry(_CONTINUE, moment.until)] if moment.until is not None else [])
