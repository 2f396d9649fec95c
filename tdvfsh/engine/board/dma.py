"""Memory as devices reach it by DMA: all RAM of a plain VM, shared pages of a TD.

Source: Intel TDX module 1.5 base specification (devices use shared memory); QEMU system/physmem.c.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tdvfsh.engine.devices.fw_cfg import Contents
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final
from tdvfsh.td.trust_domain import TrustDomain

OUTSIDE: Final = "outside of RAM"
PRIVATE: Final = "in private memory"


class DmaView:
    """RAM for devices.

    Args:
        td: Whose RAM it is.
        ram: Its bytes.
        wrote: Called with address and size of what was written in a plain VM; shared memory of a TD holds no code.
        missing: Counts accesses to private memory, which a device cannot reach.
    """

    def __init__(
        self, td: TrustDomain, ram: GuestRam, wrote: Callable[[int, int], None], missing: Counter[str]
    ) -> None:
        self._td = td
        self._ram = ram
        self._wrote = wrote
        self._missing = missing

    def refusal(self, address: int, size: int) -> str | None:
        """Why a device that must not touch private memory cannot reach ``size`` bytes; None where it can."""
        address &= ~self._td.shared_mask
        if not self._td.ram.contains(address, address + size):
            return OUTSIDE
        return None if self._shared(address, size) else PRIVATE

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes; zeros from private memory, None where there is no RAM."""
        address &= ~self._td.shared_mask
        if not self._td.ram.contains(address, address + size):
            return None
        if not self._reached(address, size):
            return bytes(size)
        return bytes(self._ram.view[address : address + size])

    def write(self, address: int, data: Contents) -> bool:
        """Store bytes, which are lost in private memory; False where there is no RAM."""
        address &= ~self._td.shared_mask
        if not self._td.ram.contains(address, address + len(data)):
            return False
        if len(data) and self._reached(address, len(data)):
            self._ram.view[address : address + len(data)] = data
            if not self._td.is_td:
                self._wrote(address, len(data))
        return True

    def _reached(self, address: int, size: int) -> bool:
        if self._shared(address, size):
            return True
        self._missing["DMA to private memory"] += 1
        return False

    def _shared(self, address: int, size: int) -> bool:
        td = self._td
        return not td.is_td or sum(end - start for start, end, _ in td.shared.spans(address, address + size)) == size
