"""Finds the IN and OUT instructions of guest code as it is translated, so that the processor can stop before each.

The emulator carries them out and has no intercept for them, but tells of each block that it translates before the
block runs.
"""

from __future__ import annotations

import re

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.lazy_typing import Any, Final

_OPCODE: Final = re.compile(rb"[\x6c-\x6f\xe4-\xe7\xec-\xef]")
_NAMES: Final = frozenset(("in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd"))


class PortCode:
    """Scanner of blocks of code."""

    def __init__(self) -> None:
        capstone: Any = cpu_extra("capstone")
        self._disassembler: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._disassembler.skipdata = True

    def places(self, code: bytes, address: int) -> list[int]:
        """Addresses of those that a block has, which begins with an instruction at ``address``."""
        if _OPCODE.search(code) is None:
            return []
        return [
            at
            for at, _, mnemonic, _ in self._disassembler.disasm_lite(code, address)
            if mnemonic.rpartition(" ")[2] in _NAMES
        ]
