from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import UsageError
from tdvfsh.td.added import ADDED_SECTIONS, added_spans, td_hob_section
from tdvfsh.td.hob import TdHobEntry, build_td_hob_list, parse_td_hob_list, td_hob_entries
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.hob import ResourceType
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import GIB, MIB

BASE = 0x809000
UNACCEPTED, MEMORY = ResourceType.MEMORY_UNACCEPTED, ResourceType.SYSTEM_MEMORY
INVALID = EfiStatus.EFI_INVALID_PARAMETER


def _list() -> bytearray:
    return bytearray(build_td_hob_list(td_hob_entries(RamLayout.q35(4 * GIB), added_spans()), BASE))


def test_4_gib_under_ovmf_2022_11_is_nine_entries_and_496_bytes() -> None:
    entries = td_hob_entries(RamLayout.q35(4 * GIB), added_spans("ovmf-2022.11"))
    assert [(entry.start, entry.end, entry.resource_type) for entry in entries] == [
        (0, 0x800000, UNACCEPTED),
        (0x800000, 0x806000, MEMORY),
        (0x806000, 0x809000, UNACCEPTED),
        (0x809000, 0x80B000, MEMORY),
        (0x80B000, 0x80D000, MEMORY),
        (0x80D000, 0x810000, UNACCEPTED),
        (0x810000, 0x820000, MEMORY),
        (0x820000, 0x80000000, UNACCEPTED),
        (0x100000000, 0x180000000, UNACCEPTED),
    ]
    assert {entry.resource_attribute for entry in entries} == {7}
    assert len(build_td_hob_list(entries, BASE)) == 496


def test_the_list_starts_with_a_hand_off_that_points_behind_its_end() -> None:
    data = _list()
    assert struct.unpack_from("<HHI", data) == (1, 56, 0)
    assert struct.unpack_from("<QQQQQ", data, 16) == (0, 0, 0, 0, BASE + len(data))
    assert struct.unpack_from("<HHI", data, 56) == (3, 48, 0)
    assert data[64:80] == bytes(16)
    assert struct.unpack_from("<IIQQ", data, 80) == (7, 7, 0, 0x800000)
    assert struct.unpack_from("<HHI", data, len(data) - 8) == (0xFFFF, 8, 0)


def test_the_section_of_ovmf_holds_169_entries() -> None:
    capacity = td_hob_section().size
    entry = TdHobEntry(0, 4096, UNACCEPTED)
    assert len(build_td_hob_list([entry] * 169, BASE, capacity)) <= capacity == 0x2000
    with pytest.raises(UsageError, match="does not fit its section of 8192 bytes"):
        build_td_hob_list([entry] * 170, BASE, capacity)


def test_a_list_reads_back_as_it_was_written() -> None:
    assert parse_td_hob_list(bytes(_list())) == td_hob_entries(RamLayout.q35(4 * GIB), added_spans())


@pytest.mark.parametrize(
    ("offset", "form", "value"),
    [
        (4, "<I", 1),  # reserved
        (2, "<H", 55),  # hand-off of another length
        (12, "<I", 0x13),  # boot mode
        (32, "<Q", 0x1001),  # free memory top
        (56, "<H", 2),  # memory allocation: SEC does not know it
        (56, "<H", 0x1234),
        (58, "<H", 0),
        (58, "<H", 56),
        (58, "<H", 40),  # a resource descriptor that is too short
        (80, "<I", 8),  # resource type
        (84, "<I", 0x10000007),  # attribute
    ],
)
def test_sec_refuses_a_list_with_one_wrong_field(offset: int, form: str, value: int) -> None:
    data = _list()
    struct.pack_into(form, data, offset, value)
    assert parse_td_hob_list(bytes(data)) is INVALID


def test_a_guid_extension_of_any_length_is_passed_over() -> None:
    data = _list()
    extension = struct.pack("<HHI", 4, 32, 0) + bytes(24)
    entries = parse_td_hob_list(bytes(data[:56] + extension + data[56:]))
    assert entries == parse_td_hob_list(bytes(data))


def test_reserved_bytes_of_a_cpu_hob_must_be_zero() -> None:
    data = _list()
    cpu = struct.pack("<HHIBB6s", 6, 16, 0, 48, 16, bytes(6))
    assert parse_td_hob_list(bytes(data[:56] + cpu + data[56:])) == parse_td_hob_list(bytes(data))
    for at in range(10, 16):
        spoiled = cpu[:at] + b"\x01" + cpu[at + 1 :]
        assert parse_td_hob_list(bytes(data[:56] + spoiled + data[56:])) is INVALID


@given(st.integers(0, 495))
def test_a_list_cut_anywhere_is_invalid(length: int) -> None:
    assert parse_td_hob_list(bytes(_list()[:length])) is INVALID


@given(st.binary(max_size=300))
def test_any_bytes_give_entries_or_a_status(data: bytes) -> None:
    result = parse_td_hob_list(data)
    assert isinstance(result, tuple) or result is INVALID


@pytest.mark.parametrize(
    "added",
    [
        [AddressSpan(127 * MIB, 129 * MIB)],
        [AddressSpan(GIB, GIB + 4096)],
        [AddressSpan(0, 0x2000), AddressSpan(0x1000, 0x3000)],
        [AddressSpan(0x1000, 0x1000)],
    ],
)
def test_a_section_outside_free_ram_is_refused(added: list[AddressSpan]) -> None:
    with pytest.raises(UsageError):
        td_hob_entries(RamLayout.q35(128 * MIB), added)


@pytest.mark.parametrize("firmware", sorted(ADDED_SECTIONS))
def test_sections_are_ascending_disjoint_pages_of_the_smallest_td(firmware: str) -> None:
    spans = added_spans(firmware)
    assert list(spans) == sorted(spans)
    assert all(before.end <= after.start for before, after in pairwise(spans))
    assert all(span.start % 4096 == span.end % 4096 == 0 for span in spans)
    total = sum(entry.length for entry in td_hob_entries(RamLayout.q35(128 * MIB), spans))
    assert total == 128 * MIB
    assert td_hob_section(firmware) == (0x809000, 0x80B000)


def test_head_has_its_temporary_ram_higher_and_a_debug_log() -> None:
    assert added_spans("ovmf-head")[-2:] == ((0x814000, 0x820000), (0x820000, 0x830000))


def test_an_unknown_firmware_names_the_known() -> None:
    with pytest.raises(UsageError, match="inteltdx"):
        added_spans("seabios")
