"""EFI programs signed in many ways, with keys of the tests' own, and the databases that firmware is to have.

Keys differ with each call; what firmware says does not depend on them, so that a recording has the names only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tdvfsh.dxe.secure_boot.verification import IMAGE_HASH_TYPES
from tdvfsh.formats.pe.authenticode import authenticode_hash
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.signature_lists import (
    EFI_CERT_X509_GUID,
    Signature,
)
from tdvfsh.uefi.guids import Guid
from tests.formats.pe_builder import DATA, TEXT, build_pe
from tests.formats.signing import Identity, Scheme, identity, private_key, signed_pe

OWNER = Guid("00000000-0000-0000-0000-000000000000")
_RETURNS_SUCCESS = b"\x31\xc0\xc3"  # xor eax, eax; ret
_NO_AUTHORITY = ((x509.BasicConstraints(ca=False, path_length=None), True),)
_NO_FURTHER = ((x509.BasicConstraints(ca=True, path_length=0), True),)
_FOR_SERVERS = ((x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), True),)
_STRANGE = ((x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True),)


class Cases(NamedTuple):
    """Programs by name, and the databases that are to be in force when they are started."""

    images: dict[str, bytes]
    db: tuple[Signature, ...]
    dbx: tuple[Signature, ...] = ()
    dbt: tuple[Signature, ...] = ()


def program(number: int) -> bytes:
    """An EFI program that returns EFI_SUCCESS, and differs from others in its number."""
    return build_pe((TEXT._replace(data=_RETURNS_SUCCESS), DATA._replace(data=struct.pack("<I", number))), subsystem=11)


def entry(who: Identity) -> Signature:
    """A certificate as a database has it."""
    return Signature(EFI_CERT_X509_GUID, OWNER, who.certificate)


def hash_entry(image: bytes, algorithm: str) -> Signature:
    """An image's hash as a database has it."""
    pe = parse_pe(memoryview(image))
    assert isinstance(pe, PeImage)
    digest = authenticode_hash(pe, image, algorithm)
    assert digest is not None
    return Signature(IMAGE_HASH_TYPES[algorithm], OWNER, digest)


class _Maker:
    """Images and certificates of one call."""

    def __init__(self) -> None:
        self.root = identity("Root")
        self.images: dict[str, bytes] = {}
        self.db: list[Signature] = [entry(self.root)]
        self.dbx: list[Signature] = []

    def add(self, name: str, signer: Identity, *chain: Identity, scheme: Scheme | None = None) -> bytes:
        """One more image."""
        made = signed_pe(program(len(self.images)), signer, *chain, scheme=Scheme() if scheme is None else scheme)
        self.images[name] = made
        return made

    def add_twice(self, name: str, first: Identity, second: Identity) -> None:
        """An image with two signatures."""
        number = len(self.images)
        once, again = signed_pe(program(number), first), signed_pe(program(number), second)
        start, _ = signature_table(again)
        self.images[name] = with_longer_table(once, again[start:])


def signature_table(image: bytes) -> tuple[int, int]:
    """Where an image's certificate table is: offset and bytes."""
    pe = parse_pe(memoryview(image))
    assert isinstance(pe, PeImage)
    assert pe.certificate_table is not None
    return pe.certificate_table.virtual_address, pe.certificate_table.size


def with_longer_table(image: bytes, more: bytes = bytes(8)) -> bytes:
    """A signed image with more bytes in its certificate table."""
    start, size = signature_table(image)
    made = bytearray(image + more)
    struct.pack_into("<I", made, made.index(struct.pack("<II", start, size)) + 4, size + len(more))
    return bytes(made)


def signature_cases() -> Cases:
    """Every kind of hash, key, padding and chain."""
    maker = _Maker()
    steps: tuple[Callable[[_Maker], None], ...] = (
        _hashes,
        _keys,
        _signers,
        _chains,
        _authorities,
        _names,
        _of_databases,
    )
    for step in steps:
        step(maker)
    return Cases(maker.images, tuple(maker.db), tuple(maker.dbx))


def _hashes(maker: _Maker) -> None:
    leaf = identity("Leaf", maker.root)
    for name in ("sha1", "sha256", "sha384", "sha512"):
        maker.add(f"image-{name}", leaf, scheme=Scheme(image=name, digest=name))
    for name in ("md5", "sha1", "sha224", "sha384", "sha512"):
        maker.add(f"not-listed-{name}", leaf, scheme=Scheme(digest=name))
        maker.add(f"listed-{name}", leaf, scheme=Scheme(digest=name, listed=("sha256", name)))
        maker.add(f"only-listed-{name}", leaf, scheme=Scheme(listed=("sha256", name)))
    maker.add("listed-first-sha1", leaf, scheme=Scheme(listed=("sha1", "sha256")))
    maker.add("listed-first-sha384", leaf, scheme=Scheme(listed=("sha384", "sha256")))
    for listed in (("sha256",), ("sha256", "sha512")):
        scheme = Scheme(digest=listed[-1], attributes=False, listed=listed)
        maker.add(f"no-attributes-{listed[-1]}", leaf, scheme=scheme)


