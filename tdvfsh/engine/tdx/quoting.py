"""TDG.VP.VMCALL GetQuote: the host's quoting service, with keys for tests.

The guest's buffer lies in shared memory: a header of 24 bytes, then the TDREPORT, which the quote takes the place of.

Source: Guest-Host-Communication Interface (GHCI) 1.5, 3.3; Linux drivers/virt/coco/tdx-guest/tdx-guest.c.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.tdx.report import REPORT_SIZE, is_own_report
from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.measure.quote import QuoteSigner, td_quote
from tdvfsh.uefi.tdx import TdvmcallStatus
from tdvfsh.units import MIB, PAGE_SIZE

_HEADER: Final = struct.Struct("<QQII")
_VERSION: Final = 1
_SUCCESS: Final = 0
_ERROR: Final = 1 << 63
_LARGEST: Final = 4 * MIB


class SharedMemory(Protocol):
    """Memory that the host reaches, by guest physical address."""

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes; zeros from private memory, None where there is no RAM."""
        ...

    def write(self, address: int, data: bytes) -> bool:
        """Store bytes; False where there is no RAM."""
        ...


class QuotingService:
    """Quoting service of one TD.

    Args:
        memory: What the host reaches of it.
        shared_mask: The bit of an address that says that it is shared.
        signer: The keys.

    Attributes:
        quotes: Quotes made so far, in order.
    """

    def __init__(self, memory: SharedMemory, shared_mask: int, signer: QuoteSigner) -> None:
        self._memory = memory
        self._shared_mask = shared_mask
        self._signer = signer
        self.quotes: list[bytes] = []

    def get_quote(self, address: int, size: int) -> int:
        """Answer a call whose R12 and R13 these are; returns R10.

        The quote is there when the call returns. A report that this TDX module did not make, and a quote that does not
        fit the buffer, are errors in the buffer's header.
        """
        if not address & self._shared_mask or address % PAGE_SIZE or size % PAGE_SIZE or not 0 < size <= _LARGEST:
            return TdvmcallStatus.INVALID_OPERAND
        header = self._memory.read(address, _HEADER.size)
        if header is None:
            return TdvmcallStatus.INVALID_OPERAND
        version, _, length, _ = _HEADER.unpack(header)
        report = self._memory.read(address + _HEADER.size, REPORT_SIZE)
        quote = b""
        if version == _VERSION and length == REPORT_SIZE and report is not None and is_own_report(report):
            quote = td_quote(report, self._signer)
        status = _SUCCESS if quote and len(quote) <= size - _HEADER.size else _ERROR
        if status == _SUCCESS:
            self.quotes.append(quote)
            self._memory.write(address + _HEADER.size, quote)
        answer = _HEADER.pack(version, status, length, len(quote) if status == _SUCCESS else 0)
        if not self._memory.write(address, answer):
            return TdvmcallStatus.INVALID_OPERAND
        return TdvmcallStatus.SUCCESS
