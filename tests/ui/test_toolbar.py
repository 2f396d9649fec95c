"""The line below the prompt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.ui.toolbar import MemoryShares, clock_text, memory_bar, memory_shares, toolbar
from tdvfsh.units import GIB, MIB, TIB

_BYTES = st.integers(0, 64 * TIB)
_SHARES = st.builds(MemoryShares, _BYTES, _BYTES, _BYTES).filter(lambda shares: shares.ram > 0)
_SOME = MemoryShares(58 * MIB, 454 * MIB, 3584 * MIB)


def _text(fragments: list[tuple[str, str]]) -> str:
    return "".join(text for _, text in fragments)


@given(_SHARES, st.integers(3, 200), st.booleans())
def test_the_bar_is_as_wide_as_asked_and_shows_all_that_is_there(
    shares: MemoryShares, width: int, blocks: bool
) -> None:
    fragments = memory_bar(shares, width, blocks=blocks)
    assert len(_text(fragments)) == width
    parts = (shares.used, shares.free, shares.unaccepted)
    assert len(fragments) == sum(part > 0 for part in parts)
    assert _text(fragments).isascii() is not blocks


@given(_SHARES, st.integers(60, 200))
def test_the_bar_is_in_proportion(shares: MemoryShares, width: int) -> None:
    bar = _text(memory_bar(shares, width, blocks=False))
    for character, part in zip("#=.", (shares.used, shares.free, shares.unaccepted), strict=True):
        assert abs(bar.count(character) - part * width / shares.ram) <= 2


@given(st.none() | _SHARES, st.integers(0, 1 << 70), st.integers(0, 0xFFFF), st.integers(1, 300), st.booleans())
def test_the_toolbar_never_exceeds_the_window(
    shares: MemoryShares | None, now_ns: int, last_error: int, width: int, blocks: bool
) -> None:
    assert len(_text(toolbar(shares, now_ns, last_error, width, blocks=blocks))) <= width


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (120, "58 MiB used, 454 MiB free, 3.50 GiB unaccepted of 4 GiB | 1.500 s | lasterror 0x0"),
        (80, "58M used, 454M free, 3.5G unaccepted | 1.500 s | lasterror 0x0"),
        (62, "512 MiB of 4 GiB accepted | 1.500 s | lasterror 0x0"),
        (50, "512 MiB/4 GiB | 1.500 s | lasterror 0x0"),
        (20, " #==..............."),
    ],
)
def test_a_narrower_window_shows_less(width: int, expected: str) -> None:
    assert _text(toolbar(_SOME, 1_500_000_000, 0, width, blocks=False)).endswith(expected)


def test_without_a_machine_there_is_no_bar() -> None:
    assert _text(toolbar(None, 0, 0xE, 80, blocks=True)) == "  0.000 s | lasterror 0xE"


def test_an_error_has_a_style_of_its_own() -> None:
    assert toolbar(_SOME, 0, 0xE, 80, blocks=True)[-1] == ("class:toolbar.error", "lasterror 0xE")
    assert toolbar(_SOME, 0, 0, 80, blocks=True)[-1][0] == "class:toolbar"


def test_the_shares_of_a_machine_are_all_its_memory() -> None:
    shares = memory_shares(Machine(TdOptions()))
    assert shares is not None
    assert shares.ram == 4 * GIB
    assert shares.unaccepted == 4 * GIB - 512 * MIB
    assert 0 < shares.used < shares.free


def test_a_machine_with_everything_accepted_has_no_unaccepted_share() -> None:
    shares = memory_shares(Machine(TdOptions(accept=parse_boot_accept("eager"))))
    assert shares is not None
    assert shares.unaccepted == 0
    assert [style for style, _ in memory_bar(shares, 20, blocks=True)] == ["class:bar.used", "class:bar.free"]


def test_what_is_no_machine_has_no_shares() -> None:
    assert memory_shares(None) is None
    assert memory_shares(object()) is None


def test_the_clock_shows_whole_milliseconds() -> None:
    assert clock_text(59_123_456_789) == "59.123 s"
