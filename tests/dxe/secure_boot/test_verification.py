"""Image verification with keys of the tests' own: each rule of edk2's handler, and each way to break an image."""

from __future__ import annotations

import struct
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.dxe.secure_boot.databases import Databases
from tdvfsh.dxe.secure_boot.verification import ImageExecutionAction, Verdict, verify_image
from tdvfsh.formats.pe.authenticode import authenticode_hash
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.signature_lists import (
    EFI_CERT_SHA256_GUID,
    EFI_CERT_X509_GUID,
    Signature,
)
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.formats.pe_builder import build_pe
from tests.formats.signing import Identity, identity, signed_pe

OWNER = Guid("00000000-0000-0000-0000-000000000000")
DENIED = EfiStatus.EFI_ACCESS_DENIED
IN_TEXT = 0x410
"""An offset in the image's first section."""


@cache
def people() -> dict[str, Identity]:
    root = identity("Root")
    between = identity("Between", root)
    return {"root": root, "between": between, "signer": identity("Signer", between), "other": identity("Other")}


@cache
def image() -> bytes:
    who = people()
    return signed_pe(build_pe(), who["signer"], who["between"])


def certificate(name: str) -> Signature:
    return Signature(EFI_CERT_X509_GUID, OWNER, people()[name].certificate)


def image_hash(data: bytes) -> Signature:
    pe = parse_pe(memoryview(data))
    assert isinstance(pe, PeImage)
    digest = authenticode_hash(pe, data)
    assert digest is not None
    return Signature(EFI_CERT_SHA256_GUID, OWNER, digest)


def verdict(data: bytes, db: tuple[Signature, ...] = (), dbx: tuple[Signature, ...] = ()) -> Verdict:
    return verify_image(memoryview(data), Databases(db, dbx))


@pytest.mark.parametrize("above", ["signer", "between", "root"])
def test_any_certificate_of_the_chain_in_db_lets_an_image_run(above: str) -> None:
    said = verdict(image(), (certificate("other"), certificate(above)))
    assert said.status is SUCCESS
    assert said.action is ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED
    assert said.signers == ("Signer, by Between",)


def test_an_image_whose_chain_db_does_not_know_is_refused_and_told_by_whom_it_is_signed() -> None:
    said = verdict(image(), (certificate("other"),))
    assert (said.status, said.action.value) == (DENIED, 3)
    assert said.why == "it is signed by Signer, and db has neither that certificate nor Between"


@pytest.mark.parametrize("below", ["signer", "between"])
def test_a_certificate_of_the_chain_in_dbx_goes_before_db(below: str) -> None:
    assert verdict(image(), (certificate("root"),), (certificate(below),)).why == f"dbx has {below.capitalize()}"


def test_the_hash_of_an_image_in_dbx_forbids_it_and_in_db_allows_it() -> None:
    own = image_hash(image())
    assert verdict(image(), (certificate("root"),), (own,)).why == "its hash is in dbx"
    assert verdict(image(), (own,)).status is SUCCESS
    assert verdict(image(), (own,), (own,)).status is DENIED


def test_an_unsigned_image_needs_its_hash_in_db() -> None:
    plain = build_pe()
    assert verdict(plain, (certificate("root"),)).action is ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_UNTESTED
    assert verdict(plain, (image_hash(plain),)).status is SUCCESS
    found = verdict(plain, (image_hash(plain),), (image_hash(plain),))
    assert (found.status, found.action.value) == (DENIED, 0)


def test_a_byte_changed_in_a_section_is_noticed() -> None:
    changed = bytearray(image())
    changed[IN_TEXT] ^= 1
    said = verdict(bytes(changed), (certificate("root"),))
    assert (said.status, said.why) == (DENIED, "it has changed since Signer signed it")


def test_a_signature_of_another_key_does_not_verify() -> None:
    who = people()
    forged = signed_pe(build_pe(), Identity(who["signer"].certificate, who["other"].key), who["between"])
    said = verdict(forged, (certificate("root"),))
    assert (said.status, said.why) == (DENIED, "the signature of Signer does not verify")


def test_dates_of_certificates_do_not_matter_to_firmware() -> None:
    old = identity("Old", expired=True)
    entry = Signature(EFI_CERT_X509_GUID, OWNER, old.certificate)
    assert verdict(signed_pe(build_pe(), old), (entry,)).status is SUCCESS


def test_of_two_signatures_one_that_db_knows_is_enough_but_one_in_dbx_is_too_many() -> None:
    twice = signed_twice()
    assert verdict(twice, (certificate("root"),)).status is SUCCESS
    assert verdict(twice, (certificate("other"),)).status is SUCCESS
    assert verdict(twice, (certificate("root"),), (certificate("other"),)).status is DENIED


def signed_twice() -> bytes:
    one, two = image(), signed_pe(build_pe(), people()["other"])
    pe = parse_pe(memoryview(one))
    assert isinstance(pe, PeImage)
    assert pe.certificate_table is not None
    start, size = pe.certificate_table.virtual_address, pe.certificate_table.size
    both = bytearray(one + two[start:])
    struct.pack_into("<I", both, both.index(struct.pack("<II", start, size)) + 4, len(both) - start)
    return bytes(both)


def test_a_certificate_table_that_its_certificates_do_not_fill_is_refused() -> None:
    data = bytearray(image())
    pe = parse_pe(memoryview(bytes(data)))
    assert isinstance(pe, PeImage)
    assert pe.certificate_table is not None
    start, size = pe.certificate_table.virtual_address, pe.certificate_table.size
    struct.pack_into("<I", data, data.index(struct.pack("<II", start, size)) + 4, size + 8)
    said = verdict(bytes(data + bytes(8)), (certificate("root"),))
    assert said.status is DENIED


def test_what_is_not_a_pe_image_is_refused() -> None:
    assert verdict(b"#!/bin/sh\n", (certificate("root"),)).status is DENIED


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=8))
def test_no_damage_of_the_file_raises_and_none_to_what_is_hashed_passes(at: int, junk: bytes) -> None:
    data = bytearray(image())
    at %= len(data)
    data[at : at + len(junk)] = junk[: len(data) - at]
    said = verdict(bytes(data), (certificate("root"),))
    if said.status is SUCCESS:
        assert image_hash(bytes(data)) == image_hash(image())
