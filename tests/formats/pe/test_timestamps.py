"""RFC 3161 time stamps: what firmware takes for one, and each way to break it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.formats.pe.timestamps import signing_time
from tdvfsh.uefi.efi_time import EfiTime
from tests.formats.signing import Identity, Stamp, authenticode, identity

TIME = datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)
READ = EfiTime(2024, 2, 29, 23, 59, 58)
HASH = bytes(32)


@cache
def people() -> tuple[Identity, Identity]:
    return identity("Signer"), identity("Clock")


def read(*stamps: Stamp) -> EfiTime | None:
    signer, clock = people()
    return signing_time(authenticode(HASH, signer, (), stamps), clock.certificate)


def test_the_time_of_a_token_over_this_signature_is_read() -> None:
    assert read(Stamp(people()[1], TIME)) == READ
    assert read(Stamp(people()[1], TIME.replace(microsecond=500000))) == READ


def test_there_is_none_without_a_token_or_with_another_authoritys() -> None:
    assert read() is None
    assert read(Stamp(identity("Other"), TIME)) is None
    assert read(Stamp(Identity(people()[1].certificate, people()[0].key), TIME)) is None


def test_a_token_over_another_signature_or_of_another_version_is_none() -> None:
    assert read(Stamp(people()[1], TIME, imprint=bytes(32))) is None
    assert read(Stamp(people()[1], TIME, version="v2")) is None


def test_an_imprint_of_another_length_is_not_compared() -> None:
    assert read(Stamp(people()[1], TIME, imprint=bytes(20))) == READ


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 16), st.integers(1, 255))
def test_no_damage_raises_and_none_changes_the_time(at: int, flip: int) -> None:
    clock = people()[1]
    data = bytearray(whole())
    data[at % len(data)] ^= flip
    assert signing_time(bytes(data), clock.certificate) in (None, READ)
    assert signing_time(bytes(data[: at % len(data)]), clock.certificate) is None


@cache
def whole() -> bytes:
    signer, clock = people()
    return authenticode(HASH, signer, (), (Stamp(clock, TIME),))
