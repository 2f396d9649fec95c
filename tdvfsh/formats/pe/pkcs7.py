"""Authenticode's PKCS#7: who signed, over which hash, and whether a certificate of the databases stands above them.

Firmware verifies by OpenSSL's PKCS7_verify: every signer has to verify, by a hash that the list of hashes names, with
RSA by PKCS #1 v1.5 or with ECDSA, whatever algorithm the signature says it is made by; so that RSA-PSS does not verify.

Needs the extra ``secureboot`` (``asn1crypto`` reads, ``cryptography`` and ``pyOpenSSL`` verify). Bytes that are not
PKCS#7 are None, and a signature that cannot be verified is one that does not verify: no exception but that of a missing
extra leaves this module.

Source: edk2 CryptoPkg/Library/BaseCryptLib/Pk/{CryptAuthenticode,CryptPkcs7VerifyCommon}.c; OpenSSL
crypto/pkcs7/{pk7_smime,pk7_doit}.c (PKCS7_verify, PKCS7_signatureVerify).
"""

from __future__ import annotations

import hashlib

from tdvfsh.formats.pe.certificates import (
    FIRMWARE_RULES,
    ChainRules,
    chain_ends_at,
    has_curve_key,
    issued,
    library,
    readable_name,
    signature_verifies,
)
from tdvfsh.lazy_typing import Any, Final, NamedTuple

LARGEST: Final = 1 << 20
"""Bytes of a signature that is looked at; real ones have a few thousand."""
MOST_SIGNERS: Final = 16
MOST_CERTIFICATES: Final = 100
"""Signers and certificates of a signature that is looked at; real ones have one and three."""
_SPC_INDIRECT_DATA: Final = "1.3.6.1.4.1.311.2.1.4"
_HASHES: Final = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
_LONGEST_CHAIN: Final = 32


class SignedBy(NamedTuple):
    """The signers of PKCS#7 data.

    Attributes:
        leaves: The certificate of each signer, in DER.
        brought: All certificates that the data bring, in DER.
        intact: Whether each signer's key signed the content.
        curves: Whether some signer's key is one of an elliptic curve.
        listed: The hashes in the data's list.
    """

    leaves: tuple[bytes, ...]
    brought: tuple[bytes, ...]
    intact: bool
    curves: bool
    listed: frozenset[str]


class Authenticode(NamedTuple):
    """One signature of an image.

    Attributes:
        algorithm: The hash of the image, as ``hashlib`` names it.
        content: What was signed; it ends with what the signature says that the image's hash is.
        signer: Subject of the signing certificate, and of its issuer, for people.
        chain: The first signer's certificate and those above it that the signature brings, in DER, for people.
        signed: The signers.
    """

    algorithm: str
    content: bytes
    signer: str
    issuer: str
    chain: tuple[bytes, ...]
    signed: SignedBy

    @property
    def digest(self) -> bytes:
        """What the signature says that the image's hash is."""
        return self.content[-_HASHES[self.algorithm] :]

    @property
    def intact(self) -> bool:
        """Whether the signing certificate's key made the signature over that hash."""
        return self.signed.intact


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


def stands_above(certificate: bytes, signed: SignedBy, rules: ChainRules = FIRMWARE_RULES) -> bool:
    """Whether a signature verifies with a certificate to trust: of each signer's chain, or above it.

    Args:
        certificate: The one to trust, in DER.
        signed: The signers.
        rules: Of who checks.

    Raises:
        HostError: The extra is not installed.
    """
    if not signed.intact or (signed.curves and not rules.curves) or not signed.listed <= rules.digests:
        return False
    return all(chain_ends_at(certificate, leaf, signed.brought, rules) for leaf in signed.leaves)


def signed_by(data: bytes, content: bytes, certificate: bytes, *, curves: bool = True) -> bool:
    """Whether a detached PKCS#7 signature over ``content`` verifies with a certificate of, or above, its signer.

    Args:
        data: SignedData, in a ContentInfo or not: SetVariable takes both.
        content: What was signed.
        certificate: The one to trust, in DER.
        curves: Whether firmware knows ECDSA.

    Raises:
        HostError: The extra is not installed.
    """
    try:
        found = _detached(data)
        signers = None if found is None else _signers(found, content)
    except Exception:  # as in read_authenticode
        return False
    return signers is not None and stands_above(certificate, signers, ChainRules(curves))


