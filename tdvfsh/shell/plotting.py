"""What a command that draws may draw with: characters and width of the output's terminal."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Protocol, runtime_checkable
from tdvfsh.shell.page_break import PagingSink

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_COLUMNS = 80


@runtime_checkable
class DrawingSink(Protocol):
    """A sink that knows its terminal.

    Attributes:
        columns: Width.
        blocks: Whether block characters can be shown.
    """

    @property
    def columns(self) -> int: ...

    @property
    def blocks(self) -> bool: ...


def plot_room(shell: Shell) -> tuple[int, bool]:
    """Columns, and whether block characters can be shown: 80 and plain letters for files, pipes and variables."""
    sink: object = shell.screen if isinstance(shell.stdout, PagingSink) else shell.stdout
    if isinstance(sink, DrawingSink):
        return sink.columns, sink.blocks
    return _COLUMNS, False
