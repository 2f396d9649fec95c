"""The variable store of a flash image, made as edk2 lays it out."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.dxe.secure_boot.databases import databases, enroll, enrolled
from tdvfsh.dxe.variables import VariableStore
from tdvfsh.formats.signature_lists import parse_signature_lists
from tdvfsh.formats.variable_store import (
    EFI_AUTHENTICATED_VARIABLE_GUID,
    EFI_SYSTEM_NV_DATA_FV_GUID,
    StoredVariable,
    stored_variables,
)
from tdvfsh.images.fetch import fetch
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID
from tests.formats.store_builder import build_store

PK = StoredVariable("PK", EFI_GLOBAL_VARIABLE_GUID, 0x27, b"key")
ODD = StoredVariable("Odd", EFI_GLOBAL_VARIABLE_GUID, 0x7, b"12345")


def test_variables_in_force_are_read_and_deleted_ones_are_not() -> None:
    image = build_store([(PK, 0x3F), (ODD, 0x3C), (ODD, 0x3E), (PK, 0x3D)])
    assert stored_variables(image, "made") == [PK, ODD]


def test_an_image_without_a_store_has_none() -> None:
    assert stored_variables(b"\xff" * 0x1000, "made") is None
    damaged = bytearray(build_store([(PK, 0x3F)]))
    damaged[0x48 + 20] = 0x00  # not formatted
    assert stored_variables(bytes(damaged), "made") is None


def test_without_a_pk_nothing_is_enrolled() -> None:
    assert enrolled([ODD]) == {}
    assert enrolled([ODD, PK]) == {"PK": b"key"}


@given(st.integers(0, 0x200), st.binary(max_size=40))
def test_a_store_that_is_cut_or_damaged_anywhere_is_read_as_far_as_it_goes(at: int, junk: bytes) -> None:
    image = bytearray(build_store([(PK, 0x3F), (ODD, 0x3F)]))
    image[at : at + len(junk)] = junk
    found = stored_variables(bytes(image[: at + 0x40]), "made")
    assert found is None or len(found) <= 2
    stored_variables(bytes(image), "made")


@given(st.binary(max_size=300))
def test_any_bytes_are_signature_lists_or_the_end_of_them(data: bytes) -> None:
    assert sum(len(entry.data) for entry in parse_signature_lists(data)) <= len(data)


def test_a_signature_list_with_a_size_beyond_its_variable_ends_the_reading() -> None:
    head = struct.pack("<16sIII", bytes(16), 1000, 0, 48)
    assert parse_signature_lists(head + bytes(48)) == []


def test_debians_tdvf_has_microsofts_keys() -> None:
    files = fetch("ovmf-inteltdx").files
    keys = enrolled(stored_variables(files["firmware"].read_bytes(), "ovmf-inteltdx") or ())
    assert set(keys) == {"PK", "KEK", "db", "dbx"}
    in_force = databases(enroll(VariableStore(), keys))
    assert in_force is not None
    assert len(in_force.db) == 5
    assert len(in_force.dbx) > 400
    assert EFI_SYSTEM_NV_DATA_FV_GUID != EFI_AUTHENTICATED_VARIABLE_GUID