def signing_certificate(data: bytes) -> bytes | None:
    """The certificate of the first signer of a detached signature; None for bytes that are not one.

    Raises:
        HostError: The extra is not installed.
    """
    try:
        found = _detached(data)
        signers = None if found is None else _signers(found, b"")
    except Exception:
        return None
    return None if signers is None else signers.leaves[0]


def _detached(data: bytes) -> Any:
    cms = library("asn1crypto.cms")
    if len(data) > LARGEST:
        return None
    try:
        signed = cms.ContentInfo.load(data)["content"]
        len(signed["signer_infos"])
    except Exception:
        signed = cms.SignedData.load(data)
    return signed


def _read(signed: Any) -> Authenticode | None:
    encapsulated = signed["encap_content_info"]
    if encapsulated["content_type"].dotted != _SPC_INDIRECT_DATA:
        return None
    algorithm = signed["digest_algorithms"][0]["algorithm"].native
    length = _HASHES.get(algorithm)
    hashed = contents(encapsulated["content"].dump())
    signers = _signers(signed, hashed)
    if length is None or len(hashed) < length or signers is None:
        return None
    x509 = library("asn1crypto.x509")
    own = x509.Certificate.load(signers.leaves[0])
    return Authenticode(
        algorithm=algorithm,
        content=hashed,
        signer=readable_name(own.subject),
        issuer=readable_name(own.issuer),
        chain=_chain(signers.leaves[0], signers.brought),
        signed=signers,
    )


def contents(explicit: bytes) -> bytes:
    """The bytes that were hashed: what is in the SEQUENCE in the explicit tag, without its head."""
    parse = library("asn1crypto.parser").parse
    inside = parse(explicit)[4]
    content: bytes = parse(inside)[4]
    return content


def _signers(signed: Any, content: bytes) -> SignedBy | None:
    """The signers of some content; None where there is none, or one whose certificate is not there."""
    infos = signed["signer_infos"]
    choices = signed["certificates"]
    if not 0 < len(infos) <= MOST_SIGNERS or len(choices) > MOST_CERTIFICATES:
        return None
    certificates = {choice.chosen.dump(): choice.chosen for choice in choices}
    named = {one["algorithm"].native for one in signed["digest_algorithms"]}
    leaves: list[bytes] = []
    intact = True
    for info in infos:
        own = next((der for der, one in certificates.items() if _signed_by(info, one)), None)
        if own is None:
            return None
        leaves.append(own)
        intact = intact and _intact(info, certificates[own], content, named)
    curves = any(has_curve_key(certificates[leaf]) for leaf in leaves)
    return SignedBy(tuple(leaves), tuple(certificates), intact, curves, frozenset(named))


def _signed_by(signer: Any, certificate: Any) -> bool:
    """By issuer and serial number; PKCS#7, unlike CMS, has no other way."""
    if signer["sid"].name != "issuer_and_serial_number":
        return False
    value = signer["sid"].chosen
    same = value["issuer"].dump() == certificate.issuer.dump()
    return bool(same and value["serial_number"].native == certificate.serial_number)


def _chain(own: bytes, certificates: tuple[bytes, ...]) -> tuple[bytes, ...]:
    chain = [own]
    while len(chain) < _LONGEST_CHAIN:
        above = next((der for der in certificates if der not in chain and issued(der, chain[-1])), None)
        if above is None:
            break
        chain.append(above)
    return tuple(chain)


def _intact(signer: Any, certificate: Any, hashed: bytes, named: set[str]) -> bool:
    digest = signer["digest_algorithm"]["algorithm"].native
    attributes = signer["signed_attrs"]
    if digest not in named or digest not in FIRMWARE_RULES.digests:
        return False
    signed = hashed
    if len(attributes):
        said = next((one["values"][0].native for one in attributes if one["type"].native == "message_digest"), None)
        if said != hashlib.new(digest, hashed, usedforsecurity=False).digest():
            return False
        signed = attributes.untag().dump()
    return signature_verifies(certificate, signer["signature"].native, signed, digest)
