"""Authenticode's PKCS#7: who signed, over which hash, and whether a certificate of the databases stands above them.

The certificates' dates and purposes are not looked at, and a database may hold any certificate of a chain: firmware
verifies with X509_V_FLAG_PARTIAL_CHAIN, without a clock that it would trust.

Needs the extra ``secureboot`` (``asn1crypto`` reads, ``cryptography`` verifies). Bytes that are not PKCS#7 are None,
and a signature that cannot be verified is one that does not verify: no exception but that of a missing extra leaves
this module.

Source: edk2 CryptoPkg/Library/BaseCryptLib/Pk/{CryptAuthenticode,CryptPkcs7VerifyCommon}.c.
"""

from __future__ import annotations

import hashlib
import warnings
from importlib import import_module

from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Any, Final, NamedTuple

LARGEST: Final = 1 << 20
"""Bytes of a signature that is looked at; real ones have a few thousand."""
_SPC_INDIRECT_DATA: Final = "1.3.6.1.4.1.311.2.1.4"
_HASHES: Final = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
_LONGEST_CHAIN: Final = 8


class Authenticode(NamedTuple):
    """One signature of an image.

    Attributes:
        algorithm: The hash of the image, as ``hashlib`` names it.
        digest: What the signature says that the image's hash is.
        signer: Subject of the signing certificate, and of its issuer, for people.
        chain: The signing certificate and those above it that the signature brings, in DER.
        intact: Whether the signing certificate's key made the signature over that hash.
    """

    algorithm: str
    digest: bytes
    signer: str
    issuer: str
    chain: tuple[bytes, ...]
    intact: bool


def read_authenticode(data: bytes) -> Authenticode | None:
    """Read one signature; None where the bytes are not one that firmware can use.

    Raises:
        HostError: The extra is not installed.
    """
    cms = library("asn1crypto.cms")
    if len(data) > LARGEST:
        return None
    try:
        content = cms.ContentInfo.load(data)
        if content["content_type"].native != "signed_data":
            return None
        return _read(content["content"])
    except Exception:  # what the library raises for bytes that are not DER has many types
        return None


def stands_above(certificate: bytes, signature: Authenticode) -> bool:
    """Whether a certificate in DER is one of the signature's chain, or issued the last one of it.

    Raises:
        HostError: The extra is not installed.
    """
    if not signature.chain:
        return False
    if certificate in signature.chain:
        return True
    return any(_issued(certificate, below) for below in signature.chain)


def signed_by(data: bytes, content: bytes, certificate: bytes) -> bool:
    """Whether a detached PKCS#7 signature over ``content`` verifies with a certificate of, or above, its signer.

    Args:
        data: SignedData, in a ContentInfo or not: SetVariable takes both.
        content: What was signed.
        certificate: The one to trust, in DER.

    Raises:
        HostError: The extra is not installed.
    """
    signer = _detached(data)
    if signer is None:
        return False
    info, own, chain = signer
    try:
        intact = _intact(info, own, content)
    except Exception:  # attributes that are not what they should be
        return False
    return intact and (certificate in chain or any(_issued(certificate, below) for below in chain))


def top_certificate(data: bytes) -> bytes | None:
    """The last certificate of the chain that a detached signature brings; None for bytes that are not one.

    Raises:
        HostError: The extra is not installed.
    """
    signer = _detached(data)
    return None if signer is None else signer[2][-1]


def _detached(data: bytes) -> tuple[Any, Any, tuple[bytes, ...]] | None:
    """Signer's record, its certificate, and the chain."""
    cms = library("asn1crypto.cms")
    if len(data) > LARGEST:
        return None
    try:
        try:
            signed = cms.ContentInfo.load(data)["content"]
            signers = signed["signer_infos"]
        except Exception:
            signed = cms.SignedData.load(data)
            signers = signed["signer_infos"]
        certificates = {choice.chosen.dump(): choice.chosen for choice in signed["certificates"]}
        own = next((der for der, one in certificates.items() if _signed_by(signers[0], one)), None)
        return None if own is None else (signers[0], certificates[own], _chain(own, certificates))
    except Exception:  # as in read_authenticode
        return None


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
        return _name(x509.Certificate.load(certificate).subject)
    except Exception:
        return ""


