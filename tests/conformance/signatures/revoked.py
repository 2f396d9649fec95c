"""EFI programs whose certificates dbx revokes, from a time on or always, with RFC 3161 time stamps and without."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from tdvfsh.formats.pe.certificates import to_be_signed
from tdvfsh.formats.signature_lists import (
    EFI_CERT_X509_SHA256_GUID,
    EFI_CERT_X509_SHA384_GUID,
    EFI_CERT_X509_SHA512_GUID,
    Signature,
)
from tdvfsh.uefi.efi_time import pack_time
from tests.conformance.signatures.cases import OWNER, Cases, entry, hash_entry, program
from tests.formats.signing import Identity, Scheme, Stamp, identity, signed_pe

REVOKED = datetime(2024, 3, 31, 12, 30, 15, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_KINDS = {
    "sha256": EFI_CERT_X509_SHA256_GUID,
    "sha384": EFI_CERT_X509_SHA384_GUID,
    "sha512": EFI_CERT_X509_SHA512_GUID,
}


def revocation(who: Identity, time: datetime | None = REVOKED, kind: str = "sha256") -> Signature:
    """An entry of dbx with a certificate's hash: from a time on, or always."""
    signed_part = to_be_signed(who.certificate)
    assert signed_part is not None
    when = bytes(16) if time is None else pack_time(time)
    return Signature(_KINDS[kind], OWNER, hashlib.new(kind, signed_part).digest() + when)


class _Maker:
    def __init__(self) -> None:
        self.root = identity("Root")
        self.clock_root = identity("Clock root")
        self.clock = identity("Clock", self.clock_root)
        self.signer = identity("Revoked", self.root)
        self.images: dict[str, bytes] = {}
        self.db = [entry(self.root)]
        self.dbx = [revocation(self.signer)]
        self.dbt = [entry(self.clock_root)]

    def add(self, name: str, signer: Identity, *stamps: Stamp, chain: tuple[Identity, ...] = ()) -> bytes:
        made = signed_pe(program(len(self.images)), signer, *chain, stamps=stamps)
        self.images[name] = made
        return made

    def at(self, late: timedelta) -> Stamp:
        return Stamp(self.clock, REVOKED + late)


def revocation_cases() -> Cases:
    """Every way in which a time and a time stamp can stand to each other."""
    maker = _Maker()
    for step in (_times, _stamps, _certificates, _entries):
        step(maker)
    return Cases(maker.images, tuple(maker.db), tuple(maker.dbx), tuple(maker.dbt))


def _times(maker: _Maker) -> None:
    maker.add("not-stamped", maker.signer)
    for name, late in (("before", -_SECOND), ("same-second", 0 * _SECOND), ("after", _SECOND)):
        maker.add(name, maker.signer, maker.at(late))
    for unit in ("days", "hours", "minutes"):
        step = timedelta(**{unit: 1})
        maker.add(f"{unit}-after", maker.signer, maker.at(step - 15 * _SECOND))
        maker.add(f"{unit}-before", maker.signer, maker.at(15 * _SECOND - step))
    for name, year, month in (("year-after", REVOKED.year + 1, 1), ("year-before", REVOKED.year - 1, 12)):
        maker.add(name, maker.signer, Stamp(maker.clock, REVOKED.replace(year=year, month=month)))
    maker.add("fraction-after", maker.signer, Stamp(maker.clock, REVOKED.replace(microsecond=500000)))


def _stamps(maker: _Maker) -> None:
    signer, early = maker.signer, REVOKED - _SECOND
    maker.add("clock-not-trusted", signer, Stamp(identity("Other clock"), early))
    maker.add("key-of-another", signer, Stamp(Identity(maker.clock.certificate, maker.root.key), early))
    maker.add("other-imprint", signer, Stamp(maker.clock, early, imprint=bytes(32)))
    maker.add("imprint-of-another-length", signer, Stamp(maker.clock, early, imprint=bytes(20)))
    maker.add("version-2", signer, Stamp(maker.clock, early, version="v2"))
    between = identity("Clock between", maker.clock_root)
    below = identity("Clock below", between)
    maker.add("clock-chain", signer, Stamp(below, early, (between,)))
    maker.add("clock-chain-incomplete", signer, Stamp(below, early))
    maker.add("two-stamps-early", signer, maker.at(-2 * _SECOND), maker.at(-_SECOND))
    maker.add("two-stamps-last-late", signer, maker.at(-_SECOND), maker.at(_SECOND))
    maker.add("clock-p256", signer, Stamp(identity("Clock p256", maker.clock_root, key="p256"), early))
    for name, scheme in (
        ("pss", Scheme(padding="pss")),
        ("sha1", Scheme(digest="sha1")),
        ("md5", Scheme(digest="md5")),
    ):
        maker.add(f"clock-{name}", signer, Stamp(maker.clock, early, scheme=scheme))
    old = identity("Old clock", maker.clock_root, expired=True)
    maker.add("clock-expired", signer, Stamp(old, early))


def _certificates(maker: _Maker) -> None:
    root = identity("Revoked root")
    maker.db.append(entry(root))
    maker.dbx.append(revocation(root))
    leaf = identity("Leaf", root)
    maker.add("anchor-before", leaf, maker.at(-_SECOND))
    maker.add("anchor-after", leaf, maker.at(_SECOND))
    maker.db.append(hash_entry(maker.add("anchor-after-hash-in-db", leaf, maker.at(_SECOND)), "sha256"))
    maker.db.append(hash_entry(maker.add("signer-after-hash-in-db", maker.signer, maker.at(_SECOND)), "sha256"))
    between = identity("Revoked between", maker.root)
    maker.dbx.append(revocation(between, None))
    maker.add("between", identity("Leaf", between), chain=(between,))
    raw = identity("Raw", maker.root)
    maker.dbx += [entry(raw), revocation(raw)]
    maker.add("certificate-itself-in-dbx", raw, maker.at(-_SECOND))


def _entries(maker: _Maker) -> None:
    for kind in _KINDS:
        who = identity(f"Revoked {kind}", maker.root)
        maker.dbx.append(revocation(who, kind=kind))
        for name, late in (("before", -_SECOND), ("after", _SECOND)):
            maker.add(f"{kind}-{name}", who, maker.at(late))
    for name, times in (("always-first", (None, REVOKED)), ("always-last", (REVOKED, None))):
        who = identity(f"Revoked {name}", maker.root)
        maker.dbx += [revocation(who, time) for time in times]
        maker.add(name, who, maker.at(-_SECOND))
    who = identity("Revoked always", maker.root)
    maker.dbx.append(revocation(who, None))
    maker.add("always", who, maker.at(-_SECOND))
    on_curve = identity("Revoked p256", maker.root, key="p256")
    maker.dbx.append(revocation(on_curve))
    for name, late in (("before", -_SECOND), ("after", _SECOND)):
        maker.add(f"p256-{name}", on_curve, maker.at(late))
