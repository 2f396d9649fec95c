"""X.509 certificates as firmware sees them: names, keys, and which chain ends at a certificate to trust.

A chain is checked by OpenSSL, which firmware is built with: ``X509_V_FLAG_PARTIAL_CHAIN``, any purpose, and no look
at dates. So a certificate of a database may be any of a chain, while authority, length of the path, names, key
identifiers and critical extensions count (tests/recordings/secure-boot/signatures.tsv).

Needs the extra ``secureboot``.

Source: edk2 CryptoPkg/Library/BaseCryptLib/Pk/CryptPkcs7VerifyCommon.c (Pkcs7Verify); OpenSSL
crypto/x509/x509_vfy.c (X509_verify_cert).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from importlib import import_module

from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Any, Final, NamedTuple

_PARTIAL_CHAIN_NO_TIME: Final = 0x80000 | 0x200000  # X509_V_FLAG_PARTIAL_CHAIN, X509_V_FLAG_NO_CHECK_TIME


class ChainRules(NamedTuple):
    """What differs between those who check signatures.

    Attributes:
        curves: Keys of elliptic curves count. Those that are neither RSA's nor ECDSA's never do.
        any_anchor: The certificate to trust need not be one that may issue others.
        digests: The hashes that are known; a signature that lists another one does not verify.
    """

    curves: bool = True
    any_anchor: bool = False
    digests: frozenset[str] = frozenset(("md5", "sha1", "sha224", "sha256", "sha384", "sha512"))


FIRMWARE_RULES: Final = ChainRules()


def chain_ends_at(anchor: bytes, leaf: bytes, others: Iterable[bytes], rules: ChainRules = FIRMWARE_RULES) -> bool:
    """Whether a chain leads from a certificate to the one to trust.

    Args:
        anchor: The certificate to trust, in DER.
        leaf: The certificate that signed, in DER.
        others: Certificates that the signature brings along, in DER.
        rules: Of who checks.

    Raises:
        HostError: The extra is not installed.
    """
    others = tuple(others)
    if _leads(anchor, leaf, others, rules.curves):
        return True
    return (
        rules.any_anchor
        and not _may_issue(anchor)
        and any(
            issued(anchor, below, rules.curves) and _leads(below, leaf, others, rules.curves)
            for below in dict.fromkeys((leaf, *others))
        )
    )


def _may_issue(certificate: bytes) -> bool:
    """Whether a certificate says that it may issue others."""
    try:
        constraints = library("asn1crypto.x509").Certificate.load(certificate).basic_constraints_value
    except Exception:
        return False
    return constraints is not None and bool(constraints["ca"].native)


def _leads(anchor: bytes, leaf: bytes, others: tuple[bytes, ...], curves: bool) -> bool:
    crypto = library("OpenSSL.crypto")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what future versions of the libraries will not read
        try:
            own, *above = (crypto.load_certificate(crypto.FILETYPE_ASN1, one) for one in (leaf, *others))
            store = crypto.X509Store()
            store.add_cert(crypto.load_certificate(crypto.FILETYPE_ASN1, anchor))
            store.set_flags(_PARTIAL_CHAIN_NO_TIME)
            chain = crypto.X509StoreContext(store, own, above).get_verified_chain()
            return all(_firmware_knows(one.to_cryptography().public_key(), curves) for one in chain[1:])
        except Exception:  # no such chain, and what the libraries raise for bytes that are not a certificate
            return False


def _firmware_knows(key: Any, curves: bool) -> bool:
    """Whether firmware is built with what verifies a key's signatures."""
    asymmetric = "cryptography.hazmat.primitives.asymmetric."
    if isinstance(key, library(asymmetric + "rsa").RSAPublicKey):
        return True
    return curves and isinstance(key, library(asymmetric + "ec").EllipticCurvePublicKey)


def signature_verifies(certificate: Any, signature: bytes, data: bytes, digest: str) -> bool:
    """Whether a certificate's key made a signature: RSA by PKCS #1 v1.5, or ECDSA.

    Args:
        certificate: As ``asn1crypto`` reads it.
        signature: The signature.
        data: What was signed.
        digest: The hash, as ``hashlib`` names it.
    """
    primitives = "cryptography.hazmat.primitives."
    hashed = getattr(library(primitives + "hashes"), digest.upper())()
    asymmetric = primitives + "asymmetric."
    try:
        key = library(primitives + "serialization").load_der_public_key(certificate.public_key.dump())
        if isinstance(key, library(asymmetric + "ec").EllipticCurvePublicKey):
            key.verify(signature, data, library(asymmetric + "ec").ECDSA(hashed))
        else:
            key.verify(signature, data, library(asymmetric + "padding").PKCS1v15(), hashed)
    except Exception:  # a wrong signature, and a key that is none or of another kind
        return False
    return True


def issued(above: bytes, below: bytes, curves: bool = True) -> bool:
    """Whether the key of one certificate, of a kind that firmware knows, signed the other, by their names, too."""
    x509 = library("cryptography.x509")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            issuer = x509.load_der_x509_certificate(above)
            x509.load_der_x509_certificate(below).verify_directly_issued_by(issuer)
            return _firmware_knows(issuer.public_key(), curves)
        except Exception:
            return False


def to_be_signed(certificate: bytes) -> bytes | None:
    """The part of a certificate whose hash the EFI_CERT_X509_SHA* entries of dbx hold; None for bytes that are none."""
    x509 = library("asn1crypto.x509")
    try:
        tbs: bytes = x509.Certificate.load(certificate)["tbs_certificate"].dump()
    except Exception:
        return None
    return tbs


def subject_of(certificate: bytes) -> str:
    """Common name, or organization, of a certificate in DER, for people; empty for bytes that are none."""
    x509 = library("asn1crypto.x509")
    try:
        return readable_name(x509.Certificate.load(certificate).subject)
    except Exception:
        return ""


def readable_name(name: Any) -> str:
    """Common name, or organization, of an ``asn1crypto`` name."""
    parts = name.native
    return str(parts.get("common_name") or parts.get("organization_name") or name.human_friendly)


def has_curve_key(certificate: Any) -> bool:
    """Whether a certificate, as ``asn1crypto`` reads it, has a key of an elliptic curve."""
    return bool(certificate.public_key.algorithm == "ec")


def library(name: str) -> Any:
    """A module of the extra's libraries.

    Raises:
        HostError: The extra is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise HostError("Secure Boot needs the extra: pip install 'tdvfsh[secureboot]'") from None
