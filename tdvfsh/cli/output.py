"""The border to the user: all that the subcommands print goes through here, and none of it moves a cursor.

Names, symbols, versions and messages come from files that others made. What a terminal would take for a command is
spelled out, to a pipe too: a log is read on a terminal later.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from tdvfsh.lazy_typing import Protocol
from tdvfsh.ui.colour import coloured, is_coloured
from tdvfsh.ui.fit import fit
from tdvfsh.ui.output import escape_controls
from tdvfsh.ui.terminal import columns_of


class TextSink(Protocol):
    """Destination of text that comes piece by piece."""

    def write(self, text: str, /) -> object:
        """Take a piece."""
        ...

    def flush(self) -> object:
        """Let it be seen."""
        ...


def print_lines(lines: Iterable[str]) -> None:
    """Lines to standard output; on a terminal, or where ``COLUMNS`` asks for it, broken to fit."""
    columns = columns_of(sys.stdout)
    text = "\n".join(map(escape_controls, lines))
    text = text if columns is None else fit(text, columns)
    print(coloured(text) if is_coloured(sys.stdout) else text)


def print_script(lines: Iterable[str]) -> None:
    """Lines to standard output that another program reads: they are never broken and have no colours."""
    print("\n".join(map(escape_controls, lines)))


def print_notes(lines: Iterable[str]) -> None:
    """Lines to standard error, shown at once; nothing where there are none."""
    for line in lines:
        print(escape_controls(line), file=sys.stderr)
    sys.stderr.flush()


def print_json(value: object) -> None:
    """One JSON value to standard output, in ASCII."""
    print(json.dumps(value, indent=2))
