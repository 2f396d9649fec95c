"""What is debugged: a machine, its journal, and the code in it that has a name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.lazy_typing import NamedTuple, Protocol
from tdvfsh.machine.machine import Machine
from tdvfsh.trace.journal import Trace
from tdvfsh.uefi.memory import MemoryDescriptor


class CodeImage(NamedTuple):
    """Code that was loaded.

    Attributes:
        name: Its name.
        start: Linear address of its first byte.
        end: First byte after it.
        sections: How far each allocated section of the file that gdb reads has been moved.
        contents: Returns a file with its symbols, as gdb reads it; None where there is none.
    """

    name: str
    start: int
    end: int
    sections: tuple[int, ...] = ()
    contents: Callable[[], bytes] | None = None


class Scene(Protocol):
    """What is debugged."""

    @property
    def board(self) -> Board:
        """The machine."""
        ...

    @property
    def code(self) -> KnownCode:
        """Names for code."""
        ...

    @property
    def trace(self) -> Trace:
        """The journal."""
        ...

    @property
    def machine(self) -> Machine | None:
        """The machine of the model that it is; None where it is real firmware's."""
        ...

    def changes(self) -> object:
        """Something that is equal as long as no code was loaded and no operating system began."""
        ...

    def images(self) -> list[CodeImage]:
        """All code that has a name, in the order in which it was loaded."""
        ...

    def symbol(self, name: str) -> int | None:
        """Linear address of a symbol; None while there is none of that name."""
        ...

    def service(self, name: str) -> int | None:
        """Address at which a boot or runtime service begins; None while it is not known."""
        ...

    def memory_map(self) -> Sequence[MemoryDescriptor]:
        """The memory map.

        Raises:
            EngineError: There is none here.
        """
        ...
