"""What edk2 makes of pipes with a missing side."""

from __future__ import annotations

import pytest

from tests.shell.under_test import ShellUnderTest

INVALID = "Invalid use of pipe (|).\n"


@pytest.mark.parametrize("line", ["ver -s |", "ver | ", 'echo "a" |', "echo a |a"])
def test_nothing_behind_a_pipe_is_invalid(under_test: ShellUnderTest, line: str) -> None:
    assert under_test.run(line) == INVALID


@pytest.mark.parametrize("line", ["|", "| parse a 1", "echo a | | type x", "echo a ||"])
def test_nothing_in_front_of_a_pipe_ends_the_line_without_a_word(under_test: ShellUnderTest, line: str) -> None:
    assert under_test.run(line, "echo on") == "on\n"
    assert under_test.script(f"@echo -off\n{line}\necho never") == ""


def test_each_pipe_that_ends_badly_says_so(under_test: ShellUnderTest) -> None:
    assert under_test.run("echo a | parse a 1 |") == INVALID * 2


def test_output_that_goes_into_a_pipe_cannot_go_into_a_file(under_test: ShellUnderTest) -> None:
    assert under_test.script("@echo -off\necho a >a f.txt | parse a 1\n") == (
        f"Unable to redirect file.\nScript Error Status: Invalid Parameter (line number 2)\n{INVALID}"
    )
