"""What redirected output cannot change of the console."""

from __future__ import annotations

from tests.shell.under_test import ShellUnderTest


def test_colours_and_mode_are_the_console_s(under_test: ShellUnderTest) -> None:
    under_test.run("cls 1 2 >a o.txt")
    assert under_test.run("cls -sfo").endswith('"7","7","0"\n')
    under_test.run("cls 1 2")
    assert under_test.run("cls -sfo").endswith('"18","2","1"\n')
    under_test.run("mode 80 25 >a o.txt")
    assert under_test.files.read(["o.txt"]).startswith(b"mode: Unable to change the mode.\r\n")
    assert under_test.run("mode 80 25") == ""
    assert under_test.run("mode x y") == (
        "mode: Invalid argument - 'x'\nmode: Invalid argument - 'y'\nmode: No matching mode found to set\n"
    )
