"""Which redirections a line asks for."""

from __future__ import annotations

import pytest

from tdvfsh.script.redirection import RedirectionError, Target, split_redirection
from tdvfsh.uefi.status import EfiStatus


def test_an_operator_needs_blanks_around_it() -> None:
    assert split_redirection("echo a>b").stdout is None
    assert split_redirection("echo >a").stdout is None


def test_an_operator_in_quotes_is_text() -> None:
    assert split_redirection('echo "a > b"').stdout is None


@pytest.mark.parametrize(
    ("operator", "target"),
    [
        (">", Target("file", "f", False, True)),
        ("1>", Target("file", "f", False, True)),
        (">>", Target("file", "f", True, True)),
        (">a", Target("file", "f", False, False)),
        ("1>>a", Target("file", "f", True, False)),
        (">v", Target("variable", "f", False, True)),
        (">>v", Target("variable", "f", True, True)),
    ],
)
def test_spellings_of_standard_output(operator: str, target: Target) -> None:
    found = split_redirection(f"echo x {operator} f")
    assert found.stdout == target
    assert found.command == "echo x"


def test_error_output_and_input_have_their_own_targets() -> None:
    found = split_redirection('ls 2>a e.txt < "in put"')
    assert found.stderr == Target("file", "e.txt", False, False)
    assert found.stdin == Target("file", "in put", False, True)


def test_a_variable_may_stand_in_percent_signs() -> None:
    found = split_redirection("ver >v %x%")
    assert found.stdout is not None
    assert found.stdout.name == "x"


def test_the_same_operator_twice_is_redundant() -> None:
    with pytest.raises(RedirectionError) as caught:
        split_redirection("echo a >a x >a y")
    assert caught.value.status is EfiStatus.EFI_NOT_FOUND


def test_two_files_for_one_stream_cannot_be() -> None:
    with pytest.raises(RedirectionError) as caught:
        split_redirection("echo a > x >> y")
    assert caught.value.status is EfiStatus.EFI_INVALID_PARAMETER


def test_output_and_input_cannot_be_the_same_file() -> None:
    with pytest.raises(RedirectionError):
        split_redirection("parse T 1 > X < x")