def _keys(maker: _Maker) -> None:
    root = maker.root
    for kind in ("rsa1024", "rsa3072", "rsa4096", "p256", "p384", "p521", "k256", "brainpool", "ed25519"):
        maker.add(f"key-{kind}", identity(f"Leaf {kind}", root, key=kind))
    maker.add("key-p384-sha384", identity("Leaf p384", root, key="p384"), scheme=Scheme(digest="sha384"))
    maker.add("key-pss", identity("Leaf", root), scheme=Scheme(padding="pss"))
    for kind in ("rsa2048", "p256", "ed25519"):
        own = identity(f"Alone {kind}", key=kind)
        maker.db.append(entry(own))
        maker.add(f"in-db-{kind}", own)
    other = Identity(identity("Leaf", root).certificate, private_key("rsa2048"))
    maker.add("key-of-another", other)
    named = identity(
        "Leaf by key", root, extensions=(*_constraints(), (x509.SubjectKeyIdentifier(b"\x03" * 20), False))
    )
    maker.add("named-by-key", named, scheme=Scheme(by_key=True))


def _signers(maker: _Maker) -> None:
    """Several signers of one signature, several signatures of one image, and damaged tables."""
    root, stranger = maker.root, identity("Stranger")
    one, two = identity("One", root), identity("Two", root)
    maker.add("two-signers", one, scheme=Scheme(cosigners=(two,)))
    maker.add("two-signers-one-unknown", one, scheme=Scheme(cosigners=(stranger,)))
    for name, pair in (
        ("known-last", (stranger, one)),
        ("known-first", (one, stranger)),
        ("unknown", (stranger, stranger)),
    ):
        maker.add_twice(f"twice-{name}", *pair)
    forbidden = identity("Forbidden of two", root)
    maker.dbx.append(entry(forbidden))
    maker.add_twice("twice-forbidden-last", one, forbidden)
    maker.add_twice("twice-forbidden-first", forbidden, one)
    for name, who in (("known", one), ("unknown", stranger)):
        maker.images[f"table-too-long-{name}"] = with_longer_table(maker.add("", who))
    whole = maker.add("", one)
    maker.images["cut"] = whole[:-64]
    maker.images["signature-damaged"] = whole[:-200] + bytes(200)
    maker.images["text"] = b"#!/bin/sh\n" * 100
    del maker.images[""]


def _chains(maker: _Maker) -> None:
    root = maker.root
    between = identity("Between", root)
    leaf = identity("Leaf", between)
    maker.add("chain", leaf, between)
    maker.add("chain-incomplete", leaf)
    maker.add("chain-with-root", leaf, between, root)
    for name in ("md5", "sha1", "sha384", "sha512"):
        maker.add(f"issued-{name}", identity("Leaf", root, digest=name))
    maker.add("issued-pss", identity("Leaf", root, pss=True))
    for kind in ("p256", "p384", "ed25519"):
        above = identity(f"Root {kind}", key=kind)
        maker.db.append(entry(above))
        maker.add(f"issued-by-{kind}", identity("Leaf", above))
    long = [root]
    for number in range(12):
        long.append(identity(f"Step {number}", long[-1]))
    maker.add("chain-of-12", long[-1], *long[-2:0:-1])
    unknown = identity("Unknown root")
    maker.add("root-not-in-db", identity("Leaf", unknown), unknown)


def _authorities(maker: _Maker) -> None:
    root = maker.root
    for name, extensions in (
        ("no-authority", _NO_AUTHORITY),
        ("no-constraints", ()),
        ("strange-critical", _STRANGE),
        ("no-signing-of-certificates", _usage(certificates=False)),
    ):
        between = identity(f"Between {name}", root, extensions=extensions)
        maker.add(f"between-{name}", identity("Leaf", between), between)
    short = identity("Short", root, extensions=_NO_FURTHER)
    below = identity("Below", short)
    maker.add("path-too-long", identity("Leaf", below), below, short)
    for name, extensions in (
        ("no-authority", _NO_AUTHORITY),
        ("for-servers", _FOR_SERVERS),
        ("strange-critical", _STRANGE),
        ("only-certificates", _usage(certificates=True)),
    ):
        maker.add(f"leaf-{name}", identity(f"Leaf {name}", root, extensions=extensions))
    for name, extensions in (("no-authority", _NO_AUTHORITY), ("no-constraints", ())):
        above = identity(f"Anchor {name}", extensions=extensions)
        maker.db.append(entry(above))
        maker.add(f"anchor-{name}", identity("Leaf", above))
    old = identity("Old", root, expired=True)
    maker.add("expired", old)


