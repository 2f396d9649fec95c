"""shim: what it lets GRUB, systemd-boot and QEMU's direct boot start.

shim has certificates of its vendor built in, reads MokList beside firmware's db and dbx, and refuses components that
SbatLevel has revoked. Loaders ask it by its protocol, and it loads what it starts itself by the same rules.

Source: rhboot/shim verify.c (verify_buffer_authenticode, check_denylist, check_allowlist, verify_one_signature,
verify_buffer_sbat), sbat.c (verify_sbat_section), cert.S, at its head of July 2026; held by Debian's shim
16.1 in tests/recordings/secure-boot.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tdvfsh.dxe.secure_boot.databases import databases
from tdvfsh.dxe.secure_boot.verification import ImageExecutionAction, Verdict
from tdvfsh.dxe.variables import VariableStore
from tdvfsh.errors import FormatError
from tdvfsh.formats.pe.authenticode import CertificateTable, authenticode_hash, certificate_table
from tdvfsh.formats.pe.certificates import ChainRules, subject_of
from tdvfsh.formats.pe.image import PeImage, PeRejection
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.pe.pkcs7 import Authenticode, read_authenticode, stands_above
from tdvfsh.formats.sbat import (
    SBAT_SECTION,
    automatic_level,
    newer_level,
    parse_sbat,
    revoked,
    sbat_level,
    sbat_section,
)
from tdvfsh.formats.signature_lists import (
    EFI_CERT_SHA1_GUID,
    EFI_CERT_SHA256_GUID,
    EFI_CERT_X509_GUID,
    Signature,
    parse_signature_lists,
)
from tdvfsh.formats.symbols.coff import section_name
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import SHIM_LOCK_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_VIOLATION: Final = EfiStatus.EFI_SECURITY_VIOLATION
_CERT_TABLE: Final = struct.Struct("<IIII")  # sizes of what is authorized and not, offsets of both
_LARGEST: Final = 1 << 20
_OWNER: Final = Guid("00000000-0000-0000-0000-000000000000")
_DER: Final = b"\x30\x82"
_CHAINS: Final = ChainRules(
    curves=False, any_anchor=True, digests=frozenset(("md5", "sha1", "sha256", "sha384", "sha512"))
)
"""shim has an OpenSSL of its own, without elliptic curves and SHA-224 (tests/recordings/secure-boot/shim.tsv)."""


class Shim(NamedTuple):
    """A shim's own trust.

    Attributes:
        path: What to call it.
        view: The file.
        pe: Its headers.
        vendor: Certificates (and hashes) that its vendor built in.
        vendor_dbx: Hashes and certificates that its vendor has revoked.
        level: The SBAT level that it sets where an older one stands.
    """

    path: str
    view: memoryview
    pe: PeImage
    vendor: tuple[Signature, ...]
    vendor_dbx: tuple[Signature, ...]
    level: bytes

    @property
    def trusts(self) -> str:
        """The certificates of its vendor, for people."""
        return _names(self.vendor)


class ShimRules(NamedTuple):
    """What is in force where a shim runs.

    Attributes:
        name: What to call the shim.
        vendor: As :class:`Shim` has it.
        allowed: db and MokList.
        denied: dbx, MokListX and the vendor's own.
        level: SbatLevel.
    """

    name: str
    vendor: tuple[Signature, ...]
    allowed: tuple[Signature, ...]
    denied: tuple[Signature, ...]
    level: bytes


def read_shim(view: memoryview, path: str) -> Shim:
    """A shim's certificates and level.

    Raises:
        FormatError: It is not a shim: no PE image, or one without a ``.vendor_cert`` section.
    """
    pe = parse_pe(view)
    if isinstance(pe, PeRejection):
        raise FormatError(path, f"not a shim: {pe.why}")
    table = _section(pe, view, ".vendor_cert")
    if table is None or len(table) < _CERT_TABLE.size:
        raise FormatError(path, "not a shim: it has no .vendor_cert section")
    size, denied_size, at, denied_at = _CERT_TABLE.unpack_from(table)
    level = _section(pe, view, ".sbatlevel")
    return Shim(
        path=path,
        view=view,
        pe=pe,
        vendor=_signatures(table[at : at + size]),
        vendor_dbx=_signatures(table[denied_at : denied_at + denied_size]),
        level=automatic_level(level or b""),
    )


def rules_of(shim: Shim, store: VariableStore) -> ShimRules | None:
    """What a shim goes by now; None where Secure Boot is off, and it verifies nothing."""
    in_force = databases(store)
    if in_force is None:
        return None
    own = {one.name: one.data for one in store if one.vendor == SHIM_LOCK_GUID}
    mok, mok_denied = (tuple(parse_signature_lists(own.get(name, b""))) for name in ("MokList", "MokListX"))
    return ShimRules(
        shim.path,
        shim.vendor,
        (*in_force.db, *mok),
        (*shim.vendor_dbx, *in_force.dbx, *mok_denied),
        newer_level(own.get("SbatLevel", b""), shim.level),
    )


def shim_verdict(source: memoryview, rules: ShimRules, *, by_protocol: bool) -> Verdict:
    """What shim says of an image.

    Args:
        source: The image.
        rules: What is in force.
        by_protocol: A loader asks; then an image need not have an SBAT section.

    Returns:
        EFI_SUCCESS or EFI_SECURITY_VIOLATION, and why.

    Raises:
        HostError: The image is signed, and the extra ``secureboot`` is not installed.
    """
    pe = parse_pe(source)
    if isinstance(pe, PeRejection) or pe.is_te_image:
        return _refused("it is not a PE image")
    verdict = _authenticode(pe, source, rules)
    if verdict.status is not SUCCESS:
        return verdict
    why = _sbat(pe, source, rules, by_protocol)
    return _refused(why, verdict.signers) if why else verdict


def _authenticode(pe: PeImage, source: memoryview, rules: ShimRules) -> Verdict:
    digest, sha1 = authenticode_hash(pe, source), authenticode_hash(pe, source, "sha1")
    if digest is None or sha1 is None:
        return _refused("its headers do not fit its size, so that it has no hash")
    if _has_hash(rules.denied, digest, sha1):
        return _refused("its hash is in dbx or MokListX")
    passed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED
    if _has_hash((*rules.allowed, *rules.vendor), digest, sha1):
        return Verdict(SUCCESS, passed, "its hash is in db or MokList")
    table = certificate_table(pe, source)
    if table is None:
        return _refused("it is not signed, and its SHA-256 hash is neither in db nor in MokList")
    return _signed(table, digest, rules)


def _signed(table: CertificateTable, digest: bytes, rules: ShimRules) -> Verdict:
    if not table.whole:
        return _refused("its certificate table is damaged: what is in it does not fill it")
    signers: list[str] = []
    why = "no signature in it is one of PKCS#7"
    for data in table.signed:
        signature = read_authenticode(data)
        if signature is None:
            continue
        signers.append(f"{signature.signer}, by {signature.issuer}")
        if not signature.intact or not signature.content.endswith(digest):
            why = f"it has changed since {signature.signer} signed it"
        elif (forbidden := _above(signature, rules.denied)) is not None:
            why = f"dbx or MokListX has {forbidden}"
        elif (above := _above(signature, (*rules.allowed, *rules.vendor))) is not None:
            passed = ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_PASSED
            return Verdict(SUCCESS, passed, f"it is signed, and shim knows {above}", tuple(signers))
        else:
            why = (
                f"it is signed by {signature.signer}, and db, MokList and {rules.name} ({_names(rules.vendor)}) have "
                f"neither that certificate nor {signature.issuer}"
            )
    return _refused(why, tuple(signers))


def _sbat(pe: PeImage, source: memoryview, rules: ShimRules, by_protocol: bool) -> str:
    """Why SBAT refuses an image, or nothing."""
    named = [one for one in pe.sections if one.name == SBAT_SECTION]
    if len(named) > 1 or any(not one.size_of_raw_data for one in named):
        return "it has two SBAT sections" if len(named) > 1 else "its SBAT section is empty"
    section = sbat_section(pe, source)
    if section is None:
        return "" if by_protocol else "it has no SBAT section, which what shim starts must have"
    entries = parse_sbat(section)
    if entries is None:
        return "its SBAT section is malformed"
    return revoked(entries, sbat_level(rules.level))


def _refused(why: str, signers: tuple[str, ...] = ()) -> Verdict:
    return Verdict(_VIOLATION, ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FAILED, why, signers)


def _above(signature: Authenticode, entries: Iterable[Signature]) -> str | None:
    for entry in entries:
        if entry.signature_type == EFI_CERT_X509_GUID and stands_above(entry.data, signature.signed, _CHAINS):
            return subject_of(entry.data) or "its certificate"
    return None


def _has_hash(entries: Iterable[Signature], sha256: bytes, sha1: bytes) -> bool:
    wanted = {(EFI_CERT_SHA256_GUID, sha256), (EFI_CERT_SHA1_GUID, sha1)}
    return any((entry.signature_type, entry.data) in wanted for entry in entries)


def _names(vendor: Iterable[Signature]) -> str:
    found = [subject_of(entry.data) for entry in vendor if entry.signature_type == EFI_CERT_X509_GUID]
    return ", ".join(name for name in found if name) or "no certificate"


def _section(pe: PeImage, view: memoryview, name: str) -> bytes | None:
    section = next((one for one in pe.sections if section_name(view, one.name) == name), None)
    if section is None:
        return None
    at = section.pointer_to_raw_data
    return bytes(view[at : at + min(section.size_of_raw_data, _LARGEST)])


def _signatures(data: bytes) -> tuple[Signature, ...]:
    """One certificate in DER, or signature lists: a shim is built with either."""
    if data.startswith(_DER):
        return (Signature(EFI_CERT_X509_GUID, _OWNER, data),)
    return tuple(parse_signature_lists(data))
