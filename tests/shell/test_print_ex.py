"""ShellPrintEx takes %N %E %H %B %V out of any text."""

from __future__ import annotations

import pytest

from tdvfsh.shell.print_ex import without_marks
from tests.shell.under_test import ShellUnderTest


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a%Nb%Ec%Hd%Be%Vf", "abcdef"),
        ("100% %s %d %n %X", "100% %s %d %n %X"),
        ("%%N", "%"),
        ("50%N", "50"),
        ("a^%N", "a^%N"),
        ("^%", "^%"),
    ],
)
def test_marks_go_and_other_percent_signs_stay(text: str, shown: str) -> None:
    assert without_marks(text, console=False) == shown


def test_an_escaped_percent_sign_overwrites_its_caret_on_a_console() -> None:
    assert without_marks("a^%N", console=True) == "a^\b%N"


def test_echo_variables_files_and_errors_lose_the_marks(under_test: ShellUnderTest) -> None:
    assert under_test.run("echo a%Nb", "set x 5%N", "echo %x% 100%", "no%Hsuch") == (
        "ab\n5 100%\n'nosuch' is not recognized as an internal or external command, operable program, or script file.\n"
    )
    assert under_test.run("echo p%Eq >a f.txt", "type f.txt") == "pq\n\n"
    assert under_test.files.read(["f.txt"]) == b"pq\r\n"
    under_test.put("g.txt", "x%By")
    assert under_test.run("type g.txt") == "xy\n"


def test_a_script_s_echoed_line_loses_them_and_a_file_takes_no_step_back(under_test: ShellUnderTest) -> None:
    under_test.shell.interpreter.echo = True
    assert under_test.script("echo a%Vb\n") == "FS0:\\> echo ab\nab\n"
    under_test.run("echo x^^%y >a f.txt")
    assert under_test.files.read(["f.txt"]) == b"x^%y\r\n"


def test_echo_of_nothing_prints_a_null_string(under_test: ShellUnderTest) -> None:
    assert under_test.run('echo ""', "echo ^", 'echo "" ""') == "<null string>\n<null string>\n \n"
