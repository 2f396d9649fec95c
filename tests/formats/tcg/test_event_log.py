"""Event logs: decoded as they stand, and refused in one line where they are cut, foreign or hostile."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.formats.tcg.event_log import is_event_log, parse_event_log
from tests.formats.tcg.made_log import EVENTS, LOG, SHA384, event, spec_id

COUNT_AT = 32 + 24
SIZE_AT = 28


def test_events_come_out_as_they_stand() -> None:
    log = parse_event_log(LOG, "log")
    assert (log.algorithms, log.algorithm_names, log.size, log.area) == ((SHA384,), ["SHA-384"], len(LOG), len(LOG))
    assert [each.number for each in log.events] == [1, 2, 3, 4, 5, 6]
    assert [each.mr_index for each in log.events] == [1, 1, 2, 2, 3, 1]
    assert [each.rtmr for each in log.events] == [0, 0, 1, 1, 2, None]
    assert log.events[1].sha384 == hashlib.sha384(bytes(4)).digest()
    assert log.events[1].type_name == "EV_SEPARATOR"
    assert log.events[2].data == b"Calling EFI Application from Boot Option"
    assert log.events[0].offset == len(spec_id())
    assert log.events[1].offset == len(spec_id()) + len(EVENTS[0])


@pytest.mark.parametrize("fill", [b"\xff", b"\0"])
@pytest.mark.parametrize("size", [1, 7, 11, 12, 13, 4096])
def test_what_fills_the_area_is_no_event(fill: bytes, size: int) -> None:
    log = parse_event_log(LOG + fill * size, "log")
    assert (len(log.events), log.size, log.area) == (6, len(LOG), len(LOG) + size)


def test_an_event_whose_data_looks_like_fill_is_whole() -> None:
    for fill in (b"\xff", b"\0"):
        log = parse_event_log(LOG + event(2, 5, fill * 40) + fill * 100, "log")
        assert log.events[-1].data == fill * 40


def test_a_log_without_events_is_one() -> None:
    assert parse_event_log(spec_id(vendor=b"abc") + b"\xff" * 50, "log").events == ()


def test_several_digests_are_told_apart_by_their_algorithm() -> None:
    data = spec_id(((0x000B, 32), (SHA384, 48)))
    data += struct.pack("<IIIH32sH48sI", 1, 5, 2, 0x000B, b"\1" * 32, SHA384, b"\2" * 48, 3) + b"abc"
    (only,) = parse_event_log(data, "log").events
    assert only.digests == ((0x000B, b"\1" * 32), (SHA384, b"\2" * 48))
    assert only.sha384 == b"\2" * 48


def test_types_without_a_name_and_registers_of_a_tpm_are_shown_as_numbers() -> None:
    last = parse_event_log(LOG + event(14, 0xABCD, b"x"), "log").events[-1]
    assert (last.type_name, last.rtmr) == ("0xabcd", None)


def test_logs_are_known_by_their_beginning() -> None:
    assert is_event_log(LOG)
    assert not is_event_log(LOG[:40])
    assert not is_event_log(b"MZ" + LOG)


def patched(at: int, form: str, value: int, data: bytes = LOG) -> bytes:
    changed = bytearray(data)
    struct.pack_into(form, changed, at, value)
    return bytes(changed)


FIRST = len(spec_id())
HOSTILE = [
    (b"", "not an event log: too short"),
    (b"\x7fELF" + bytes(200), "not an event log: it does not begin with"),
    (bytes(200), "not an event log: it does not begin with"),
    (LOG.replace(b"Event03", b"Event02"), "SHA-1 digests only"),
    (LOG.replace(b"Event03", b"Event09"), "it does not begin with 'Spec ID Event03'"),
    (patched(SIZE_AT, "<I", 0xFFFFFFFF), "do not fit it"),
    (patched(COUNT_AT, "<I", 0), "with 0 digest algorithms"),
    (patched(COUNT_AT, "<I", 0xFFFFFFFF), "with 4,294,967,295 digest algorithms"),
    (patched(COUNT_AT + 6, "<H", 47), "digests of SHA-384 with 47 bytes"),
    (patched(COUNT_AT + 4, "<H", 0x77, patched(COUNT_AT + 6, "<H", 65)), "digests of 0x77 with 65 bytes"),
    (patched(COUNT_AT + 8, "<B", 255, LOG[:100]), "the vendor's information has 255 bytes, but the log ends"),
    (patched(FIRST + 8, "<I", 0xFFFFFFFF), "event 1 has 4,294,967,295 digests, in a log of 1"),
    (patched(FIRST + 12, "<H", 0x000B), "event 1 has a digest of algorithm 0xb, not the log's"),
    (patched(FIRST + 62, "<I", 0xFFFFFFFF), "the data of event 1 has 4,294,967,295 bytes, but the log ends after"),
    (patched(FIRST + 62, "<I", len(LOG)), "the data of event 1 has"),
    (LOG + b"\xff\xff\xff\xff\0", "event 7 has"),
]


@pytest.mark.parametrize(("data", "why"), HOSTILE)
def test_foreign_and_hostile_logs_are_one_line(data: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why) as caught:
        parse_event_log(data, "log")
    assert "\n" not in str(caught.value)


def test_a_log_cut_anywhere_but_between_events_is_one_line() -> None:
    ends = [FIRST]
    for each in EVENTS:
        ends.append(ends[-1] + len(each))
    for size in range(len(LOG)):
        if size in ends:
            assert parse_event_log(LOG[:size], "log").size == size
        elif not LOG[max(end for end in [0, *ends] if end <= size) : size].strip(b"\0"):
            assert size == 0 or size > FIRST  # nothing but zeros after an event: fill
        else:
            with pytest.raises(FormatError):
                parse_event_log(LOG[:size], "log")


def test_more_than_any_firmware_has_is_not_read() -> None:
    with pytest.raises(FormatError, match="an event log of 16,777,217 bytes"):
        parse_event_log(LOG + bytes((16 << 20) + 1 - len(LOG)), "log")


@given(st.integers(0, len(LOG) - 1), st.binary(min_size=1, max_size=8), st.binary(max_size=20))
def test_changed_bytes_never_make_more_than_there_is(at: int, put: bytes, tail: bytes) -> None:
    data = LOG[:at] + put + LOG[at + len(put) :] + tail
    try:
        log = parse_event_log(data, "log")
    except FormatError:
        return
    assert log.size <= len(data)
    assert sum(len(each.data) for each in log.events) <= log.size
