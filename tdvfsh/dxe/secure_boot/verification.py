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
from tdvfsh.dxe.secure_boot.rules import VERIFICATION, VerificationRules
from tdvfsh.formats.pe.authenticode import CertificateTable, authenticode_hash, certificate_table
from tdvfsh.formats.pe.certificates import ChainRules, subject_of
from tdvfsh.formats.pe.image import PeImage, PeRejection
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.pe.pkcs7 import Authenticode, read_authenticode, stands_above
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

IMAGE_HASH_TYPES: Final = {
    "sha1": EFI_CERT_SHA1_GUID,
    "sha256": EFI_CERT_SHA256_GUID,
    "sha384": EFI_CERT_SHA384_GUID,
    "sha512": EFI_CERT_SHA512_GUID,
}
"""The kinds of hashes of images in the databases, as ``hashlib`` names them."""
_OIDS: Final = {
    "sha1": bytes.fromhex("2b0e03021a"),
    "sha256": bytes.fromhex("608648016503040201"),
    "sha384": bytes.fromhex("608648016503040202"),
    "sha512": bytes.fromhex("608648016503040203"),
}
_OID_OFFSET: Final = 32
"""Where firmware looks for the first hash of a signature: there it is where the lengths around it have two bytes."""
_TWO_BYTE_LENGTH: Final = b"\x82"
_UNREADABLE: Final = "its signature cannot be read, or does not bring its signer's certificate"


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
        algorithm: The hash of the image that the signature in question has.
    """

    status: EfiStatus
    action: ImageExecutionAction
    why: str
    signers: tuple[str, ...] = ()
    algorithm: str = "sha256"


def verify_image(source: memoryview, databases: Databases, rules: VerificationRules = VERIFICATION) -> Verdict:
    """Verify one image that does not come from firmware's own volumes.

    Args:
        source: The file.
        databases: Those in force.
        rules: Those of the firmware's generation.

    Raises:
        HostError: The image is signed, and the extra ``secureboot`` is not installed.
    """
    pe = parse_pe(source)
    if isinstance(pe, PeRejection) or pe.is_te_image:
        return _denied(ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_UNTESTED, "it is not a PE image")
    table = certificate_table(pe, source)
    if table is None:
        return _verify_unsigned(pe, source, databases, rules)
    return _verify_signed(pe, source, table, _Trust(databases, rules))


def _denied(action: ImageExecutionAction, why: str, signers: tuple[str, ...] = ()) -> Verdict:
    return Verdict(EfiStatus.EFI_ACCESS_DENIED, action, why, signers)


def _verify_unsigned(pe: PeImage, source: memoryview, databases: Databases, rules: VerificationRules) -> Verdict:
    untested = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_UNTESTED
    allowed = ""
    for name in rules.unsigned_hashes:
        digest = authenticode_hash(pe, source, name)
        if digest is None:
            return _denied(untested, "it is not signed, and its headers do not fit its size, so that it has no hash")
        if _has(databases.dbx, IMAGE_HASH_TYPES[name], digest):
            return _denied(untested, f"it is not signed, and its {_spelled(name)} hash is in dbx")
        if not allowed and _has(databases.db, IMAGE_HASH_TYPES[name], digest):
            allowed = _spelled(name)
    if allowed:
        passed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED
        return Verdict(SUCCESS, passed, f"it is not signed, but its {allowed} hash is in db")
    return _denied(untested, "it is not signed, and its SHA-256 hash is not in db")


def _spelled(name: str) -> str:
    return name.upper().replace("SHA", "SHA-")


def _verify_signed(pe: PeImage, source: memoryview, table: CertificateTable, trust: _Trust) -> Verdict:
    untested = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_UNTESTED
    verdict, action = _denied(untested, "no signature in it is one of PKCS#7"), untested
    signers: list[str] = []
    for data in table.signed:
        algorithm = _image_hash_of(data)
        digest = None if algorithm is None else authenticode_hash(pe, source, algorithm)
        if algorithm is None or digest is None:
            continue
        signature = read_authenticode(data)
        if signature is not None:
            signers.append(f"{signature.signer}, by {signature.issuer}")
        forbidden = trust.forbids(signature, digest, data)
        if forbidden:
            failed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FAILED
            return _denied(failed, forbidden, tuple(signers))._replace(algorithm=algorithm)
        hash_type = IMAGE_HASH_TYPES[algorithm]
        if _has(trust.databases.dbx, hash_type, digest):
            found = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FOUND
            return _denied(found, "its hash is in dbx", tuple(signers))._replace(algorithm=algorithm)
        if verdict.status is SUCCESS:
            continue
        allowed, why = trust.allows(signature, digest, data)
        passed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED
        if allowed:
            verdict = Verdict(SUCCESS, passed, why)
        elif _has(trust.databases.db, hash_type, digest):
            verdict = Verdict(SUCCESS, passed, "its hash is in db")
        else:
            if trust.rules.reports_not_found:
                action = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_NOT_FOUND
            verdict = _denied(action, why)
    if not table.whole:
        return _denied(action, "its certificate table is damaged: what is in it does not fill it", tuple(signers))
    return verdict._replace(signers=tuple(signers))


def _image_hash_of(data: bytes) -> str | None:
    """The hash of the image that a signature is about; None where firmware sees none, and passes the signature over."""
    if data[1:2] != _TWO_BYTE_LENGTH:
        return None
    return next((name for name, oid in _OIDS.items() if data.startswith(oid, _OID_OFFSET)), None)


class _Trust(NamedTuple):
    """The databases in force, and what firmware knows."""

    databases: Databases
    rules: VerificationRules

    def allows(self, signature: Authenticode | None, digest: bytes, data: bytes) -> tuple[bool, str]:
        """Whether a certificate in db allows a signature, and why it does or does not."""
        if signature is None:
            return False, _UNREADABLE
        above = self.certificate_above(signature, digest, self.databases.db)
        if above is None:
            return False, self._why_not_above(signature, digest)
        revoked = why_revoked(above, data, self.databases, self.rules)
        return not revoked, revoked or f"it is signed, and db has {_called(above)}"

    def _why_not_above(self, signature: Authenticode, digest: bytes) -> str:
        if not signature.intact:
            return f"the signature of {signature.signer} does not verify"
        if signature.digest != digest:
            return f"it has changed since {signature.signer} signed it"
        if signature.signed.curves and not self.rules.elliptic_curves:
            return f"{signature.signer} signed it with a key of an elliptic curve, which this firmware does not know"
        return f"it is signed by {signature.signer}, and db has neither that certificate nor {signature.issuer}"

    def certificate_above(self, signature: Authenticode, digest: bytes, entries: Iterable[Signature]) -> bytes | None:
        """The first certificate with which the signature verifies; None where none does."""
        if not signature.intact or signature.digest != digest:
            return None
        for entry in entries:
            if entry.signature_type == EFI_CERT_X509_GUID and stands_above(
                entry.data, signature.signed, ChainRules(self.rules.elliptic_curves)
            ):
                return entry.data
        return None

    def forbids(self, signature: Authenticode | None, digest: bytes, data: bytes) -> str:
        """Why dbx forbids a signature, or nothing. One without signers is forbidden wherever there is a dbx."""
        if signature is None:
            return _UNREADABLE if self.databases.dbx else ""
        above = self.certificate_above(signature, digest, self.databases.dbx)
        if above is not None:
            return f"dbx has {_called(above)}"
        revoked = (why_revoked(leaf, data, self.databases, self.rules) for leaf in signature.signed.leaves)
        return next(filter(None, revoked), "")


def _called(certificate: bytes) -> str:
    return subject_of(certificate) or "its certificate"


def _has(entries: Iterable[Signature], kind: Guid, digest: bytes) -> bool:
    return any(entry.signature_type == kind and entry.data[: len(digest)] == digest for entry in entries)
