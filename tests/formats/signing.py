"""Keys of the tests' own, and PE images signed with them as Authenticode has it."""

from __future__ import annotations

import hashlib
import struct
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import NameOID

from tdvfsh.formats.pe.authenticode import authenticode_hash
from tdvfsh.formats.pe.image import PeImage
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.signature_lists import EFI_CERT_TYPE_PKCS7_GUID
from tdvfsh.uefi.guids import Guid

_SPC_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4"
_SPC_PE_IMAGE_DATA = bytes.fromhex("3017060a2b06010401823702010f3009030100a004a2028000")
_SECURITY = 4


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
_CURVES: dict[str, ec.EllipticCurve] = {
    "k256": ec.SECP256K1(),
    "brainpool": ec.BrainpoolP256R1(),
    "p256": ec.SECP256R1(),
    "p384": ec.SECP384R1(),
    "p521": ec.SECP521R1(),
}
_HASHES = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_AUTHORITY: tuple[tuple[x509.ExtensionType, bool], ...] = ((x509.BasicConstraints(ca=True, path_length=None), True),)


class Identity(NamedTuple):
    """A certificate in DER, and its key."""

    certificate: bytes
    key: PrivateKey


class Scheme(NamedTuple):
    """How an image is signed.

    Attributes:
        image: The hash of the image.
        digest: The hash of the signed attributes, and the one that is signed.
        padding: ``pkcs1`` or ``pss``, for keys of RSA.
        attributes: Whether there are signed attributes.
        listed: The hashes in the list of hashes, in their order; that of the image without.
        cosigners: More signers of the same content.
        by_key: Whether the signer is named by its key's identifier, as CMS may, and not by issuer and number.
    """

    image: str = "sha256"
    digest: str = "sha256"
    padding: str = "pkcs1"
    attributes: bool = True
    listed: tuple[str, ...] = ()
    cosigners: tuple[Identity, ...] = ()
    by_key: bool = False


_USUAL = Scheme()


def private_key(kind: str) -> PrivateKey:
    """A new key: ``rsa2048`` and other sizes, ``p256``, ``p384``, ``p521`` or ``ed25519``."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa")))


def identity(
    name: str,
    issuer: Identity | None = None,
    *,
    expired: bool = False,
    key: str | PrivateKey = "rsa2048",
    digest: str = "sha256",
    pss: bool = False,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = _AUTHORITY,
) -> Identity:
    """A certificate of that name, issued by another identity or by itself.

    Args:
        name: Common name of its subject.
        issuer: Who signs it.
        expired: Whether its dates are past.
        key: The kind of its key, or the key.
        digest: The hash that the issuer signs.
        pss: Whether the issuer, with a key of RSA, signs by RSA-PSS.
        extensions: Each with whether it is critical.
    """
    own = private_key(key) if isinstance(key, str) else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = subject if issuer is None else x509.load_der_x509_certificate(issuer.certificate).subject
    start = datetime(2001 if expired else 2020, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 if expired else 36500))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signer = own if issuer is None else issuer.key
    made = builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    certificate = made.public_bytes(serialization.Encoding.DER)
    scheme = Scheme(digest=digest, padding="pss" if pss else "pkcs1")
    return Identity(certificate if scheme == _USUAL else _signed_again(certificate, signer, scheme), own)


def _signed_again(certificate: bytes, signer: PrivateKey, scheme: Scheme) -> bytes:
    """The certificate signed in another way; the library's builder takes no hash that is thought weak."""
    made = asn1_x509.Certificate.load(certificate)
    content = made["tbs_certificate"]
    algorithm = _signature_algorithm(signer, scheme)
    if isinstance(signer, rsa.RSAPrivateKey) and scheme.padding == "pkcs1":
        algorithm = algos.SignedDigestAlgorithm({"algorithm": f"{scheme.digest}_rsa", "parameters": core.Null()})
    content["signature"] = algorithm
    whole: bytes = asn1_x509.Certificate(
        {
            "tbs_certificate": content,
            "signature_algorithm": algorithm,
            "signature_value": _signature(signer, content.dump(force=True), scheme),
        }
    ).dump(force=True)
    return whole


