"""Boot services that need no state: copying, checksums, counting, waiting.

Source: UEFI 2.10 7.5.
"""

from __future__ import annotations

import zlib

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.services.guest_time import GuestTime
from tdvfsh.engine.services.waiting import Waiting
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_MICROSECOND: Final = 1_000


class PlainServices:
    """Stall, SetWatchdogTimer, CopyMem, SetMem, CalculateCrc32, GetNextMonotonicCount.

    Args:
        context: Guest memory.
        time: The watchdog.
        waiting: How time passes.
    """

    def __init__(self, context: GuestContext, time: GuestTime, waiting: Waiting) -> None:
        self._context = context
        self._time = time
        self._waiting = waiting
        self._ram = context.ram

    @service(service_names.STALL, "q")
    def stall(self, microseconds: int) -> EfiStatus:
        """EFI_STALL: virtual time passes."""
        self._waiting.stall(microseconds * _MICROSECOND)
        return SUCCESS

    @service(service_names.SET_WATCHDOG_TIMER, "qqqq")
    def set_watchdog_timer(self, timeout: int, watchdog_code: int, data_size: int, watchdog_data: int) -> EfiStatus:
        """EFI_SET_WATCHDOG_TIMER: in ``timeout`` virtual seconds the run ends; 0 switches the watchdog off."""
        self._time.set_watchdog(timeout)
        return SUCCESS

    @service(service_names.COPY_MEM, "qqq")
    def copy_mem(self, destination: int, source: int, length: int) -> None:
        """EFI_COPY_MEM: overlapping is fine; of no bytes it touches nothing."""
        if not length:
            return
        self._ram.check(source, length)
        self._ram.check(destination, length, write=True)
        pieces = self._context.slices(length)
        for offset, size in pieces if destination <= source else reversed(list(pieces)):
            self._ram.write(destination + offset, self._ram.read(source + offset, size))
        self._context.wrote(destination, length)

    @service(service_names.SET_MEM, "qqb")
    def set_mem(self, buffer: int, size: int, value: int) -> None:
        """EFI_SET_MEM; of no bytes it touches nothing."""
        if not size:
            return
        self._ram.check(buffer, size, write=True)
        for offset, length in self._context.slices(size):
            self._ram.write(buffer + offset, bytes((value,)) * length)
        self._context.wrote(buffer, size)

    @service(service_names.CALCULATE_CRC32, "qqq")
    def calculate_crc32(self, data: int, data_size: int, crc32: int) -> EfiStatus:
        """EFI_CALCULATE_CRC32."""
        if not data or not data_size or not crc32:
            return EfiStatus.EFI_INVALID_PARAMETER
        self._ram.check(data, data_size)
        checksum = 0
        for offset, size in self._context.slices(data_size):
            checksum = zlib.crc32(self._ram.read(data + offset, size), checksum)
        self._ram.put_u32(crc32, checksum)
        return SUCCESS

    @service(service_names.GET_NEXT_MONOTONIC_COUNT, "q")
    def get_next_monotonic_count(self, count: int) -> EfiStatus:
        """EFI_GET_NEXT_MONOTONIC_COUNT."""
        if not count:
            return EfiStatus.EFI_INVALID_PARAMETER
        self._ram.put_u64(count, self._context.core.monotonic_counter.get_next_monotonic_count())
        return SUCCESS

    @service(service_names.GET_NEXT_HIGH_MONOTONIC_COUNT, "q")
    def get_next_high_monotonic_count(self, high_count: int) -> EfiStatus:
        """EFI_GET_NEXT_HIGH_MONO_COUNT."""
        if not high_count:
            return EfiStatus.EFI_INVALID_PARAMETER
        self._ram.put_u32(high_count, self._context.core.monotonic_counter.get_next_high_monotonic_count())
        return SUCCESS
