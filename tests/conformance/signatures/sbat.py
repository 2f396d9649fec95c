"""EFI programs with SBAT sections of every kind, signed by a certificate that db has."""

from __future__ import annotations

import struct

from tdvfsh.formats.sbat import SbatEntry
from tests.conformance.signatures.cases import Cases, entry
from tests.formats.shim_builder import with_sections
from tests.formats.signing import identity, signed_pe

_OWN = b"sbat,1,SBAT Version,sbat,1,https://example.org/\n"


def sbat_cases(level: list[SbatEntry]) -> Cases:
    """Programs whose components stand around the generations of a level."""
    signer = identity("Signer")
    sections: dict[str, bytes] = {
        "empty": b"",
        "zeros": bytes(16),
        "own-line": _OWN,
        "other-component": _OWN + _line(b"other", b"1"),
    }
    for one in level:
        if one.component != "sbat":
            name, component = one.component, one.component.encode()
            for title, step in (("below", -1), ("same", 0), ("above", 1)):
                sections[f"{name}-{title}"] = _OWN + _line(component, b"%d" % (one.generation + step))
            sections[f"{name}-zero"] = _OWN + _line(component, b"0")
            sections[f"{name}-twice"] = sections[f"{name}-same"] + _line(component, b"1")
            sections[f"{name}-in-another-case"] = _OWN + _line(component.upper(), b"1")
            sections[f"{name}-not-a-number"] = _OWN + _line(component, b"x")
    sections["four-columns"] = _OWN + b"other,9,vendor,package\n"
    sections["two-columns"] = _OWN + b"other,9\n"
    sections["seven-columns"] = _OWN + b"other,9,vendor,package,1,https://example.org/,more\n"
    sections["no-name"] = _OWN + _line(b"", b"1")
    sections["no-end-of-line"] = _OWN + _line(b"other", b"1").rstrip()
    sections["ends-of-dos"] = (_OWN + _line(b"other", b"1")).replace(b"\n", b"\r\n")
    sections["blank-line"] = _OWN + b"\n" + _line(b"other", b"1")
    sections["sbat-zero"] = _OWN.replace(b"sbat,1", b"sbat,0", 1)
    sections["without-own-line"] = _line(b"other", b"1")
    images = {name: signed_pe(with_sections((b".sbat", text)), signer) for name, text in sections.items()}
    images["empty-before-another"] = signed_pe(with_sections((b".sbat", b""), (b".data", b"after")), signer)
    images["twice"] = signed_pe(with_sections((b".sbat", _OWN), (b".sbat", _OWN)), signer)
    longer = bytearray(with_sections((b".sbat", _OWN)))
    struct.pack_into("<I", longer, longer.index(b".sbat\0\0\0") + 8, 0x300)  # of which the file has 0x200 bytes
    images["longer-than-its-file"] = signed_pe(bytes(longer), signer)
    images["none"] = signed_pe(with_sections((b".data", b"none")), signer)
    return Cases(images, (entry(signer),))


def _line(component: bytes, generation: bytes) -> bytes:
    return component + b"," + generation + b",vendor,package,1,https://example.org/\n"
