"""REP MOVS and REP STOS by the host: the same registers and memory as by the emulator, or left to it."""

from __future__ import annotations

import struct
from functools import partial
from typing import Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.long_mode import enter_long_mode
from tdvfsh.engine.x86.paging import IDT_SIZE, page_tables, page_tables_size
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.units import MIB, PAGE_SIZE

RAM: Final = 256 * MIB
CODE: Final = 2 * MIB
DATA: Final = 4 * MIB
SIZE: Final = 2 * PAGE_SIZE
STACK: Final = 3 * MIB
FORMS: Final = {
    "movsb": b"\xf3\xa4", "movsd": b"\xf3\xa5", "movsq": b"\xf3\x48\xa5",
    "stosb": b"\xf3\xaa", "stosd": b"\xf3\xab", "stosq": b"\xf3\x48\xab",
}  # fmt: skip
HLT: Final = b"\xf4"
NEXT: Final = b"\xeb\x00"  # the emulator tells of blocks that another one leads to


class Ran(NamedTuple):
    """What is left of a run: registers, memory, and how many instructions the host did."""

    registers: tuple[int, ...]
    memory: bytes
    done: int


def run(code: bytes, helped: bool, source: int, target: int, count: int, value: int = 0x1122334455667788) -> Ran:
    td = TrustDomain(RamLayout.q35(RAM), td=False)
    ram = GuestRam(td)
    cpu = Cpu(ram, lambda: 0)
    try:
        ram.refresh()
        tables = 8 * MIB
        ram.view[tables : tables + page_tables_size(RAM)] = page_tables(tables, RAM)
        gdt = tables + page_tables_size(RAM)
        cpu.mapped.map_accepted()
        enter_long_mode(cpu, ram, cr3=tables, gdt=gdt, idt=gdt + PAGE_SIZE, stack=STACK)
        assert IDT_SIZE == PAGE_SIZE
        ram.view[CODE : CODE + len(code) + 3] = NEXT + code + HLT
        pattern = bytes(range(251)) * (SIZE // 251 + 1)
        ram.view[DATA : DATA + SIZE] = pattern[:SIZE]
        strings = cpu.help_string_instructions(td) if helped else None
        for name, register in (("RSI", source), ("RDI", target), ("RCX", count), ("RAX", value)):
            cpu.write(name, register)
        cpu.run(CODE)
        registers = tuple(cpu.read(name) for name in ("RSI", "RDI", "RCX", "RAX", "EFLAGS"))
        return Ran(registers, bytes(ram.view[DATA : DATA + SIZE]), 0 if strings is None else strings.count)
    finally:
        cpu.close()


@given(
    st.sampled_from(sorted(FORMS)),
    st.integers(0, SIZE // 2),
    st.integers(0, SIZE // 2),
    st.integers(0, SIZE // 2 // 8),
    st.booleans(),
)
def test_the_host_leaves_what_the_emulator_leaves(
    form: str, source: int, target: int, count: int, descending: bool
) -> None:
    code = (b"\xfd" if descending else b"") + FORMS[form]
    where = DATA + source, DATA + target
    slow, fast = run(code, False, *where, count), run(code, True, *where, count)
    assert fast[:2] == slow[:2]
    assert fast.done == 0 if descending or not count else True


@pytest.mark.parametrize("form", sorted(FORMS))
def test_the_host_does_plain_ones(form: str) -> None:
    assert run(FORMS[form], True, DATA, DATA + PAGE_SIZE, 100).done == 1


def test_memory_that_is_not_there_is_left_to_the_emulator() -> None:
    assert run(FORMS["stosq"], True, DATA, RAM - 16, 8).done == 0


def test_code_that_was_written_over_is_executed_as_it_is_now() -> None:
    """A subroutine that sets AL to 1 is called, its 1 written over with 2 by REP STOSB, and it is called again."""
    routine = DATA + PAGE_SIZE
    call = b"\xbb" + struct.pack("<I", routine) + b"\xff\xd3"  # mov ebx, routine; call rbx
    write = b"\xbf" + struct.pack("<I", routine) + b"\xb8\xb0\x02\xc3\x90\xab"  # mov edi; mov eax, code; stosd
    over = b"\xbf" + struct.pack("<I", routine + 1) + b"\xb9\x01\0\0\0\xb0\x07" + FORMS["stosb"]
    ran = run(write + call + over + b"\x31\xc0" + call, True, DATA, DATA, 0)
    assert (ran.done, ran.registers[3]) == (1, 7)


def _remembered(known: int | None, page: int, protection: int) -> int | None:
    return known


def test_shared_memory_is_found_whether_the_emulator_remembers_its_alias_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    td = TrustDomain(RamLayout.q35(RAM), added=[AddressSpan(0, RAM)])
    td.sept.remove(DATA, DATA + SIZE)
    td.shared.set(DATA, DATA + SIZE, True)
    ram = GuestRam(td)
    cpu = Cpu(ram, lambda: 0)
    try:
        ram.refresh()
        tables = 8 * MIB
        ram.view[tables : tables + page_tables_size(RAM)] = page_tables(tables, RAM)
        cpu.mapped.map_accepted()
        enter_long_mode(cpu, ram, cr3=tables, gdt=16 * MIB, idt=17 * MIB, stack=STACK)
        leaf = tables + PAGE_SIZE
        struct.pack_into("<Q", ram.view, leaf, struct.unpack_from("<Q", ram.view, leaf)[0] | td.shared_mask)
        strings = cpu.help_string_instructions(td)
        found = []
        for remembered in (None, (1 << 38) + DATA):  # it depends on the host's clock which of them it is
            monkeypatch.setattr(strings, "_page", partial(_remembered, remembered))
            found.append(strings._contiguous(DATA + 8, 64, 1))
        assert found == [DATA + 8, DATA + 8]
    finally:
        cpu.close()
