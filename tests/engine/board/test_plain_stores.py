"""Stores that need not be looked at: code that is changed through another address is still seen to change."""

from __future__ import annotations

import pytest

from tdvfsh.engine.x86.plain_stores import PlainStores
from tdvfsh.machine import TdOptions
from tests.engine.operating_system import ACCEPT, PRESENT_WRITABLE, Kernel
from tests.engine.system_run import powered_off, run_system, stopped

PAGE = 0x14000000  # an accepted page that is not used
UNACCEPTED = 0x40000000
NOT_EXECUTABLE = 1 << 63
EFER = 0xC0000080
ROUNDS = 5


def changing_code() -> Kernel:
    """Code at one address, changed word by word and byte by byte through another that cannot be executed."""
    kernel = Kernel().mov("rcx", EFER).raw("0F32 0D00080000 0F30")  # rdmsr; or eax, NXE; wrmsr
    data = kernel.page(1, PAGE | PRESENT_WRITABLE | NOT_EXECUTABLE)
    code = kernel.page(2, PAGE | PRESENT_WRITABLE)
    kernel.mov("rcx", data).mov("rax", 0xC3_00000011_B8).store("rcx", 0, "rax")  # mov eax, 0x11; ret
    kernel.mov("r12", code)
    for number in range(ROUNDS):
        kernel.raw("41FFD4").keep("rax", f"result {number}").mov("rcx", data)  # call r12
        kernel.raw("C68100080000" + f"{number:02X}")  # mov byte [rcx + 0x800], number: no code is there
        kernel.raw("C64101" + f"{0x20 + number:02X}")  # mov byte [rcx + 1], 0x20 + number
    return kernel.power_off()


RIGHT = [0x11, *range(0x20, 0x20 + ROUNDS - 1)]


def results(kernel: Kernel, options: TdOptions | None = None) -> list[int]:
    cells = powered_off(kernel, options).cells
    return [cells[f"result {number}"] for number in range(ROUNDS)]


@pytest.mark.parametrize("options", [TdOptions(), TdOptions(td=False)])
def test_code_that_is_changed_through_another_address_is_executed_as_it_stands(options: TdOptions) -> None:
    assert results(changing_code(), options) == RIGHT


def test_that_is_what_the_hooks_on_pieces_with_code_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainStores, "translated", lambda self, address, size: None)
    assert results(changing_code()) != RIGHT


@pytest.mark.parametrize("plain", [True, False])
def test_a_store_to_memory_that_is_not_accepted_is_found_however_fast_the_others_are(plain: bool) -> None:
    kernel = Kernel().tdcall(ACCEPT, rcx=UNACCEPTED | 1).mov("rcx", UNACCEPTED).mov("rax", 7)
    for offset in range(0, 64, 8):
        kernel.store("rcx", offset, "rax")
    kernel.mov("rcx", UNACCEPTED + (2 << 20)).label("touch").store("rcx", 0, "rax").power_off()
    ran = run_system(kernel, prepare=None if plain else lambda firmware: firmware.cpu.__setattr__("store_plainly", int))
    assert stopped(ran).violation.address == UNACCEPTED + (2 << 20)
    assert stopped(ran).violation.instruction_pointer == kernel.place("touch")
