"""The shell's own small commands."""

from __future__ import annotations

from tests.shell.under_test import ShellUnderTest


def test_echo_keeps_blanks_inside_quotes_only(under_test: ShellUnderTest) -> None:
    assert under_test.run('echo "a   b"   c') == "a   b c\n"


def test_lasterror_of_an_unknown_command_is_not_found(under_test: ShellUnderTest) -> None:
    under_test.run("nosuch")
    assert under_test.shell.last_error_code == 0xE


def test_set_and_echo_leave_lasterror_alone(under_test: ShellUnderTest) -> None:
    assert under_test.run("nosuch x", "set -z", "echo %lasterror%").endswith("Unknown flag - '-z'\n0xE\n")


def test_cd_to_a_file_says_that_it_is_no_directory(under_test: ShellUnderTest) -> None:
    under_test.put("a.txt", "x")
    assert under_test.run("cd a.txt") == "cd: 'FS0:\\a.txt' is not a directory.\n"
    assert under_test.shell.last_error_code == 0xE
