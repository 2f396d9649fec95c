"""Signatures and certificates: PKCS#7, signature lists, authenticated variables, signed images and shims.

The seeds in ``certificates.txt`` were made once by :mod:`tests.formats.signing`, whose keys differ with each run.
"""

from __future__ import annotations

import contextlib
import struct
from functools import cache
from pathlib import Path

from tdvfsh.dxe.secure_boot.authenticated import set_key_variable
from tdvfsh.dxe.secure_boot.databases import Databases
from tdvfsh.dxe.secure_boot.shim import ShimRules, read_shim, shim_verdict
from tdvfsh.dxe.secure_boot.verification import verify_image
from tdvfsh.dxe.variables import VariableStore
from tdvfsh.errors import FormatError
from tdvfsh.formats.pe.certificates import subject_of, to_be_signed
from tdvfsh.formats.pe.pkcs7 import read_authenticode, signed_by, stands_above
from tdvfsh.formats.pe.timestamps import signing_time
from tdvfsh.formats.sbat import automatic_level, newer_level, parse_sbat
from tdvfsh.formats.signature_lists import build_signature_lists, fills_its_lists, parse_signature_lists

_FILE = Path(__file__).with_name("certificates.txt")
_PK_ATTRIBUTES = 0x27


@cache
def _kept() -> dict[str, bytes]:
    return {name: bytes.fromhex(text) for name, text in (line.split() for line in _FILE.read_text().splitlines())}


@cache
def signatures() -> list[bytes]:
    """One of each kind; nested and of wrong lengths, too."""
    kept = _kept()
    pkcs7 = kept["pkcs7"]
    wrong = struct.pack(">BBH", 0x30, 0x82, 0xFFFF) + pkcs7[4:]
    return [*kept.values(), b"\x30\x80" * 2000, wrong, pkcs7 + pkcs7, pkcs7[: len(pkcs7) // 2]]


def certificates(data: bytes) -> None:
    """Everything of Secure Boot that takes bytes from outside."""
    kept = _kept()
    signature = read_authenticode(data)
    if signature is not None:
        stands_above(kept["certificate"], signature.signed)
    subject_of(data)
    to_be_signed(data)
    signed_by(data, b"content", kept["certificate"])
    signing_time(data, kept["authority"])
    entries = parse_signature_lists(data)
    if fills_its_lists(data):
        assert parse_signature_lists(build_signature_lists(entries)) == entries
    set_key_variable(VariableStore(), "PK", _PK_ATTRIBUTES, data)
    parse_sbat(data)
    newer_level(automatic_level(data), data)
    if data[:2] == b"MZ":
        anchors = tuple(parse_signature_lists(kept["lists"]))
        verify_image(memoryview(data), Databases(anchors, (), anchors))
        shim_verdict(memoryview(data), ShimRules("shim", anchors, (), (), b""), by_protocol=False)
        with contextlib.suppress(FormatError):
            read_shim(memoryview(data), "shim")
