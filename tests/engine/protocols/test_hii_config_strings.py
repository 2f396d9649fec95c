"""Configuration strings, their blocks and their alternatives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.protocols.hii_config_strings import (
    alternative,
    block_to_string,
    device_path_of,
    invalid_request,
    parts,
    string_to_block,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus

INVALID, NOT_FOUND = EfiStatus.EFI_INVALID_PARAMETER, EfiStatus.EFI_NOT_FOUND
GUID = "00112233445566778899aabbccddeeff"
HEADER = f"GUID={GUID}&NAME=00410042&PATH=7fff0400"
OTHER = HEADER.replace("0041", "0043")


def test_several_strings_are_taken_apart_where_a_guid_begins() -> None:
    text = f"{HEADER}&OFFSET=0&WIDTH=1&{OTHER}&a=b"
    assert list(parts(text)) == [(0, f"{HEADER}&OFFSET=0&WIDTH=1"), (len(HEADER) + 17 + 1, f"{OTHER}&a=b")]
    assert list(parts("NAME=x")) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("PATH=0104050001" + "7fff0400", (SUCCESS, bytes.fromhex("01040500017fff0400"))),
        ("PATH=7fff0400ee&X=1", (SUCCESS, bytes.fromhex("7fff0400"))),
        ("PATH=000acf", (NOT_FOUND, b"")),
        ("PATH=00010400" + "7fff0400", (NOT_FOUND, b"")),
        ("PATH=01040300" + "7fff0400", (NOT_FOUND, b"")),
        ("PATH=01040500", (NOT_FOUND, b"")),
        ("PATH=", (INVALID, b"")),
        ("NAME=", (INVALID, b"")),
    ],
)
def test_a_device_path_is_read_from_its_digits(path: str, expected: tuple[EfiStatus, bytes]) -> None:
    assert device_path_of(path) == expected


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (HEADER, None),
        (f"{HEADER}&OFFSET=0&WIDTH=2&OFFSET=4&WIDTH=1", None),
        (f"{HEADER}&OFFSET=0&WIDTH=2&OFFSET=4", len(HEADER) + 17),
        (f"{HEADER}&a=b", len(HEADER)),
        (HEADER.replace("00410042", "") + "&a=b&c=d", None),
        ("GUID=&PATH=", 0),
    ],
)
def test_a_request_of_a_block_has_offsets_and_widths(text: str, wrong: int | None) -> None:
    assert invalid_request(text) == wrong


def test_a_request_is_answered_with_what_the_block_holds() -> None:
    found = block_to_string(f"{HEADER}&OFFSET=3&WIDTH=1&OFFSET=0&WIDTH=2", 6)
    assert found.status is SUCCESS
    assert found.text == f"{HEADER}&OFFSET=3&WIDTH=1&VALUE=\0&OFFSET=0&WIDTH=2&VALUE=\0"
    assert [(offset, len(room)) for offset, room in found.bytes_at] == [(3, 1), (0, 2)]


@pytest.mark.parametrize(
    ("elements", "status", "progress"),
    [
        ("&OFFSET=5&WIDTH=1&OFFSET=7&WIDTH=2&a9", INVALID, 34),
        ("&OFFSET=5&WIDTH=1&OFFSET=7", INVALID, 17),
        ("&OFFSET=5&WIDTH=1&OFFSET=7&WIDTH=", INVALID, 17),
        ("&OFFSET=f&WIDTH=2", EfiStatus.EFI_DEVICE_ERROR, 17),
        ("&OFFSET=0&WIDTH=ffffffffffffffff", EfiStatus.EFI_DEVICE_ERROR, 32),
        ("", SUCCESS, 0),
    ],
)
def test_a_request_that_is_wrong_says_where(elements: str, status: EfiStatus, progress: int) -> None:
    found = block_to_string(HEADER + elements, 16)
    assert (found.status, found.progress - len(HEADER)) == (status, progress)


def test_a_request_for_more_than_the_host_holds_is_refused() -> None:
    elements = "&OFFSET=0&WIDTH=800000" * 3
    assert block_to_string(HEADER + elements, 1 << 40).status is EfiStatus.EFI_OUT_OF_RESOURCES


def test_values_go_into_a_block_and_its_last_byte_is_known() -> None:
    found = string_to_block(
        f"{HEADER}&OFFSET=3&WIDTH=1&VALUE=7&OFFSET=0&WIDTH=2&VALUE=AA55&OFFSET=9&WIDTH=2&VALUE=1", 6
    )
    assert found.bytes_at == ((3, b"\x07"), (0, b"\x55\xaa"))
    assert (found.status, found.size) == (SUCCESS, 11)
    wrong = string_to_block(f"{HEADER}&OFFSET=3&WIDTH=1&VALUE=7&a9=q", 6)
    assert (wrong.status, wrong.progress) == (INVALID, len(HEADER) + 25)
    assert string_to_block(HEADER, 6).status is INVALID


@given(st.lists(st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=5)), min_size=1, max_size=6))
def test_what_is_written_as_a_string_comes_back_as_the_same_bytes(values: list[tuple[int, bytes]]) -> None:
    text = HEADER
    for offset, data in values:
        text += f"&OFFSET={offset:x}&WIDTH={len(data):x}&VALUE={data[::-1].hex()}"
    found = string_to_block(text, 64)
    assert found.bytes_at == tuple(values)
    assert found.size == max(offset + len(data) for offset, data in values)


FIRST, SECOND = f"{HEADER}&OFFSET=3&WIDTH=1&VALUE=aa", f"{HEADER}&ALTCFG=0000&a=1"
THIRD = f"{OTHER}&ALTCFG=0001&b=2&c=3"
ALL = f"{FIRST}&{SECOND}&{THIRD}"


@pytest.mark.parametrize(
    ("guid", "name", "number", "expected"),
    [
        (None, None, None, FIRST),
        (bytes.fromhex(GUID), "AB", None, FIRST),
        (None, None, 0, f"{HEADER}&a=1"),
        (None, "AB", 0, f"{HEADER}&a=1"),
        (None, "CB", 1, f"{OTHER}&b=2&c=3"),
        (bytes.fromhex(GUID), None, 1, f"{OTHER}&b=2&c=3"),
        (None, "AB", 1, None),
        (bytes(16), None, None, None),
    ],
)
def test_an_alternative_is_found_by_its_header_and_number(
    guid: bytes | None, name: str | None, number: int | None, expected: str | None
) -> None:
    found = alternative(ALL, guid, name, None, number)
    assert (found.text or None) == expected
    assert found.status is (SUCCESS if expected else NOT_FOUND)


def test_an_alternative_of_another_device_path_is_not_meant() -> None:
    assert alternative(ALL, None, None, bytes.fromhex("7fff0400"), 1).text == f"{OTHER}&b=2&c=3"
    assert alternative(ALL, None, None, bytes.fromhex("0104"), 1).status is NOT_FOUND
