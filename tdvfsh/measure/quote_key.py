"""Keys for quotes in tests: made, kept in one PEM file, and read again. Needs the extra ``attest``.

The certificates say that they are not Intel's, so that no verifier that checks the chain takes such a quote for real.

Source: RFC 5915 and 7468; Intel SGX PCK certificate profile (a PCK key is ECDSA P-256).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tdvfsh.errors import FormatError, MissingError, host_error
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final
from tdvfsh.measure.quote import QuoteSigner

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

HOW_TO_INSTALL: Final = "quotes need the attest extra; pip install 'tdvfsh[attest]'"
ROOT_NAME: Final = "tdvfsh test root: not Intel"
LEAF_NAME: Final = "tdvfsh test PCK: not Intel"
_DAYS: Final = 3650
_LARGEST: Final = 1 << 16
_KEY_END: Final = b"-----END PRIVATE KEY-----\n"
_CHAIN_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"


def make_quote_key(now: datetime | None = None) -> bytes:
    """A new attestation key, the key that certifies it, and that one's certificates, as PEM.

    Args:
        now: From when the certificates are valid; None for now.

    Raises:
        MissingError: The extra ``attest`` is not installed.
    """
    ec, serialization, x509, hashes = _modules()
    since = datetime.now(UTC) if now is None else now
    attestation, leaf, root = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

    def certificate(subject: str, key: Any, issuer: str, signer: Any, is_root: bool) -> Certificate:
        names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (subject, issuer)]
        builder = x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(since).not_valid_after(since + timedelta(days=_DAYS))
        builder = builder.add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        made: Certificate = builder.sign(signer, hashes.SHA256())
        return made

    chain = [
        certificate(LEAF_NAME, leaf, ROOT_NAME, root, is_root=False),
        certificate(ROOT_NAME, root, ROOT_NAME, root, is_root=True),
    ]
    pem = serialization.Encoding.PEM
    keys = [
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        for key in (attestation, leaf)
    ]
    return b"".join([*keys, *(each.public_bytes(pem) for each in chain)])


def read_quote_key(path: str) -> QuoteSigner:
    """The keys of a file that :func:`make_quote_key` made.

    Signatures are deterministic, so that two runs make the same quote.

    Raises:
        HostError: It cannot be read.
        FormatError: It does not hold such keys.
        MissingError: The extra ``attest`` is not installed.
    """
    ec, serialization, x509, _ = _modules()
    try:
        with Path(path).open("rb") as file:
            data = file.read(_LARGEST)
    except OSError as error:
        raise host_error(path, error) from None
    why = "not a file of 'tdvfsh measure --make-test-key': two P-256 keys and their certificates as PEM"
    pieces = data.split(_KEY_END)
    if len(pieces) != 3 or not pieces[2].startswith(_CHAIN_BEGIN):
        raise FormatError(path, why)
    try:
        attestation, leaf = (
            serialization.load_pem_private_key(piece + _KEY_END, password=None) for piece in pieces[:2]
        )
        chain = x509.load_pem_x509_certificates(pieces[2])
    except (ValueError, TypeError):
        raise FormatError(path, why) from None
    if not all(
        isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1" for key in (attestation, leaf)
    ):
        raise FormatError(path, why)
    if chain[0].public_key() != leaf.public_key():
        raise FormatError(path, "its first certificate is not that of its second key")
    numbers = attestation.public_key().public_numbers()
    public = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return QuoteSigner(public, _signer(attestation), _signer(leaf), pieces[2])


def _signer(key: EllipticCurvePrivateKey) -> Any:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    ec, _, _, hashes = _modules()

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return sign


def _modules() -> tuple[Any, Any, Any, Any]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise MissingError(HOW_TO_INSTALL) from None
    return ec, serialization, x509, hashes
