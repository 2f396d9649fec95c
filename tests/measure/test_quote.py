"""Quotes for tests: read by a verifier's library, signatures checked, and refused as not Intel's."""

from __future__ import annotations

import hashlib
import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tdvfsh.engine.tdx.report import Measurements
from tdvfsh.errors import FormatError, HostError
from tdvfsh.measure.quote import QuoteSigner, td_quote
from tdvfsh.measure.quote_key import LEAF_NAME, ROOT_NAME, make_quote_key, read_quote_key

DATA = bytes(range(64))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.write_bytes(make_quote_key(datetime(2026, 1, 1, tzinfo=UTC)))
    return path


@pytest.fixture(scope="module")
def signer(key: Path) -> QuoteSigner:
    return read_quote_key(str(key))


def report() -> bytes:
    measurements = Measurements(1 << 28)
    measurements.build = lambda: b"\x4d" * 48
    for index in range(4):
        measurements.extend(index, bytes([index]) * 48)
    return measurements.report(DATA)


def check(public: bytes, signature: bytes, data: bytes) -> None:
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big"), ec.SECP256R1()
    )
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    numbers.public_key().verify(der, data, ec.ECDSA(hashes.SHA256()))


def test_a_verifier_s_library_reads_the_registers(signer: QuoteSigner) -> None:
    made = report()
    quote = dcap_qvl.Quote.parse(td_quote(made, signer))
    body = quote.report
    assert (quote.header.version, quote.header.attestation_key_type, quote.header.tee_type) == (4, 2, 0x81)
    assert bytes(body.mr_td) == b"\x4d" * 48
    registers = [bytes(getattr(body, f"rt_mr{number}")) for number in range(4)]
    assert registers == [made[512 + 208 + 48 * number :][:48] for number in range(4)]
    assert bytes(body.report_data) == DATA
    assert bytes(body.td_attributes) == (1 << 28).to_bytes(8, "little")


def test_no_verifier_takes_it_for_real(signer: QuoteSigner) -> None:
    """The chain ends at a root that says what it is, and the library has no collateral of such a platform."""
    quote = td_quote(report(), signer)
    for certificate in x509.load_pem_x509_certificates(signer.chain):
        (name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        assert name.value in (LEAF_NAME, ROOT_NAME)
        assert "not Intel" in str(name.value)
    with pytest.raises(ValueError, match=r".+"):
        dcap_qvl.parse_pck_extension_from_pem(signer.chain)
    assert b"tdvfsh: not a quoting enclave" in quote
    assert b"tdvfsh test quote" in quote[:48]


def test_signatures_hold_and_the_attestation_key_is_certified(signer: QuoteSigner) -> None:
    quote = td_quote(report(), signer)
    signed, length = quote[: 48 + 584], struct.unpack_from("<I", quote, 632)[0]
    rest = quote[636:]
    assert len(rest) == length
    signature, public, (kind, size) = rest[:64], rest[64:128], struct.unpack_from("<HI", rest, 128)
    assert (kind, size) == (6, len(rest) - 134)
    check(public, signature, signed)
    certified = rest[134:]
    qe_report, qe_signature = certified[:384], certified[384:448]
    leaf, root = x509.load_pem_x509_certificates(signer.chain)
    leaf_key = leaf.public_key()
    assert isinstance(leaf_key, ec.EllipticCurvePublicKey)
    point = leaf_key.public_numbers()
    check(point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big"), qe_signature, qe_report)
    leaf.verify_directly_issued_by(root)
    size = struct.unpack_from("<H", certified, 448)[0]
    authentication = certified[450 : 450 + size]
    assert qe_report[320:352] == hashlib.sha256(public + authentication).digest()
    kind, size = struct.unpack_from("<HI", certified, 450 + size)
    assert (kind, certified[-size:]) == (5, signer.chain)


def test_two_quotes_of_one_report_are_equal(signer: QuoteSigner) -> None:
    assert td_quote(report(), signer) == td_quote(report(), signer)
    assert make_quote_key() != make_quote_key()


@pytest.mark.parametrize("what", ["empty", "text", "cut", "swapped", "foreign", "rsa"])
def test_a_file_that_is_not_such_a_key_is_one_line(key: Path, tmp_path: Path, what: str) -> None:
    data = key.read_bytes()
    pieces = data.split(b"-----END PRIVATE KEY-----\n")
    end = b"-----END PRIVATE KEY-----\n"
    other = make_quote_key().split(end)
    wrong = {
        "empty": b"",
        "text": json.dumps({"key": 1}).encode(),
        "cut": data[:300],
        "swapped": end.join([pieces[1], pieces[0], pieces[2]]),
        "foreign": end.join([pieces[0], pieces[1], other[2]]),
        "rsa": end.join([b"-----BEGIN PRIVATE KEY-----\nAAAA\n", pieces[1], pieces[2]]),
    }
    path = tmp_path / "key.pem"
    path.write_bytes(wrong[what])
    with pytest.raises(FormatError, match=r"make-test-key|certificate is not that") as caught:
        read_quote_key(str(path))
    assert "\n" not in str(caught.value)


def test_a_key_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        read_quote_key(str(tmp_path / "none.pem"))