class Stamp(NamedTuple):
    """A time stamp to make: who says it, when it was, and what to make wrong.

    Attributes:
        authority: Who signs the token.
        time: When, in UTC.
        chain: Certificates that the token brings along.
        imprint: Stands for the hash of the signature.
        version: That of TSTInfo.
        scheme: How the token is signed.
    """

    authority: Identity
    time: datetime
    chain: tuple[Identity, ...] = ()
    imprint: bytes | None = None
    version: str = "v1"
    scheme: Scheme = _USUAL


def signed_pe(
    image: bytes, signer: Identity, *chain: Identity, stamps: tuple[Stamp, ...] = (), scheme: Scheme = _USUAL
) -> bytes:
    """The image with this signature alone; the signature brings the certificates of ``chain`` along."""
    pe = _parsed(image)
    entry = pe.pe_header_offset + 24 + (96 if pe.magic == 0x10B else 112) + 8 * _SECURITY
    before = pe.certificate_table
    body = image[: before.virtual_address] if before is not None and before.size else image
    unsigned = bytearray(body + bytes(-len(body) % 8))
    struct.pack_into("<II", unsigned, entry, 0, 0)
    pe = _parsed(bytes(unsigned))
    digest = authenticode_hash(pe, memoryview(bytes(unsigned)), scheme.image)
    assert digest is not None
    data = authenticode(digest, signer, chain, stamps, scheme)
    table = struct.pack("<IHH", 8 + len(data), 0x0200, 0x0002) + data
    table += bytes(-len(table) % 8)
    struct.pack_into("<II", unsigned, entry, len(unsigned), len(table))
    return bytes(unsigned) + table


def _parsed(image: bytes) -> PeImage:
    pe = parse_pe(memoryview(image))
    assert isinstance(pe, PeImage)
    return pe


def authenticode(
    digest: bytes,
    signer: Identity,
    chain: tuple[Identity, ...] = (),
    stamps: tuple[Stamp, ...] = (),
    scheme: Scheme = _USUAL,
) -> bytes:
    """The signature of an image with that hash, which is one of ``scheme.image``."""
    hashed = (
        _SPC_PE_IMAGE_DATA
        + tsp.MessageImprint({"hash_algorithm": _digest_algorithm(scheme.image), "hashed_message": digest}).dump()
    )
    content = bytes((0x30, len(hashed))) + hashed
    inside = core.ObjectIdentifier(_SPC_INDIRECT_DATA).dump() + bytes((0xA0, len(content))) + content
    info = _signer_info(_SPC_INDIRECT_DATA, hashed, signer, scheme)
    if stamps:
        tokens = [_token(info["signature"].native, stamp) for stamp in stamps]
        info["unsigned_attrs"] = [{"type": "microsoft_time_stamp_token", "values": [token]} for token in tokens]
    whole: bytes = _signed_data(
        cms.ContentInfo.load(bytes((0x30, len(inside))) + inside),
        (info, *(_signer_info(_SPC_INDIRECT_DATA, hashed, one, scheme) for one in scheme.cosigners)),
        (signer, *chain, *scheme.cosigners),
        scheme.listed or (scheme.image,),
    ).dump()
    return whole


def _digest_algorithm(name: str) -> algos.DigestAlgorithm:
    return algos.DigestAlgorithm({"algorithm": name, "parameters": core.Null()})


def _token(signature: bytes, stamp: Stamp) -> cms.ContentInfo:
    imprint = hashlib.sha256(signature).digest() if stamp.imprint is None else stamp.imprint
    info = tsp.TSTInfo(
        {
            "version": stamp.version,
            "policy": "1.2.3.4",
            "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": imprint},
            "serial_number": 1,
            "gen_time": stamp.time,
        }
    )
    encapsulated = cms.EncapsulatedContentInfo(
        {"content_type": "tst_info", "content": core.ParsableOctetString(info.dump())}
    )
    signer = _signer_info("tst_info", info.dump(), stamp.authority, stamp.scheme)
    return _signed_data(encapsulated, (signer,), (stamp.authority, *stamp.chain), (stamp.scheme.digest,))


