"""What inspection says of a PE image's signatures."""

from __future__ import annotations

from tdvfsh.errors import HostError
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.pe.authenticode import authenticode_hash, certificate_table
from tdvfsh.formats.pe.image import PeImage


def signature_facts(pe: PeImage, view: Buffer | ByteSource) -> dict[str, object]:
    """Hash and signatures, as values that JSON knows.

    ``sha256`` is the Authenticode hash, None where firmware cannot compute one; ``signed_by`` has signer, issuer and
    whether the signature fits the file, and is None for a signed image where the extra ``secureboot`` is not installed.
    """
    digest = authenticode_hash(pe, view)
    table = certificate_table(pe, view)
    facts: dict[str, object] = {
        "sha256": None if digest is None else digest.hex(),
        "count": 0 if table is None else len(table.signed),
        "whole_table": table is None or table.whole,
    }
    try:
        facts["signed_by"] = [] if table is None else [_signed_by(pe, view, data) for data in table.signed]
    except HostError:
        facts["signed_by"] = None
    return facts


def _signed_by(pe: PeImage, view: Buffer | ByteSource, data: bytes) -> dict[str, object]:
    from tdvfsh.formats.pe.pkcs7 import read_authenticode

    signature = read_authenticode(data)
    if signature is None:
        return {"signer": None, "issuer": None, "fits": False}
    fits = signature.intact and signature.digest == authenticode_hash(pe, view, signature.algorithm)
    return {"signer": signature.signer, "issuer": signature.issuer, "fits": fits}
