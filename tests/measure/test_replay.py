"""Replay: registers from a log, and the first event that is not what was extended."""

from __future__ import annotations

import hashlib

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.tcg.event_log import parse_event_log
from tdvfsh.formats.tcg.registers import Extension, after_extensions
from tdvfsh.measure.replay import replay
from tests.formats.tcg.made_log import LOG, event, spec_id

PARSED = parse_event_log(LOG, "log")
MADE: list[Extension] = [(each.rtmr, each.sha384) for each in PARSED.events if each.rtmr is not None and each.sha384]


def sha384(*parts: bytes) -> bytes:
    return hashlib.sha384(b"".join(parts)).digest()


def test_registers_are_hashes_of_hashes() -> None:
    first, second, third, fourth, fifth = (digest for _, digest in MADE)
    assert after_extensions(MADE) == (
        sha384(sha384(bytes(48), first), second),
        sha384(sha384(bytes(48), third), fourth),
        sha384(bytes(48), fifth),
        bytes(48),
    )


def test_a_log_that_tells_all_fits_whatever_the_order_between_registers() -> None:
    for made in (MADE, [MADE[4], MADE[2], MADE[0], MADE[3], MADE[1]]):
        result = replay(PARSED, made)
        assert (result.fits, result.unfit, result.registers) == (True, None, after_extensions(made))


@pytest.mark.parametrize("number", range(5))
def test_the_first_event_that_does_not_fit_is_named(number: int) -> None:
    made = list(MADE)
    made[number] = made[number][0], bytes(48)
    result = replay(PARSED, made)
    assert result.unfit is not None
    assert result.unfit.number == number + 1
    assert result.why == f"event {number + 1} has a digest that is not what RTMR{made[number][0]} was extended with"


def test_an_event_that_was_never_extended_is_named() -> None:
    result = replay(PARSED, MADE[:4])
    assert result.unfit is not None
    assert result.why == "event 5 was never extended to RTMR2"


def test_extensions_that_the_log_leaves_out_are_counted() -> None:
    result = replay(PARSED, [*MADE, (3, bytes(48)), (3, bytes(48))])
    assert (result.fits, result.why) == (False, "RTMR3 was extended 2 times more than the log says")


def test_two_events_that_changed_places_do_not_fit() -> None:
    assert replay(PARSED, [MADE[1], MADE[0], *MADE[2:]]).why.startswith("event 1 has a digest")


def test_a_log_without_sha_384_is_not_a_td_s() -> None:
    data = spec_id(((0x000B, 32),)) + event(1, 4, bytes(4))[:8] + b"\0\0\0\0\0\0\0\0"
    with pytest.raises(FormatError, match="event 1 has no SHA-384 digest"):
        replay(parse_event_log(data, "tpm"), [])
