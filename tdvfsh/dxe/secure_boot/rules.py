"""What image verification differs in between generations of firmware.

Held by tests/recordings/secure-boot/signatures.tsv: three builds of OVMF in QEMU.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final, NamedTuple


class VerificationRules(NamedTuple):
    """The rules of one generation.

    Attributes:
        elliptic_curves: ECDSA verifies: OpenSSL is built with elliptic curves (Debian's 2026.08 is, 2025.02 and 2022.11
            are not, and what such keys signed does not verify there).
        reports_not_found: The image execution information table says of a signed image that db does not allow that it
            was not found (2025.02 and later), not that it was not tested (2022.11).
        unsigned_hashes: The hashes of an unsigned image that are looked for in db and dbx.
    """

    elliptic_curves: bool = True
    reports_not_found: bool = True
    unsigned_hashes: tuple[str, ...] = ("sha1", "sha256", "sha384", "sha512")


VERIFICATION: Final = VerificationRules()
