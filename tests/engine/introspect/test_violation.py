"""Where a guest was stopped, told by names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from tdvfsh.engine.introspect.kernel_symbols import KernelSymbols
from tdvfsh.engine.introspect.violation import call_stack, place
from tdvfsh.engine.runs.guest import GuestFirmware
from tests.engine.introspect.test_kernel_symbols import ACCEPT, MEMBLOCK_ALLOC, MOVED, STACK, TDX_ACCEPT, Guest


def stopped(guest: Guest, symbols: KernelSymbols | None, pointer: int) -> GuestFirmware:
    """A firmware that has no image loaded, with the guest stopped at ``pointer``."""
    registers = {"RIP": pointer, "RSP": STACK + 3}
    ram = SimpleNamespace(
        accessible=lambda address, size: address >= STACK and address + size <= STACK + 0x1000,
        read=guest.read,
        u64=lambda address: int.from_bytes(guest.read(address, 8) or b"", "little"),
    )
    firmware = SimpleNamespace(
        image_at=lambda address: None, cpu=SimpleNamespace(read=registers.__getitem__), ram=ram, symbols=symbols
    )
    return cast(GuestFirmware, firmware)


def test_a_stop_in_a_kernel_names_the_function_and_its_callers() -> None:
    guest = Guest()
    guest.stack = [5, guest.call(ACCEPT, TDX_ACCEPT), 0, guest.call(MEMBLOCK_ALLOC, ACCEPT)]
    firmware = stopped(guest, guest.symbols(), MOVED + TDX_ACCEPT + 8)
    assert place(firmware, MOVED + TDX_ACCEPT + 8) == f"kernel tdx_accept_memory+0x8 ({MOVED + TDX_ACCEPT + 8:#x})"
    assert call_stack(firmware) == ("accept_memory+0x20", "memblock_alloc_range_nid+0x20")


def test_a_stop_in_a_program_of_a_running_system_is_a_number_without_the_kernel_s_callers() -> None:
    guest = Guest()
    guest.stack = [guest.call(ACCEPT, TDX_ACCEPT)]
    firmware = stopped(guest, guest.symbols(), 0x401000)
    assert place(firmware, 0x401000) == "0x401000"
    assert call_stack(firmware) == ()


def test_a_kernel_without_symbols_is_a_number() -> None:
    guest = Guest()
    firmware = stopped(guest, None, MOVED + ACCEPT)
    assert place(firmware, MOVED + ACCEPT) == f"{MOVED + ACCEPT:#x}"
    assert call_stack(firmware) == ()
