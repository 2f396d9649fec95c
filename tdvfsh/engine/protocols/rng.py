"""EFI_RNG_PROTOCOL: numbers that look random and are the same in every run, from the TD's seed.

Source: UEFI 2.10 37.5.
"""

from __future__ import annotations

from hashlib import shake_256

from tdvfsh.engine.abi.buffers import fill_buffer
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.uefi.guids import EFI_RNG_ALGORITHM_RAW, EFI_RNG_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus


class RandomNumbers:
    """GetInfo and GetRNG."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram
        self._seed = context.machine.options.kaslr_seed.to_bytes(4, "little")
        self._calls = 0

    def install(self) -> None:
        """Make the handle."""
        structure = self._context.interfaces.structure([self.get_info, self.get_rng])
        self._context.offer({EFI_RNG_PROTOCOL_GUID: structure})

    @service("EFI_RNG_PROTOCOL.GetInfo", "qqq")
    def get_info(self, this: int, rng_algorithm_list_size: int, rng_algorithm_list: int) -> EfiStatus:
        """One algorithm, the raw one."""
        if not rng_algorithm_list_size:
            return EfiStatus.EFI_INVALID_PARAMETER
        return fill_buffer(self._ram, rng_algorithm_list_size, rng_algorithm_list, EFI_RNG_ALGORITHM_RAW.bytes_le)

    @service("EFI_RNG_PROTOCOL.GetRNG", "qgqq")
    def get_rng(self, this: int, rng_algorithm: int, rng_value_length: int, rng_value: int) -> EfiStatus:
        """Bytes."""
        if not rng_value or not rng_value_length:
            return EfiStatus.EFI_INVALID_PARAMETER
        if rng_algorithm and self._ram.guid(rng_algorithm) != EFI_RNG_ALGORITHM_RAW:
            return EfiStatus.EFI_UNSUPPORTED
        self._ram.check(rng_value, rng_value_length, write=True)
        self._calls += 1
        seed = self._seed + self._calls.to_bytes(8, "little")
        for offset, size in self._context.slices(rng_value_length):
            number = offset.to_bytes(8, "little") if offset else b""
            self._ram.write(rng_value + offset, shake_256(seed + number).digest(size))
        return SUCCESS
