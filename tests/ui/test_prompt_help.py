"""F1."""

from __future__ import annotations

import pytest

from tdvfsh.shell.shell import Shell
from tdvfsh.ui.prompt_help import help_for

_SHELL = Shell()


@pytest.mark.parametrize(
    ("line", "cursor", "begins"),
    [
        ("type file.txt", 2, "Print files."),
        ("type file.txt", 8, "Print files."),
        ("help ls", 7, "List the contents"),
        ("ls -r | parse x", 12, "Print a column"),
        ("@echo -off", 1, "Print a message"),
        ("copy a b", 0, "Copy files"),
        ("goto x", 6, "Continue at a label"),
        ("nosuch x", 3, "No help could be found for command 'nosuch'."),
        ("", 0, "F1 helps"),
        ('type "half', 8, "Print files."),
    ],
)
def test_help_is_for_the_word_under_the_cursor_else_for_its_command(line: str, cursor: int, begins: str) -> None:
    assert help_for(_SHELL, line, cursor).startswith(begins)
