"""Measurement registers and TDREPORT of a TD whose module has no processor's key.

Everything is as the ABI says but for the MAC, which is of a key that anybody can compute: :data:`CPUSVN` says so.

Source: Intel TDX module 1.5 ABI, TDREPORT_STRUCT, REPORTMACSTRUCT, TDG.MR.REPORT, TDG.MR.RTMR.EXTEND.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable

from tdvfsh.formats.tcg.registers import DIGEST_SIZE, RTMRS, extend
from tdvfsh.lazy_typing import Final

REPORT_SIZE: Final = 1024
REPORT_DATA_SIZE: Final = 64
CPUSVN: Final = b"tdvfsh: not real"
"""What stands for the processor's security version in a report: 16 bytes that no processor has."""

MACED: Final = 224
MAC: Final = slice(224, 256)
TCB_INFO: Final = slice(256, 495)
TD_INFO: Final = slice(512, 1024)
REPORT_DATA: Final = slice(128, 192)
_TCB_INFO_SIZE: Final = 239
_TD: Final = 0x81
_X87_SSE: Final = 3
_KEY_OF: Final = b"tdvfsh: TDREPORT key of a run, known to all"


class Measurements:
    """MRTD and RTMR0 to RTMR3.

    Args:
        attributes: The TD's.

    Attributes:
        rtmrs: RTMR0 to RTMR3.
        build: Returns MRTD when it is first asked for; zeros where nothing was measured when the TD was built.
    """

    def __init__(self, attributes: int) -> None:
        self._attributes = attributes
        self.rtmrs = [bytes(DIGEST_SIZE) for _ in range(RTMRS)]
        self.build: Callable[[], bytes] = lambda: bytes(DIGEST_SIZE)

    def extend(self, index: int, digest: bytes) -> None:
        """RTMR = SHA-384 of the register and ``digest``."""
        self.rtmrs[index] = extend(self.rtmrs[index], digest)

    def report(self, report_data: bytes) -> bytes:
        """A TDREPORT over 64 bytes of the caller's."""
        mrtd = self.build()
        td_info = struct.pack("<QQ", self._attributes, _X87_SSE) + mrtd + bytes(3 * DIGEST_SIZE) + b"".join(self.rtmrs)
        td_info = td_info.ljust(512, b"\0")
        tcb_digest = hashlib.sha384(bytes(_TCB_INFO_SIZE)).digest()
        maced = struct.pack("<B15x16s", _TD, CPUSVN) + tcb_digest + hashlib.sha384(td_info).digest()
        maced = (maced + report_data).ljust(MACED, b"\0")
        return maced + _mac(maced) + bytes(256) + td_info


def is_own_report(report: bytes) -> bool:
    """Whether a TDREPORT is one that this module made and nobody changed, as TDG.MR.VERIFYREPORT tells."""
    return (
        len(report) == REPORT_SIZE
        and hmac.compare_digest(report[MAC], _mac(report[:MACED]))
        and report[32:80] == hashlib.sha384(report[TCB_INFO]).digest()
        and report[80:128] == hashlib.sha384(report[TD_INFO]).digest()
    )


def _mac(maced: bytes) -> bytes:
    return hmac.new(hashlib.sha256(_KEY_OF).digest(), maced, hashlib.sha256).digest()