def _read(signed: Any) -> Authenticode | None:
    encapsulated = signed["encap_content_info"]
    signers = signed["signer_infos"]
    if encapsulated["content_type"].dotted != _SPC_INDIRECT_DATA or not len(signers):
        return None
    signer = signers[0]
    algorithm = signed["digest_algorithms"][0]["algorithm"].native
    length = _HASHES.get(algorithm)
    hashed = contents(encapsulated["content"].dump())
    if length is None or len(hashed) < length:
        return None
    certificates = {choice.chosen.dump(): choice.chosen for choice in signed["certificates"]}
    own = next((der for der, one in certificates.items() if _signed_by(signer, one)), None)
    if own is None:
        return None
    chain = _chain(own, certificates)
    return Authenticode(
        algorithm=algorithm,
        digest=hashed[-length:],
        signer=_name(certificates[own].subject),
        issuer=_name(certificates[own].issuer),
        chain=chain,
        intact=_intact(signer, certificates[own], hashed),
    )


def contents(explicit: bytes) -> bytes:
    """The bytes that were hashed: what is in the SEQUENCE in the explicit tag, without its head."""
    parse = library("asn1crypto.parser").parse
    inside = parse(explicit)[4]
    content: bytes = parse(inside)[4]
    return content


def _signed_by(signer: Any, certificate: Any) -> bool:
    name, value = signer["sid"].name, signer["sid"].chosen
    if name == "issuer_and_serial_number":
        same = value["issuer"].dump() == certificate.issuer.dump()
        return bool(same and value["serial_number"].native == certificate.serial_number)
    return bool(value.native == certificate.key_identifier)


def _chain(own: bytes, certificates: dict[bytes, Any]) -> tuple[bytes, ...]:
    chain = [own]
    while len(chain) < _LONGEST_CHAIN:
        above = next((der for der in certificates if der not in chain and _issued(der, chain[-1])), None)
        if above is None:
            break
        chain.append(above)
    return tuple(chain)


def _intact(signer: Any, certificate: Any, hashed: bytes) -> bool:
    digest = signer["digest_algorithm"]["algorithm"].native
    attributes = signer["signed_attrs"]
    if digest not in _HASHES:
        return False
    signed = hashed
    if len(attributes):
        said = next((one["values"][0].native for one in attributes if one["type"].native == "message_digest"), None)
        if said != hashlib.new(digest, hashed).digest():
            return False
        signed = attributes.untag().dump()
    return _verifies(certificate.public_key.dump(), signer["signature"].native, signed, digest)


def _verifies(public_key: bytes, signature: bytes, data: bytes, digest: str) -> bool:
    serialization = library("cryptography.hazmat.primitives.serialization")
    hashes = library("cryptography.hazmat.primitives.hashes")
    padding = library("cryptography.hazmat.primitives.asymmetric.padding")
    try:
        key = serialization.load_der_public_key(public_key)
        key.verify(signature, data, padding.PKCS1v15(), getattr(hashes, digest.upper())())
    except Exception:  # a wrong signature, and a key that is none or of another kind
        return False
    return True


def _issued(above: bytes, below: bytes) -> bool:
    """Whether the key of one certificate signed the other."""
    x509 = library("cryptography.x509")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what future versions of the library will not read
        try:
            x509.load_der_x509_certificate(below).verify_directly_issued_by(x509.load_der_x509_certificate(above))
        except Exception:
            return False
    return True


def _name(name: Any) -> str:
    parts = name.native
    return str(parts.get("common_name") or parts.get("organization_name") or name.human_friendly)


def library(name: str) -> Any:
    """A module of the extra's libraries.

    Raises:
        HostError: The extra is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise HostError("Secure Boot needs the extra: pip install 'tdvfsh[secureboot]'") from None
