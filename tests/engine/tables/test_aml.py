"""AML, against byte sequences worked out from the grammar of ACPI chapter 20."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.tables import aml


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "00"),
        (1, "01"),
        (2, "0a02"),
        (0xFF, "0aff"),
        (0x100, "0b0001"),
        (0x10000, "0c00000100"),
        (1 << 32, "0e0000000001000000"),
    ],
)
def test_constants_take_their_shortest_form(value: int, expected: str) -> None:
    assert aml.integer(value).hex() == expected


def test_constants_of_more_than_64_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        aml.integer(1 << 64)


def test_names_are_padded_and_two_segments_get_a_prefix() -> None:
    assert aml.name_string("A") == b"A___"
    assert aml.name_string(r"\_S5") == b"\\_S5_"
    assert aml.name_string(r"\_SB.COM1") == b"\\._SB_COM1"


@pytest.mark.parametrize("path", ["TOOLONG", "A.B.C"])
def test_names_that_cannot_be_said_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        aml.name_string(path)


def decoded_length(data: bytes) -> int:
    more = data[0] >> 6
    if not more:
        return data[0]
    return int.from_bytes(data[1 : 1 + more], "little") << 4 | data[0] & 0xF


@given(st.integers(0, (1 << 28) - 5))
def test_a_package_length_counts_itself(size: int) -> None:
    data = aml.package_length(size)
    assert len(data) == 1 + (data[0] >> 6)
    assert decoded_length(data) == size + len(data)


def test_package_lengths_grow_where_the_grammar_says() -> None:
    sizes = (62, 63, 4093, 4094, (1 << 20) - 4, (1 << 20) - 3)
    assert [len(aml.package_length(size)) for size in sizes] == [1, 2, 2, 3, 3, 4]


def test_objects_that_are_too_large_are_refused() -> None:
    with pytest.raises(ValueError, match="too many"):
        aml.package_length(1 << 28)


def test_an_eisa_identifier_is_compressed() -> None:
    assert aml.eisa_id("PNP0501").hex() == "0c41d00501"


def test_a_device_nests_its_objects() -> None:
    data = aml.device("COM1", aml.named("_UID", aml.integer(1)))
    assert data == b"\x5b\x82\x0b" + b"COM1" + b"\x08_UID\x01"


def test_a_package_counts_its_elements() -> None:
    assert aml.package(aml.integer(0), aml.integer(2)).hex() == "120502000a02"


def test_resources_end_with_a_tag_whose_checksum_makes_their_sum_zero() -> None:
    data = aml.resource_template(aml.io_ports(0x3F8, 8), aml.irq(4))
    assert data.hex().startswith("11100a0d" + "4701f803f8030008" + "221000" + "79")
    assert sum(data[4:]) & 0xFF == 0
