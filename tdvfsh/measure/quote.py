"""A TD quote of version 4 over a TDREPORT, as a quoting enclave makes it, signed by keys that are not Intel's.

Source: Intel TDX DCAP Quoting Library API, appendix A.3 (quote format version 4); Intel SGX SDM volume 3D, REPORT.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

VERSION: Final = 4
HEADER_SIZE: Final = 48
BODY_SIZE: Final = 584
QE_REPORT_SIZE: Final = 384
SIGNATURE_SIZE: Final = 64
_ECDSA_P256: Final = 2
_TDX: Final = 0x81
_INTEL_QE: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
_QE_REPORT_DATA: Final = 6
_PCK_CHAIN: Final = 5
_USER_DATA: Final = b"tdvfsh test quote"
_AUTHENTICATION: Final = b"tdvfsh: not a quoting enclave".ljust(32, b"\0")
_TD_INFO: Final = 512
_REPORT_DATA: Final = slice(128, 192)


@dataclass(frozen=True, slots=True)
class QuoteSigner:
    """Keys of a quoting service.

    Attributes:
        attestation_key: The public attestation key: x and y, 32 bytes each.
        sign: Signs with the attestation key: ECDSA over SHA-256, r and s of 32 bytes each.
        sign_report: Signs with the key that certifies the attestation key.
        chain: The latter's certificates as PEM, its own first.
    """

    attestation_key: bytes
    sign: Callable[[bytes], bytes]
    sign_report: Callable[[bytes], bytes]
    chain: bytes


def td_quote(report: bytes, signer: QuoteSigner) -> bytes:
    """The quote of a TDREPORT.

    Args:
        report: 1,024 bytes, whose MAC was checked.
        signer: The keys.
    """
    header = struct.pack("<HHIHH16s20s", VERSION, _ECDSA_P256, _TDX, 0, 0, _INTEL_QE, _USER_DATA)
    signed = header + _body(report)
    authentication = struct.pack("<H", len(_AUTHENTICATION)) + _AUTHENTICATION
    qe_report = _qe_report(hashlib.sha256(signer.attestation_key + _AUTHENTICATION).digest())
    certified = qe_report + signer.sign_report(qe_report) + authentication
    certified += struct.pack("<HI", _PCK_CHAIN, len(signer.chain)) + signer.chain
    data = (
        signer.sign(signed) + signer.attestation_key + struct.pack("<HI", _QE_REPORT_DATA, len(certified)) + certified
    )
    return signed + struct.pack("<I", len(data)) + data


def _body(report: bytes) -> bytes:
    """TD quote body of TDX 1.0: what the report's TEE_TCB_INFO, TDINFO and REPORTDATA hold."""
    td_info = report[_TD_INFO:]
    attributes, xfam, rest = td_info[:8], td_info[8:16], td_info[16 : 16 + 8 * 48]
    tcb_svn, mr_seam, mr_signer_seam, seam_attributes = bytes(16), bytes(48), bytes(48), bytes(8)
    body = tcb_svn + mr_seam + mr_signer_seam + seam_attributes + attributes + xfam + rest + report[_REPORT_DATA]
    assert len(body) == BODY_SIZE
    return body


def _qe_report(report_data: bytes) -> bytes:
    """REPORT of an enclave that there is none of: zeros but for the hash of the attestation key."""
    return bytes(QE_REPORT_SIZE - 64) + report_data.ljust(64, b"\0")
