"""EDKII_MEMORY_ACCEPT_PROTOCOL, as TdxDxe installs it.

It changes secure EPT state and nothing else: the memory map does not change, and a size that is not a multiple of
4 KiB leaves its last bytes unaccepted.

Source: edk2 OvmfPkg/TdxDxe/TdxDxe.c; in edk2-staging (c35c0b7b33) everything went in 4 KiB pages.
"""

from __future__ import annotations

from tdvfsh.td.accept import AcceptOutcome, accept_memory_resource
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace.accepts import close_accept, open_accept
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import ProtocolAccept
from tdvfsh.uefi.status import EfiStatus


class TdxMemoryAccept:
    """The protocol's interface.

    Args:
        td: Whose private memory is accepted.
        trace: Where each request is noted.
        large_pages: False accepts everything in 4 KiB pages, edk2-staging's way.
    """

    def __init__(self, td: TrustDomain, trace: Trace, large_pages: bool = True) -> None:
        self._td = td
        self._trace = trace
        self._large_pages = large_pages
        self.last_outcome: AcceptOutcome | None = None

    def accept_memory(self, start_address: int, size: int) -> EfiStatus:
        """Accept ``size`` bytes from ``start_address``, 2 MiB at a time where that is possible.

        Returns:
            EFI_SUCCESS: Accepted, or nothing asked (size 0), or accepted before.
            Otherwise: what TdAcceptPages made of the TDCALL's completion; pages before the failure stay accepted.
        """
        trace, clock = self._trace, self._td.clock
        request = trace.begin(ProtocolAccept(start_address, size))
        leaf = open_accept(trace, start_address, size)
        begun = clock.now_ns
        outcome = accept_memory_resource(self._td, start_address, size, self._large_pages)
        self.last_outcome = outcome
        close_accept(trace, leaf, outcome, outcome.completion, outcome.status, duration_ns=clock.now_ns - begun)
        request.accepted_bytes = outcome.accepted_bytes
        trace.end(request, outcome.status)
        return outcome.status
