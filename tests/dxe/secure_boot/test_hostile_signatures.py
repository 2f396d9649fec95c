"""Signatures that are cut, nested, huge or of wrong lengths: refused in one line, and soon."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.dxe.secure_boot.databases import Databases
from tdvfsh.dxe.secure_boot.shim import ShimRules, shim_verdict
from tdvfsh.dxe.secure_boot.verification import verify_image
from tdvfsh.formats.pe.pkcs7 import MOST_CERTIFICATES, MOST_SIGNERS
from tdvfsh.uefi.status import EfiStatus
from tests.conformance.signatures.cases import entry, signature_table
from tests.formats.pe_builder import build_pe
from tests.formats.signing import Identity, Scheme, identity, private_key, signed_pe

OID_AT = 32
SHA256 = bytes.fromhex("608648016503040201")


@cache
def signer() -> Identity:
    return identity("Signer")


@cache
def pkcs7() -> bytes:
    image = signed_pe(build_pe(), signer())
    start, size = signature_table(image)
    return image[start + 8 : start + size].rstrip(b"\0")


def with_signature(data: bytes) -> bytes:
    """An image whose certificate table has these bytes as PKCS#7."""
    image = signed_pe(build_pe(), signer())
    start, size = signature_table(image)
    table = struct.pack("<IHH", 8 + len(data), 0x0200, 2) + data
    table += bytes(-len(table) % 8)
    made = bytearray(image[:start] + table)
    struct.pack_into("<I", made, made.index(struct.pack("<II", start, size)) + 4, len(table))
    return bytes(made)


def many(number: int) -> bytes:
    """A signature that brings many certificates of one name, each of which could have issued each."""
    key = private_key("rsa2048")
    same = [identity("Same", key=key) for _ in range(number)]
    return signed_pe(build_pe(), identity("Leaf", same[0]), *same)


def cosigned(number: int) -> bytes:
    return signed_pe(build_pe(), signer(), scheme=Scheme(cosigners=(signer(),) * number))


HOSTILE = {
    "nothing": lambda: with_signature(b""),
    "one byte": lambda: with_signature(b"\x30"),
    "cut": lambda: with_signature(pkcs7()[: len(pkcs7()) // 2]),
    "cut after the hash": lambda: with_signature(pkcs7()[: OID_AT + len(SHA256)]),
    "nested": lambda: with_signature(b"\x30\x80" * 20000),
    "nested with a hash": lambda: with_signature(
        (b"\x30\x82\xff\xff" * 8)[:OID_AT] + SHA256 + b"\x30\x82\xff\xff" * 5000
    ),
    "longer than it is": lambda: with_signature(b"\x30\x82\xff\xff" + pkcs7()[4:]),
    "length of eight bytes": lambda: with_signature(b"\x30\x88" + b"\xff" * 8 + pkcs7()[4:]),
    "length of 126 bytes": lambda: with_signature(b"\x30\xfe" + b"\xff" * 126),
    "huge": lambda: with_signature(pkcs7() + bytes(2 << 20)),
    "huge set": lambda: with_signature(pkcs7()[:OID_AT] + SHA256 + b"\x31\x84\x7f\xff\xff\xff" + bytes(4096)),
    "too many certificates": lambda: many(MOST_CERTIFICATES + 1),
    "many certificates": lambda: many(MOST_CERTIFICATES - 1),
    "too many signers": lambda: cosigned(MOST_SIGNERS),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_signature_is_refused_and_shown(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = HOSTILE[name]()
    known = () if name == "huge" else (entry(signer()),)  # the signature before the zeros is a good one
    other = (entry(identity("Other")),)
    assert verify_image(memoryview(image), Databases(known, other)).status is EfiStatus.EFI_ACCESS_DENIED
    rules = ShimRules("shim", (), known, other, b"")
    assert shim_verdict(memoryview(image), rules, by_protocol=True).status is EfiStatus.EFI_SECURITY_VIOLATION
    path = tmp_path / "hostile.efi"
    path.write_bytes(image)
    assert main(["inspect", str(path)]) == 0
    captured = capsys.readouterr()
    assert not captured.err
    assert "signed" in captured.out
