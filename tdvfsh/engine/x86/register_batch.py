"""Several registers of the emulated processor in one call, for what is done often."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.lazy_typing import Any


class RegisterBatch:
    """Registers that are read or written together.

    Args:
        uc: The emulator.
        names: Of the registers, such as ``RCX``.
    """

    def __init__(self, uc: Any, *names: str) -> None:
        registers: Any = cpu_extra("unicorn.x86_const")
        library: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib
        count = len(names)
        self._values = (ctypes.c_uint64 * count)()
        base = ctypes.addressof(self._values)
        numbers = (ctypes.c_int * count)(*(getattr(registers, f"UC_X86_REG_{name}") for name in names))
        places = (ctypes.c_void_p * count)(*range(base, base + 8 * count, 8))
        self._call = uc._uch, numbers, places, count
        self._read: Any = library.uc_reg_read_batch
        self._write: Any = library.uc_reg_write_batch

    def read(self) -> list[int]:
        """All of them, in order."""
        self._read(*self._call)
        return self._values[:]

    def write(self, values: Sequence[int]) -> None:
        """Set all of them."""
        self._values[:] = list(values)
        self._write(*self._call)
