"""Where a guest was stopped, by names."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from tdvfsh.engine.introspect.kernel_symbols import KernelSymbols
from tdvfsh.engine.introspect.loaded_code import LoadedCode
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.ram import GuestRam
from tests.engine.introspect.test_kernel_symbols import ACCEPT, MEMBLOCK_ALLOC, MOVED, STACK, TDX_ACCEPT, Guest


def place(symbols: KernelSymbols | None, address: int) -> str:
    """The place of an address where no image is loaded."""
    code = LoadedCode()
    code.kernel = symbols
    return code.place(address)


def call_stack(guest: Guest, symbols: KernelSymbols | None, pointer: int) -> tuple[str, ...]:
    """The call stack of a guest that is stopped at ``pointer``, with no image loaded."""
    code = LoadedCode()
    code.kernel = symbols
    registers = {"RIP": pointer, "RSP": STACK + 3}
    ram = SimpleNamespace(
        accessible=lambda address, size: address >= STACK and address + size <= STACK + 0x1000,
        read=guest.read,
        u64=lambda address: int.from_bytes(guest.read(address, 8) or b"", "little"),
    )
    return code.call_stack(cast(Cpu, SimpleNamespace(read=registers.__getitem__)), cast(GuestRam, ram))


def test_a_stop_in_a_kernel_names_the_function_and_its_callers() -> None:
    guest = Guest()
    guest.stack = [5, guest.call(ACCEPT, TDX_ACCEPT), 0, guest.call(MEMBLOCK_ALLOC, ACCEPT)]
    pointer = MOVED + TDX_ACCEPT + 8
    assert place(guest.symbols(), pointer) == f"kernel tdx_accept_memory+0x8 ({pointer:#x})"
    assert call_stack(guest, guest.symbols(), pointer) == ("accept_memory+0x20", "memblock_alloc_range_nid+0x20")


def test_a_stop_in_a_program_of_a_running_system_is_a_number_without_the_kernel_s_callers() -> None:
    guest = Guest()
    guest.stack = [guest.call(ACCEPT, TDX_ACCEPT)]
    assert place(guest.symbols(), 0x401000) == "0x401000"
    assert call_stack(guest, guest.symbols(), 0x401000) == ()


def test_a_kernel_without_symbols_is_a_number() -> None:
    guest = Guest()
    assert place(None, MOVED + ACCEPT) == f"{MOVED + ACCEPT:#x}"
    assert call_stack(guest, None, MOVED + ACCEPT) == ()
