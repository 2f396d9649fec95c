"""Image verification: whether firmware with Secure Boot lets an image run.

The rules are those of edk2's DxeImageVerificationLib: a signed image needs one signature that a certificate in db
stands above, or its hash in db, and dbx may neither have nor revoke what it goes by; an unsigned image needs its
SHA-256 hash in db. OVMF's policy for all images but those of its own firmware volumes is
DENY_EXECUTE_ON_SECURITY_VIOLATION: EFI_ACCESS_DENIED, and no handle.

Source: edk2 SecurityPkg/Library/DxeImageVerificationLib/DxeImageVerificationLib.c (DxeImageVerificationHandler);
OvmfPkg/OvmfPkgX64.dsc; UEFI 2.10 section 32.5.3.3 and 32.4.2 (EFI_IMAGE_EXECUTION_ACTION).
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from tdvfsh.dxe.secure_boot.databases import Databases
from tdvfsh.dxe.secure_boot.revocation import why_revoked
from tdvfsh.formats.pe.authenticode import CertificateTable, authenticode_hash, certificate_table
from tdvfsh.formats.pe.image import PeImage, PeRejection
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.pe.pkcs7 import Authenticode, read_authenticode, stands_above, subject_of
from tdvfsh.formats.signature_lists import (
    EFI_CERT_SHA1_GUID,
    EFI_CERT_SHA256_GUID,
    EFI_CERT_SHA384_GUID,
    EFI_CERT_SHA512_GUID,
    EFI_CERT_X509_GUID,
    Signature,
)
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_HASH_TYPES: Final = {
    "sha1": EFI_CERT_SHA1_GUID,
    "sha256": EFI_CERT_SHA256_GUID,
    "sha384": EFI_CERT_SHA384_GUID,
    "sha512": EFI_CERT_SHA512_GUID,
}
_TWO_BYTE_LENGTH: Final = 0x82
"""Firmware reads the hash algorithm at a fixed place, which only a length of two bytes puts there."""


class ImageExecutionAction(IntEnum):
    """EFI_IMAGE_EXECUTION_ACTION, what the image execution information table says of an image."""

    EFI_IMAGE_EXECUTION_AUTH_UNTESTED = 0
    EFI_IMAGE_EXECUTION_AUTH_SIG_FAILED = 1
    EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED = 2
    EFI_IMAGE_EXECUTION_AUTH_SIG_NOT_FOUND = 3
    EFI_IMAGE_EXECUTION_AUTH_SIG_FOUND = 4
    EFI_IMAGE_EXECUTION_POLICY_FAILED = 5


class Verdict(NamedTuple):
    """What firmware does with an image.

    Attributes:
        status: EFI_SUCCESS, or EFI_ACCESS_DENIED.
        action: As the image execution information table has it.
        why: A sentence fragment.
        signers: Who signed the image, for people: ``signer, by issuer`` of each signature.
    """

    status: EfiStatus
    action: ImageExecutionAction
    why: str
    signers: tuple[str, ...] = ()


def verify_image(source: memoryview, databases: Databases) -> Verdict:
    """Verify one image that does not come from firmware's own volumes.

    Raises:
        HostError: The image is signed, and the extra ``secureboot`` is not installed.
    """
    pe = parse_pe(source)
    if isinstance(pe, PeRejection) or pe.is_te_image:
        return _denied(ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_UNTESTED, "it is not a PE image")
    table = certificate_table(pe, source)
    if table is None:
        return _verify_unsigned(pe, source, databases)
    return _verify_signed(pe, source, table, databases)


def _denied(action: ImageExecutionAction, why: str, signers: tuple[str, ...] = ()) -> Verdict:
    return Verdict(EfiStatus.EFI_ACCESS_DENIED, action, why, signers)


def _verify_unsigned(pe: PeImage, source: memoryview, databases: Databases) -> Verdict:
    untested = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_UNTESTED
    digest = authenticode_hash(pe, source)
    if digest is None:
        return _denied(untested, "it is not signed, and its headers do not fit its size, so that it has no hash")
    if _has(databases.dbx, EFI_CERT_SHA256_GUID, digest):
        found = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FOUND
        return _denied(found, "it is not signed, and its SHA-256 hash is in dbx")
    if _has(databases.db, EFI_CERT_SHA256_GUID, digest):
        passed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED
        return Verdict(SUCCESS, passed, "it is not signed, but its SHA-256 hash is in db")
    return _denied(untested, "it is not signed, and its SHA-256 hash is not in db")


def _verify_signed(pe: PeImage, source: memoryview, table: CertificateTable, databases: Databases) -> Verdict:
    failed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FAILED
    verdict = _denied(ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_UNTESTED, "no signature in it is one of PKCS#7")
    signers: list[str] = []
    for data in table.signed:
        signature = read_authenticode(data) if data[1:2] and data[1] == _TWO_BYTE_LENGTH else None
        digest = None if signature is None else authenticode_hash(pe, source, signature.algorithm)
        if signature is None or digest is None:
            continue
        signers.append(f"{signature.signer}, by {signature.issuer}")
        forbidden = _forbidden(signature, digest, data, databases)
        if forbidden:
            return _denied(failed, forbidden, tuple(signers))
        hash_type = _HASH_TYPES[signature.algorithm]
        if _has(databases.dbx, hash_type, digest):
            found = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FOUND
            return _denied(found, "its hash is in dbx", tuple(signers))
        if verdict.status is SUCCESS:
            continue
        above = _certificate_above(signature, digest, databases.db)
        passed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED
        revoked = "" if above is None else why_revoked(above, data, databases)
        if above is not None and not revoked:
            verdict = Verdict(SUCCESS, passed, f"it is signed, and db has {_called(above)}")
        elif _has(databases.db, hash_type, digest):
            verdict = Verdict(SUCCESS, passed, "its hash is in db")
        else:
            verdict = _denied(failed, revoked or _why_not_allowed(signature, digest))
    if not table.whole:
        return _denied(failed, "its certificate table is damaged: what is in it does not fill it", tuple(signers))
    return verdict._replace(signers=tuple(signers))


def _why_not_allowed(signature: Authenticode, digest: bytes) -> str:
    if not signature.intact:
        return f"the signature of {signature.signer} does not verify"
    if signature.digest != digest:
        return f"it has changed since {signature.signer} signed it"
    return f"it is signed by {signature.signer}, and db has neither that certificate nor {signature.issuer}"


def _certificate_above(signature: Authenticode, digest: bytes, entries: Iterable[Signature]) -> bytes | None:
    """The first certificate with which the signature verifies; None where none does."""
    if not signature.intact or signature.digest != digest:
        return None
    for entry in entries:
        if entry.signature_type == EFI_CERT_X509_GUID and stands_above(entry.data, signature):
            return entry.data
    return None


def _called(certificate: bytes) -> str:
    return subject_of(certificate) or "its certificate"


def _forbidden(signature: Authenticode, digest: bytes, data: bytes, databases: Databases) -> str:
    """Why dbx forbids a signature, or nothing."""
    above = _certificate_above(signature, digest, databases.dbx)
    if above is not None:
        return f"dbx has {_called(above)}"
    return why_revoked(signature.chain[0], data, databases)


def _has(entries: Iterable[Signature], kind: Guid, digest: bytes) -> bool:
    return any(entry.signature_type == kind and entry.data[: len(digest)] == digest for entry in entries)
