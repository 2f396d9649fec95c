"""Certificates that dbx revokes by their hash, always or from a time on, and time stamps that dbt trusts.

Firmware asks this for the certificate that signed and for the one in db with which the signature verifies. It does not
ask it for those between the two.

Held by tests/recordings/secure-boot/signatures.tsv.

Source: edk2 SecurityPkg/Library/DxeImageVerificationLib/DxeImageVerificationLib.c (IsCertHashFoundInDbx,
PassTimestampCheck, IsForbiddenByDbx, IsAllowedByDb), CryptoPkg/Library/BaseCryptLib/Pk/CryptPkcs7VerifyCommon.c
(Pkcs7GetSigners); UEFI 2.10 32.4.1 (EFI_CERT_X509_SHA256).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tdvfsh.dxe.secure_boot.databases import Databases
from tdvfsh.dxe.secure_boot.rules import VerificationRules
from tdvfsh.formats.pe.certificates import subject_of, to_be_signed
from tdvfsh.formats.pe.timestamps import signing_time
from tdvfsh.formats.signature_lists import (
    EFI_CERT_X509_GUID,
    EFI_CERT_X509_SHA256_GUID,
    EFI_CERT_X509_SHA384_GUID,
    EFI_CERT_X509_SHA512_GUID,
    Signature,
)
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.efi_time import EFI_TIME, EfiTime

_CERTIFICATE_HASH_TYPES: Final = {
    EFI_CERT_X509_SHA256_GUID: "sha256",
    EFI_CERT_X509_SHA384_GUID: "sha384",
    EFI_CERT_X509_SHA512_GUID: "sha512",
}
_FIELDS: Final = 6
"""Year to second: what firmware compares of two times."""


def why_revoked(certificate: bytes, signature: bytes, databases: Databases, rules: VerificationRules) -> str:
    """Why dbx revokes a certificate for a signature, or nothing.

    Args:
        certificate: One of the signature's chain, in DER.
        signature: The Authenticode signature, with its time stamp where it has one.
        databases: Those in force.
        rules: What firmware knows.

    Raises:
        HostError: The extra ``secureboot`` is not installed.
    """
    time = _time_of_revocation(certificate, databases.dbx)
    if time is None:
        return ""
    name = subject_of(certificate)
    if not any(time[:_FIELDS]):
        return f"dbx has the hash of {name}"
    for authority in (entry.data for entry in databases.dbt if entry.signature_type == EFI_CERT_X509_GUID):
        made = signing_time(signature, authority, curves=rules.elliptic_curves)
        if made is not None and made[:_FIELDS] <= time[:_FIELDS]:
            return ""
    when = "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*time[:_FIELDS])
    return f"dbx revokes {name} from {when} on, and no time stamp that dbt trusts is from before"


def _time_of_revocation(certificate: bytes, dbx: Iterable[Signature]) -> EfiTime | None:
    """That of the first entry with the certificate's hash, all zero for one that revokes it always.

    An entry that ends before its time counts as zero; firmware reads on there, in whatever follows.
    """
    hashed = [(kind, one.data) for one in dbx if (kind := _CERTIFICATE_HASH_TYPES.get(one.signature_type)) is not None]
    signed_part = to_be_signed(certificate) if hashed else None
    if signed_part is None:
        return None
    digests = {kind: hashlib.new(kind, signed_part).digest() for kind in {kind for kind, _ in hashed}}
    for kind, data in hashed:
        digest = digests[kind]
        if data.startswith(digest):
            time = data[len(digest) : len(digest) + EFI_TIME.size]
            return EfiTime.unpack(time.ljust(EFI_TIME.size, b"\0"))
    return None
