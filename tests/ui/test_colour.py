from __future__ import annotations

import io

import pytest

from tdvfsh.cli.main import main
from tdvfsh.ui import colour
from tdvfsh.ui.colour import choose_colour, coloured, is_coloured


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def automatic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "_chosen", "auto")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_has_colours_and_a_pipe_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_coloured(Terminal())
    assert not is_coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_coloured(Terminal())
    choose_colour("always")
    assert is_coloured(io.StringIO())
    choose_colour("never")
    monkeypatch.delenv("NO_COLOR")
    assert not is_coloured(Terminal())


def test_what_boots_is_green_and_what_fails_is_red() -> None:
    assert coloured("result    EFI_OUT_OF_RESOURCES at load_kernel") == (
        "\x1b[1mresult\x1b[0m    \x1b[31mEFI_OUT_OF_RESOURCES\x1b[0m at load_kernel"
    )
    assert coloured("512M  any  boots") == "512M  any  \x1b[32mboots\x1b[0m"
    assert coloured("EFI_SUCCESS") == "\x1b[32mEFI_SUCCESS\x1b[0m"
    assert coloured("kernel_file  EfiLoaderData") == "kernel_file  EfiLoaderData"


@pytest.mark.parametrize(
    "words", [["--color", "always", "inspect", __file__], ["inspect", "--color", "always", __file__]]
)
def test_every_subcommand_takes_the_option(words: list[str]) -> None:
    main(words)
    assert is_coloured(io.StringIO())
    assert main(["inspect", "--color", "sometimes", __file__]) == 2
