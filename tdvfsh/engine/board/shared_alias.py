"""Shared memory: page table entries with the shared bit, which the emulator takes for a reserved one.

Unicorn knows physical addresses of 40 bits. RAM that is shared is therefore shown a second time at an alias within
these. An entry that was found to lead there is pointed to the alias for one instruction, which is single-stepped; the
emulator remembers the translation, and the entry is given back as it was.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.page_walk import Mapping
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final
from tdvfsh.td.ranges import RangeMap
from tdvfsh.td.trust_domain import TrustDomain

_LOWEST_ALIAS: Final = 38
_ADDRESS_BITS: Final = 40
_ACCESSED_DIRTY: Final = 0x60
_ENTRY: Final = struct.Struct("<Q")


class SharedAlias:
    """The second view of shared RAM.

    Args:
        td: Whose RAM it is.
        ram: Its bytes.
        cpu: The processor.
    """

    def __init__(self, td: TrustDomain, ram: GuestRam, cpu: Cpu) -> None:
        self._td = td
        self._ram = ram
        self._cpu = cpu
        self._alias = 1 << max(_LOWEST_ALIAS, (td.ram.end - 1).bit_length())
        self._shown: RangeMap[bool] = RangeMap()
        self._pointed: list[tuple[int, int]] = []

    @property
    def pointing(self) -> bool:
        """Whether an entry leads to the alias now."""
        return bool(self._pointed)

    def point(self, mapping: Mapping) -> None:
        """Let an entry that maps a shared page lead to the alias.

        Raises:
            EngineError: There is so much RAM that no address is left for a second view.
        """
        if self._alias >> _ADDRESS_BITS - 1 > 1:
            raise EngineError("the emulator has no addresses left for shared memory beside so much RAM")
        physical = mapping.physical & ~self._td.shared_mask
        run = self._td.shared.find(physical)
        assert run is not None
        self._show(run[0], run[1])
        changed = mapping.value & ~self._td.shared_mask | self._alias
        _ENTRY.pack_into(self._ram.view, mapping.entry, changed)
        self._pointed.append((mapping.entry, mapping.value))

    def _show(self, start: int, end: int) -> None:
        at = start
        for low, high, _ in [*self._shown.spans(start, end), (end, end, True)]:
            if at < low:
                self._cpu.mapped.map_alias(self._alias + at, at, low - at)
            at = high
        self._shown.set(start, end, True)

    def restore(self) -> None:
        """Restore the entries, with what the processor has marked in them meanwhile."""
        for address, value in self._pointed:
            changed = _ENTRY.unpack_from(self._ram.view, address)[0]
            if changed & self._alias:
                _ENTRY.pack_into(self._ram.view, address, value | changed & _ACCESSED_DIRTY)
        self._pointed.clear()
