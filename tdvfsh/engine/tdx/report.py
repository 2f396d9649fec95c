"""Measurement registers and TDREPORT of a TD whose module has no key: everything but the MAC is as the ABI says.

Source: Intel TDX module 1.5 ABI, TDREPORT_STRUCT, TDG.MR.REPORT, TDG.MR.RTMR.EXTEND.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

RTMRS: Final = 4
DIGEST_SIZE: Final = 48
REPORT_SIZE: Final = 1024
REPORT_DATA_SIZE: Final = 64
_TCB_INFO_SIZE: Final = 239
_TD: Final = 0x81
_X87_SSE: Final = 3


class Measurements:
    """RTMR0 to RTMR3; MRTD and the rest are zero, since nothing was measured when the TD was built.

    Args:
        attributes: The TD's.
    """

    def __init__(self, attributes: int) -> None:
        self._attributes = attributes
        self.rtmrs = [bytes(DIGEST_SIZE) for _ in range(RTMRS)]

    def extend(self, index: int, digest: bytes) -> None:
        """RTMR = SHA-384 of the register and ``digest``."""
        self.rtmrs[index] = hashlib.sha384(self.rtmrs[index] + digest).digest()

    def report(self, report_data: bytes) -> bytes:
        """A TDREPORT over 64 bytes of the caller's; its MAC is zero, so that it cannot be taken for evidence."""
        td_info = struct.pack("<QQ", self._attributes, _X87_SSE) + bytes(4 * DIGEST_SIZE) + b"".join(self.rtmrs)
        td_info = td_info.ljust(512, b"\0")
        tcb_digest = hashlib.sha384(bytes(_TCB_INFO_SIZE)).digest()
        mac = struct.pack("<B15x16x", _TD) + tcb_digest + hashlib.sha384(td_info).digest()
        mac = (mac + report_data).ljust(256, b"\0")
        return mac + bytes(256) + td_info
