"""Certificates that dbx revokes by their hash, always or from a time on, with time stamps of the tests' own."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from tdvfsh.dxe.secure_boot.databases import Databases, databases, enroll
from tdvfsh.dxe.secure_boot.verification import ImageExecutionAction, Verdict, verify_image
from tdvfsh.dxe.variables import VariableStore
from tdvfsh.formats.pe.certificates import to_be_signed
from tdvfsh.formats.signature_lists import (
    EFI_CERT_X509_GUID,
    EFI_CERT_X509_SHA256_GUID,
    EFI_CERT_X509_SHA384_GUID,
    EFI_CERT_X509_SHA512_GUID,
    Signature,
    build_signature_lists,
)
from tdvfsh.uefi.efi_time import pack_time
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.dxe.secure_boot.test_verification import OWNER, certificate, image, image_hash, people
from tests.formats.pe_builder import build_pe
from tests.formats.signing import Identity, Stamp, identity, signed_pe

DENIED = EfiStatus.EFI_ACCESS_DENIED
REVOKED = datetime(2026, 3, 31, 12, 30, 15, tzinfo=UTC)
SECOND = timedelta(seconds=1)
KINDS = {
    "sha256": EFI_CERT_X509_SHA256_GUID,
    "sha384": EFI_CERT_X509_SHA384_GUID,
    "sha512": EFI_CERT_X509_SHA512_GUID,
}
TOO_LATE = "dbx revokes Signer from 2026-03-31 12:30:15 on, and no time stamp that dbt trusts is from before"


@cache
def authorities() -> dict[str, Identity]:
    root = identity("Time root")
    return {"root": root, "clock": identity("Clock", root), "other": identity("Other clock")}


def revoked(name: str, time: bytes = bytes(16), kind: str = "sha256") -> Signature:
    signed_part = to_be_signed(people()[name].certificate)
    assert signed_part is not None
    return Signature(KINDS[kind], OWNER, hashlib.new(kind, signed_part).digest() + time)


def stamped(*times: datetime) -> bytes:
    who, clocks = people(), authorities()
    stamps = tuple(Stamp(clocks["clock"], time, (clocks["root"],)) for time in times)
    return signed_pe(build_pe(), who["signer"], who["between"], stamps=stamps)


def trusted(*names: str) -> tuple[Signature, ...]:
    return tuple(Signature(EFI_CERT_X509_GUID, OWNER, authorities()[name].certificate) for name in names)


def verdict(
    data: bytes,
    dbx: tuple[Signature, ...],
    dbt: tuple[Signature, ...] = (),
    db: tuple[Signature, ...] | None = None,
) -> Verdict:
    return verify_image(memoryview(data), Databases((certificate("root"),) if db is None else db, dbx, dbt))


@pytest.mark.parametrize("kind", KINDS)
def test_the_hash_of_the_signing_certificate_in_dbx_forbids_what_it_signed(kind: str) -> None:
    said = verdict(image(), (revoked("signer", kind=kind),))
    assert (said.status, said.why) == (DENIED, "dbx has the hash of Signer")
    assert said.action is ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FAILED


def test_the_hash_of_the_certificate_in_db_does_too_but_one_between_the_two_is_not_looked_for() -> None:
    between = (revoked("between"),)
    assert verdict(image(), between, db=(certificate("between"),)).why == "dbx has the hash of Between"
    assert verdict(image(), (revoked("root"),)).why == "dbx has the hash of Root"
    assert verdict(image(), between).status is SUCCESS


def test_the_hash_of_the_image_in_db_still_allows_it_where_only_the_certificate_in_db_is_revoked() -> None:
    both = (certificate("root"), image_hash(image()))
    assert verdict(image(), (revoked("root"),), db=both).why == "its hash is in db"
    assert verdict(image(), (revoked("signer"),), db=both).status is DENIED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["signer", "root"])
@pytest.mark.parametrize(("late", "status"), [(-SECOND, SUCCESS), (0 * SECOND, SUCCESS), (SECOND, DENIED)])
def test_a_signature_stamped_up_to_the_revocation_runs_and_a_later_one_does_not(
    kind: str, name: str, late: timedelta, status: EfiStatus
) -> None:
    dbx = (revoked(name, pack_time(REVOKED), kind),)
    said = verdict(stamped(REVOKED + late), dbx, trusted("other", "clock"))
    assert said.status is status
    if status is DENIED:
        assert said.why == TOO_LATE.replace("Signer", name.capitalize())


@pytest.mark.parametrize(
    "late",
    [timedelta(days=366), timedelta(days=31), timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)],
)
def test_all_fields_of_the_times_are_compared_the_year_first(late: timedelta) -> None:
    dbx, dbt = (revoked("signer", pack_time(REVOKED)),), trusted("clock")
    assert verdict(stamped(REVOKED + late - 15 * SECOND), dbx, dbt).status is DENIED
    assert verdict(stamped(REVOKED - late + 15 * SECOND), dbx, dbt).status is SUCCESS


@pytest.mark.parametrize("above", ["clock", "root"])
def test_any_certificate_of_the_authoritys_chain_in_dbt_is_trusted(above: str) -> None:
    dbx = (revoked("signer", pack_time(REVOKED)),)
    assert verdict(stamped(REVOKED - SECOND), dbx, trusted(above)).status is SUCCESS


def test_without_dbt_without_a_stamp_and_with_a_strangers_stamp_it_is_refused() -> None:
    dbx, early = (revoked("signer", pack_time(REVOKED)),), stamped(REVOKED - SECOND)
    for data, dbt in ((early, ()), (early, trusted("other")), (image(), trusted("clock"))):
        said = verdict(data, dbx, dbt)
        assert (said.status, said.why) == (DENIED, TOO_LATE)


def test_a_revocation_without_a_time_is_for_always_also_where_the_entry_ends_before_it() -> None:
    for time in (bytes(16), b""):
        said = verdict(stamped(REVOKED - SECOND), (revoked("signer", time),), trusted("clock"))
        assert (said.status, said.why) == (DENIED, "dbx has the hash of Signer")


def test_of_two_entries_for_a_certificate_the_first_counts() -> None:
    with_time, always = revoked("signer", pack_time(REVOKED)), revoked("signer", kind="sha512")
    early, dbt = stamped(REVOKED - SECOND), trusted("clock")
    assert verdict(early, (with_time, always), dbt).status is SUCCESS
    assert verdict(early, (always, with_time), dbt).status is DENIED


def test_each_certificate_is_held_against_its_own_time() -> None:
    soon = revoked("root", pack_time(REVOKED - timedelta(days=300)))
    dbx = (revoked("signer", pack_time(REVOKED)), soon)
    said = verdict(stamped(REVOKED - SECOND), dbx, trusted("clock"))
    assert said.why.startswith("dbx revokes Root from 2025-06-04")


def test_a_raw_certificate_in_dbx_forbids_whatever_the_stamp_says() -> None:
    assert verdict(stamped(REVOKED - SECOND), (certificate("signer"),), trusted("clock")).why == "dbx has Signer"


def test_the_variable_dbt_is_read_with_the_others() -> None:
    keys = {name: build_signature_lists([certificate("root")]) for name in ("PK", "db")}
    keys["dbx"] = build_signature_lists([revoked("signer", pack_time(REVOKED))])
    early = memoryview(stamped(REVOKED - SECOND))
    for more, status in (({}, DENIED), ({"dbt": build_signature_lists(trusted("clock"))}, SUCCESS)):
        in_force = databases(enroll(VariableStore(), {**keys, **more}))
        assert in_force is not None
        assert verify_image(early, in_force).status is status


def test_of_several_stamps_the_last_counts_which_der_makes_the_latest() -> None:
    dbx, dbt = (revoked("signer", pack_time(REVOKED)),), trusted("clock")
    assert verdict(stamped(REVOKED - 2 * SECOND, REVOKED - SECOND), dbx, dbt).status is SUCCESS
    assert verdict(stamped(REVOKED - SECOND, REVOKED + SECOND), dbx, dbt).status is DENIED
