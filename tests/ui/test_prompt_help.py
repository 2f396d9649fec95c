"""F1."""

from __future__ import annotations

import pytest

from tdvfsh.shell.shell import Shell
from tdvfsh.ui.prompt_help import help_for

_SHELL = Shell()


@pytest.mark.parametrize(
    ("line", "cursor", "begins"),
    [
        ("type file.txt", 2, "NAME\n  type - "),
        ("type file.txt", 8, "NAME\n  type - "),
        ("help ls", 7, "NAME\n  ls - "),
        ("ls -r | parse x", 12, "NAME\n  parse - "),
        ("@echo -off", 1, "NAME\n  echo - "),
        ("copy a b", 0, "NAME\n  cp - "),
        ("goto x", 6, "NAME\n  goto - "),
        ("nosuch x", 3, "No help could be found for command 'nosuch'."),
        ("", 0, "F1 helps"),
        ('type "half', 8, "NAME\n  type - "),
    ],
)
def test_help_is_for_the_word_under_the_cursor_else_for_its_command(line: str, cursor: int, begins: str) -> None:
    assert help_for(_SHELL, line, cursor).startswith(begins)
