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
from cryptography.hazmat.primitives.asymmetric import padding, rsa
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


class Identity(NamedTuple):
    """A certificate in DER, and its key."""

    certificate: bytes
    key: rsa.RSAPrivateKey


def identity(name: str, issuer: Identity | None = None, *, expired: bool = False) -> Identity:
    """A certificate of that name, issued by another identity or by itself."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = subject if issuer is None else x509.load_der_x509_certificate(issuer.certificate).subject
    start = datetime(2001 if expired else 2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365 if expired else 36500))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign((issuer.key if issuer is not None else key), hashes.SHA256())
    )
    return Identity(certificate.public_bytes(serialization.Encoding.DER), key)


class Stamp(NamedTuple):
    """A time stamp to make: who says it, when it was, and what to make wrong.

    Attributes:
        authority: Who signs the token.
        time: When, in UTC.
        chain: Certificates that the token brings along.
        imprint: Stands for the hash of the signature.
        version: That of TSTInfo.
    """

    authority: Identity
    time: datetime
    chain: tuple[Identity, ...] = ()
    imprint: bytes | None = None
    version: str = "v1"


def signed_pe(image: bytes, signer: Identity, *chain: Identity, stamps: tuple[Stamp, ...] = ()) -> bytes:
    """The image with this signature alone; the signature brings the certificates of ``chain`` along."""
    pe = _parsed(image)
    entry = pe.pe_header_offset + 24 + (96 if pe.magic == 0x10B else 112) + 8 * _SECURITY
    before = pe.certificate_table
    body = image[: before.virtual_address] if before is not None and before.size else image
    unsigned = bytearray(body + bytes(-len(body) % 8))
    struct.pack_into("<II", unsigned, entry, 0, 0)
    pe = _parsed(bytes(unsigned))
    digest = authenticode_hash(pe, memoryview(bytes(unsigned)))
    assert digest is not None
    data = authenticode(digest, signer, chain, stamps)
    table = struct.pack("<IHH", 8 + len(data), 0x0200, 0x0002) + data
    table += bytes(-len(table) % 8)
    struct.pack_into("<II", unsigned, entry, len(unsigned), len(table))
    return bytes(unsigned) + table


def _parsed(image: bytes) -> PeImage:
    pe = parse_pe(memoryview(image))
    assert isinstance(pe, PeImage)
    return pe


def authenticode(
    digest: bytes, signer: Identity, chain: tuple[Identity, ...] = (), stamps: tuple[Stamp, ...] = ()
) -> bytes:
    """The signature of an image with that SHA-256 hash."""
    algorithm = bytes.fromhex("300d06096086480165030402010500")
    digest_info = bytes((0x30, len(algorithm) + 2 + len(digest))) + algorithm + bytes((4, len(digest))) + digest
    hashed = _SPC_PE_IMAGE_DATA + digest_info
    content = bytes((0x30, len(hashed))) + hashed
    inside = core.ObjectIdentifier(_SPC_INDIRECT_DATA).dump() + bytes((0xA0, len(content))) + content
    info = _signer_info(_SPC_INDIRECT_DATA, hashed, signer)
    if stamps:
        tokens = [_token(info["signature"].native, stamp) for stamp in stamps]
        info["unsigned_attrs"] = [{"type": "microsoft_time_stamp_token", "values": [token]} for token in tokens]
    whole: bytes = _signed_data(
        cms.ContentInfo.load(bytes((0x30, len(inside))) + inside), info, (signer, *chain)
    ).dump()
    return whole


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
    signer = _signer_info("tst_info", info.dump(), stamp.authority)
    return _signed_data(encapsulated, signer, (stamp.authority, *stamp.chain))


def _signer_info(content_type: str, hashed: bytes, signer: Identity) -> cms.SignerInfo:
    certificate = asn1_x509.Certificate.load(signer.certificate)
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": [content_type]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(hashed).digest()]}),
        ]
    )
    return cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {
                    "issuer_and_serial_number": cms.IssuerAndSerialNumber(
                        {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
                    )
                }
            ),
            "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
            "signed_attrs": attributes,
            "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "rsassa_pkcs1v15"}),
            "signature": signer.key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256()),
        }
    )


def _signed_data(content: object, info: cms.SignerInfo, certificates: tuple[Identity, ...]) -> cms.ContentInfo:
    signed = cms.SignedData(
        {
            "version": "v3" if isinstance(content, cms.EncapsulatedContentInfo) else "v1",
            "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
            "encap_content_info": content,
            "certificates": [
                cms.CertificateChoices({"certificate": asn1_x509.Certificate.load(one.certificate)})
                for one in certificates
            ],
            "signer_infos": [info],
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
    builder = pkcs7.PKCS7SignatureBuilder().set_data(content)
    data = builder.add_signer(certificate, signer.key, hashes.SHA256()).sign(serialization.Encoding.DER, options)
    header = struct.pack("<IHH16s", 24 + len(data), 0x0200, 0x0EF1, EFI_CERT_TYPE_PKCS7_GUID.bytes_le)
    return time + header + data + payload