def _usage(*, certificates: bool) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    usage = x509.KeyUsage(
        digital_signature=not certificates,
        key_cert_sign=certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )
    return ((x509.BasicConstraints(ca=True, path_length=None), True), (usage, True))


def _names(maker: _Maker) -> None:
    root = maker.root
    renamed = Identity(identity("Another name", key=root.key).certificate, root.key)
    maker.add("issuer-of-another-name", identity("Leaf", renamed))
    wrong = x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None)
    above = identity("Known key", extensions=(*_constraints(), (x509.SubjectKeyIdentifier(b"\x02" * 20), False)))
    maker.db.append(entry(above))
    maker.add("key-identifier-of-another", identity("Leaf", above, extensions=((wrong, False),)))
    first = identity("Renewed")
    second = identity("Renewed", key=first.key)
    maker.db.append(entry(second))
    maker.add("renewed-anchor", identity("Leaf", first), first)
    maker.add("renewed-alone", first)
    leaf = identity("Renewed leaf", identity("Unknown"))
    again = Identity(identity("Renewed leaf", identity("Unknown"), key=leaf.key).certificate, leaf.key)
    maker.db.append(entry(again))
    maker.add("renewed-leaf", leaf)
    known = identity("Known leaf", identity("Unknown"))
    maker.db.append(entry(known))
    maker.add("leaf-in-db", known)
    middle = identity("Known between", identity("Unknown"))
    maker.db.append(entry(middle))
    maker.add("between-in-db", identity("Leaf", middle), middle)
    maker.add("between-in-db-only", identity("Leaf", middle))


def _constraints() -> tuple[tuple[x509.ExtensionType, bool], ...]:
    return ((x509.BasicConstraints(ca=True, path_length=None), True),)


def _of_databases(maker: _Maker) -> None:
    unknown = identity("Unknown signer")
    for name in ("sha1", "sha256", "sha384", "sha512"):
        made = maker.add(f"hash-{name}-in-db", unknown, scheme=Scheme(image=name, digest=name))
        maker.db.append(hash_entry(made, name))
    made = maker.add("hash-of-another-kind-in-db", unknown, scheme=Scheme(image="sha384", digest="sha384"))
    maker.db.append(hash_entry(made, "sha256"))
    leaf = identity("Leaf", maker.root)
    for name in ("sha256", "sha384"):
        maker.dbx.append(hash_entry(maker.add(f"hash-{name}-in-dbx", leaf), name))
    made = maker.add("hash-of-sha384-in-dbx", leaf, scheme=Scheme(image="sha384", digest="sha384"))
    maker.dbx.append(hash_entry(made, "sha384"))
    between = identity("Forbidden between", maker.root)
    maker.dbx.append(entry(between))
    maker.add("between-in-dbx", identity("Leaf", between), between)
    for kind in ("rsa2048", "p256"):
        forbidden = identity(f"Forbidden {kind}", maker.root, key=kind)
        maker.dbx.append(entry(forbidden))
        maker.add(f"{kind}-in-dbx", forbidden)
    ec_hash = identity("Forbidden p384", identity("Unknown"), key="p384")
    maker.dbx.append(entry(ec_hash))
    maker.db.append(hash_entry(maker.add("p384-in-dbx-hash-in-db", ec_hash), "sha256"))
    for name in ("sha1", "sha256", "sha384", "sha512"):
        unsigned = program(len(maker.images))
        maker.images[f"unsigned-{name}-in-db"] = unsigned
        maker.db.append(hash_entry(unsigned, name))
        forbidden_too = program(len(maker.images))
        maker.images[f"unsigned-{name}-in-dbx"] = forbidden_too
        maker.dbx.append(hash_entry(forbidden_too, name))
        maker.db.append(hash_entry(forbidden_too, "sha256"))
    maker.images["unsigned"] = program(len(maker.images))
    changed = bytearray(maker.add("changed", leaf))
    changed[TEXT.pointer + len(_RETURNS_SUCCESS)] ^= 1
    maker.images["changed"] = bytes(changed)
