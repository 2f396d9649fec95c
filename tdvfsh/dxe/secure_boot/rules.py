"""What image verification differs in between generations of firmware.

Held by tests/recordings/secure-boot/signatures.tsv: three builds of OVMF in QEMU.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final, NamedTuple

_WITHOUT_CURVES: Final = frozenset({"inteltdx"})
"""Builds whose OpenSSL has no elliptic curves where others of their generation have: Debian's OVMF.inteltdx.ms.fd of
2026.08 refuses what ECDSA signed (tests/engine/firmware/test_keys_of_our_own.py)."""


class VerificationRules(NamedTuple):
    """The rules of one generation.

    Attributes:
        elliptic_curves: ECDSA verifies: OpenSSL has elliptic curves. That of Debian's OVMF of 2026.08 has, those of
            2025.02 and 2022.11 have not, and what such keys signed does not verify there.
        reports_not_found: The image execution information table says of a signed image that db does not allow that it
            was not found (2025.02 and later), not that it was not tested (2022.11).
        unsigned_hashes: The hashes of an unsigned image that are looked for in db and dbx.
    """

    elliptic_curves: bool = True
    reports_not_found: bool = True
    unsigned_hashes: tuple[str, ...] = ("sha1", "sha256", "sha384", "sha512")

    def of_build(self, firmware: str) -> VerificationRules:
        """The rules of one build of that generation, by the name of the firmware whose TDX metadata it has."""
        return self._replace(elliptic_curves=False) if firmware in _WITHOUT_CURVES else self


VERIFICATION: Final = VerificationRules()
