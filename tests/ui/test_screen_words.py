"""Numbers read off the screen."""

from __future__ import annotations

from tdvfsh.ui.screen_words import ScreenWords

_MEMMAP = """\
Type       Start            End              # Pages          Attributes
Available  000000003F000000-000000003FFFFFFF 0000000000001000 000000000000000F
Unaccepted 0000000080000000-00000000FFFFFFFF 0000000000080000 0000000000000000
"""


def _matching(screen: ScreenWords, typed: str) -> list[str]:
    return [word for word, _ in screen.matching(typed)]


def test_addresses_complete_as_they_are_typed() -> None:
    screen = ScreenWords()
    screen.see(_MEMMAP)
    assert _matching(screen, "0x3F0") == ["0x3F000000"]
    assert _matching(screen, "3f0") == ["3F000000"]
    assert _matching(screen, "000000003F0") == ["000000003F000000"]


def test_the_newest_comes_first() -> None:
    screen = ScreenWords()
    screen.see("at 0x1000\nat 0x1800\n")
    screen.see("at 0x1000\n")
    assert _matching(screen, "0x1") == ["0x1000", "0x1800"]


def test_a_number_is_remembered_with_the_first_word_of_its_line() -> None:
    screen = ScreenWords()
    screen.see(_MEMMAP)
    assert dict(screen.matching("0x8000000"))["0x80000000"] == "on screen, Unaccepted"


def test_sizes_keep_their_suffix() -> None:
    screen = ScreenWords()
    screen.see("accepted 512M of 4G, 1.5G free\n")
    assert screen.sizes() == ["1.5G", "4G", "512M"]
    assert _matching(screen, "5") == ["512M"]


def test_words_and_decimal_counts_are_no_addresses() -> None:
    screen = ScreenWords()
    screen.see("deadbeef 917,504 Pages defaced 12345\n")
    assert screen.addresses() == []


def test_only_the_last_numbers_of_endless_output_are_kept() -> None:
    screen = ScreenWords()
    for number in range(5_000):
        screen.see(f"0x{0x100000 + number:X}\n")
    assert len(screen.addresses()) == 2_000
    assert screen.addresses()[0] == "0x101387"
