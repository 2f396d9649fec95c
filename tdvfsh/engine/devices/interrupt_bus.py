"""How interrupts reach local APICs: by physical or logical destination, to one, to several, to all.

Source: Intel SDM volume 3, 11.6 (interprocessor interrupts), 11.12.10 (destinations in x2APIC mode).
"""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.lazy_typing import Final, Protocol

FIXED: Final = 0
LOWEST_PRIORITY: Final = 1
NMI: Final = 4
START_UP: Final = 6
EVERYBODY: Final = 0xFFFFFFFF


class InterruptTarget(Protocol):
    """A local APIC as the bus sees it.

    Attributes:
        nmi: Whether a non-maskable interrupt has arrived that was not taken.
        start_page: Number of the page that a start-up message has named last.
    """

    nmi: bool
    start_page: int | None

    def is_named(self, destination: int, logical: bool) -> bool:
        """Whether a destination names this APIC."""
        ...

    def request(self, vector: int, level: bool = False) -> None:
        """A fixed interrupt arrives."""
        ...


class InterruptBus:
    """The local APICs of a machine, in the order of their IDs."""

    def __init__(self) -> None:
        self.apics: list[InterruptTarget] = []

    def named(self, destination: int, logical: bool) -> list[InterruptTarget]:
        """Those that a destination names."""
        return [apic for apic in self.apics if apic.is_named(destination, logical)]

    def send(self, targets: Iterable[InterruptTarget], mode: int, vector: int, level: bool = False) -> None:
        """Deliver to ``targets``: fixed ones to all, of lowest priority to the first, NMIs and start-up messages.

        Others go nowhere: INIT finds a processor that has not been started as it is.
        """
        for apic in targets:
            if mode == NMI:
                apic.nmi = True
            elif mode == START_UP:
                apic.start_page = vector
            elif mode in (FIXED, LOWEST_PRIORITY):
                apic.request(vector, level)
            if mode == LOWEST_PRIORITY:
                return
