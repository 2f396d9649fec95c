"""The border to the user: one place prints, and what it prints moves no cursor."""

from __future__ import annotations

import ast
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tdvfsh
from tdvfsh.cli.output import print_lines, print_notes
from tdvfsh.cli.serial_console import SerialOutput
from tdvfsh.ui.output import escape_controls

PACKAGE = Path(tdvfsh.__file__).parent
PRINTS = {"cli/output.py", "ui/repl.py"}
"""Modules that may call print(): they escape first."""
WRITES = {"cli/debug.py", "cli/subcommand/exec.py", "cli/subcommand/cpu_boot.py", "ui/line_reader.py"}
"""Modules that may write to a standard stream: the console of a guest, and the prompt of a dumb terminal."""


def calls(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "print":
            found.add("print")
        elif ast.unparse(node.func) in ("sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write"):
            found.add("write")
    return found


def test_no_module_but_the_border_prints() -> None:
    prints, writes = set(), set()
    for path in PACKAGE.rglob("*.py"):
        found = calls(ast.parse(path.read_text(encoding="utf-8")))
        name = path.relative_to(PACKAGE).as_posix()
        prints |= {name} if "print" in found else set()
        writes |= {name} if "write" in found else set()
    assert prints == PRINTS
    assert writes <= WRITES


@given(st.text())
def test_what_is_printed_holds_no_control_and_no_mark_of_direction(text: str) -> None:
    shown = escape_controls(text)
    assert not [each for each in shown if each not in "\n\t" and (each < " " or "\x7f" <= each <= "\x9f")]
    assert not {"\u202a", "\u202e", "\u2066", "\u2069", "\u200f"} & set(shown)
    shown.encode("utf-8")


@pytest.mark.parametrize("show", [print_lines, print_notes])
def test_lines_and_notes_are_escaped(show: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(show)
    show(["a\x1b[31m", "b\u202e\x9b", "plain ü"])
    captured = capsys.readouterr()
    assert captured.out + captured.err == "a\\x1b[31m\nb\\u202e\\x9b\nplain ü\n"


def test_a_serial_console_that_is_typed_at_never_passes_c1_controls_on() -> None:
    stream = StringIO()
    serial = SerialOutput(stream, raw=True)
    serial.write("\x1b[1mbold\x1b[0m a\u009b2Jb\x7fc\u202ed\r\n".encode())
    assert stream.getvalue() == "\x1b[1mbold\x1b[0m a?2Jb?c?d\r\n"


def test_no_notes_are_not_an_empty_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_notes([])
    assert capsys.readouterr().err == ""
    print_notes(["one", "two"])
    assert capsys.readouterr().err == "one\ntwo\n"
