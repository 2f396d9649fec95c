"""``alias`` as edk2 guards it."""

from __future__ import annotations

from tests.shell.under_test import ShellUnderTest

DENIED = "alias: Access denied.\n"


def test_an_alias_gets_another_command(under_test: ShellUnderTest) -> None:
    assert under_test.run("alias -v x1 nosuch", "alias -v x1 ver", "x1 -s", "X1 -s") == "2.2\n2.2\n"


def test_an_alias_of_an_alias_is_denied(under_test: ShellUnderTest) -> None:
    assert under_test.run("alias -v z dir") == DENIED
    assert under_test.run("alias -v a ver", "alias -v b a", "echo %lasterror%") == DENIED + "0xF\n"
    assert under_test.run('alias -v c "dir -b"') == ""


def test_a_command_wins_over_its_alias(under_test: ShellUnderTest) -> None:
    assert under_test.run("alias -v echo ver", "echo still here") == "still here\n"
    assert under_test.run("alias").endswith("*       echo:ver\n")


def test_built_in_aliases_and_what_they_stand_for_cannot_be_changed(under_test: ShellUnderTest) -> None:
    assert under_test.run("alias -d ls", "alias -d dir", "alias -v rm ver", "alias copy ver") == DENIED * 4
    assert under_test.run("alias -d cd") == "alias: 'cd' does not exist.\n"


def test_an_alias_keeps_its_lifetime_and_needs_a_command(under_test: ShellUnderTest) -> None:
    invalid = "alias: Status: Invalid Parameter\n"
    assert under_test.run("alias q ver", "alias -v q cls", "q -s") == invalid + "2.2\n"
    assert under_test.run('alias w ""', "echo %lasterror%") == invalid + "0x7\n"