def _signer_info(content_type: str, hashed: bytes, signer: Identity, scheme: Scheme = _USUAL) -> cms.SignerInfo:
    certificate = asn1_x509.Certificate.load(signer.certificate)
    said = hashlib.new(scheme.digest, hashed).digest()
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": [content_type]}),
            cms.CMSAttribute({"type": "message_digest", "values": [said]}),
        ]
    )
    signed = attributes.dump() if scheme.attributes else hashed
    info: dict[str, object] = {
        "version": "v1",
        "sid": _signer_identifier(certificate, scheme.by_key),
        "digest_algorithm": _digest_algorithm(scheme.digest),
        "signature_algorithm": _signature_algorithm(signer.key, scheme),
        "signature": _signature(signer.key, signed, scheme),
    }
    return cms.SignerInfo(info | ({"signed_attrs": attributes} if scheme.attributes else {}))


def _signer_identifier(certificate: asn1_x509.Certificate, by_key: bool) -> cms.SignerIdentifier:
    if by_key:
        return cms.SignerIdentifier({"subject_key_identifier": core.OctetString(certificate.key_identifier)})
    number = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
    return cms.SignerIdentifier({"issuer_and_serial_number": cms.IssuerAndSerialNumber(number)})


def _signature_algorithm(key: PrivateKey, scheme: Scheme) -> algos.SignedDigestAlgorithm:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return algos.SignedDigestAlgorithm({"algorithm": "ed25519"})
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return algos.SignedDigestAlgorithm({"algorithm": f"{scheme.digest}_ecdsa"})
    if scheme.padding == "pss":
        own = _digest_algorithm(scheme.digest)
        mask = algos.MaskGenAlgorithm({"algorithm": "mgf1", "parameters": own})
        parameters = {"hash_algorithm": own, "mask_gen_algorithm": mask, "salt_length": 32}
        return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pss", "parameters": algos.RSASSAPSSParams(parameters)})
    return algos.SignedDigestAlgorithm({"algorithm": "rsassa_pkcs1v15", "parameters": core.Null()})


def _signature(key: PrivateKey, data: bytes, scheme: Scheme) -> bytes:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(data)
    digest = _HASHES[scheme.digest]
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(digest))
    if scheme.padding == "pss":
        return key.sign(data, padding.PSS(padding.MGF1(digest), 32), digest)
    return key.sign(data, padding.PKCS1v15(), digest)


def _signed_data(
    content: object,
    infos: tuple[cms.SignerInfo, ...],
    certificates: tuple[Identity, ...],
    listed: tuple[str, ...] = ("sha256",),
) -> cms.ContentInfo:
    algorithms = b"".join(_digest_algorithm(name).dump() for name in listed)
    signed = cms.SignedData(
        {
            "version": "v3" if isinstance(content, cms.EncapsulatedContentInfo) else "v1",
            "digest_algorithms": cms.DigestAlgorithms.load(bytes((0x31, len(algorithms))) + algorithms),
            "encap_content_info": content,
            "certificates": [
                cms.CertificateChoices({"certificate": asn1_x509.Certificate.load(one.certificate)})
                for one in certificates
            ],
            "signer_infos": list(infos),
        }
    )
    return cms.ContentInfo({"content_type": "signed_data", "content": signed})


def signed_variable(
    name: str, vendor: Guid, attributes: int, payload: bytes, signer: Identity, *, second: int = 0, year: int = 2026
) -> bytes:
    """What SetVariable of a key variable takes: EFI_VARIABLE_AUTHENTICATION_2, and the payload."""
    time = struct.pack("<HBBBBBBIhBB", year, 11, 30, 12, 0, second, 0, 0, 0, 0, 0)
    content = name.encode("utf-16-le") + vendor.bytes_le + struct.pack("<I", attributes) + time + payload
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoCapabilities]
    certificate = x509.load_der_x509_certificate(signer.certificate)
    assert not isinstance(signer.key, ed25519.Ed25519PrivateKey)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    data = builder.add_signer(certificate, signer.key, hashes.SHA256()).sign(serialization.Encoding.DER, options)
    header = struct.pack("<IHH16s", 24 + len(data), 0x0200, 0x0EF1, EFI_CERT_TYPE_PKCS7_GUID.bytes_le)
    return time + header + data + payload
