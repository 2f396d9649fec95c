"""Corners that only a tiny kernel reaches: shared pages, the trap flag, much memory, user space."""

from __future__ import annotations

import pytest

from tdvfsh.machine import TdOptions
from tdvfsh.units import PAGE_SIZE
from tests.engine.operating_system import ACCEPT, PRESENT_WRITABLE, TABLES, VMCALL_HLT, VMCALL_MAP_GPA, Kernel
from tests.engine.system_run import powered_off, run_system, stopped

PAGE = 0x14000000
SHARED = 1 << 47
UNACCEPTED = 0x40000000
PLAIN = TdOptions(td=False)


def share(kernel: Kernel, page: int = PAGE, size: int = PAGE_SIZE) -> Kernel:
    return kernel.vmcall(VMCALL_MAP_GPA, r12=page | SHARED, r13=size)


def touch(kernel: Kernel, linear: int, value: int) -> Kernel:
    return kernel.mov("rcx", linear).mov("rax", value).store("rcx", 0, "rax")


def two_pages() -> tuple[Kernel, int, int]:
    kernel = Kernel()
    first = kernel.page(1, PAGE | SHARED | PRESENT_WRITABLE)
    return kernel, first, kernel.page(2, PAGE + PAGE_SIZE | SHARED | PRESENT_WRITABLE)


def test_pages_that_become_shared_beside_shared_ones_that_were_used_are_used_too() -> None:
    kernel, first, second = two_pages()
    share(touch(share(kernel), first, 1), PAGE + PAGE_SIZE)
    touch(kernel, second, 2).mov("rcx", first).load("rax", "rcx").keep("rax", "first")
    ran = powered_off(kernel.mov("rcx", second).load("rax", "rcx").keep("rax", "second").power_off())
    assert (ran.cells["first"], ran.cells["second"]) == (1, 2)


def test_a_shared_page_beside_one_that_is_private_again_keeps_its_contents() -> None:
    kernel, first, _ = two_pages()
    touch(share(kernel, size=2 * PAGE_SIZE), first, 7)
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE + PAGE_SIZE, r13=PAGE_SIZE).switch_tables(TABLES)
    kernel.mov("rcx", first).load("rax", "rcx")
    assert powered_off(kernel.keep("rax", "kept").power_off()).cells["kept"] == 7


def test_a_page_table_entry_reads_as_it_was_written_after_its_shared_page_was_touched() -> None:
    kernel, window, _ = two_pages()
    touch(share(kernel), window, 1).mov("rdx", kernel.entry_of(window)).load("rax", "rdx").keep("rax", "entry")
    entry = powered_off(kernel.power_off()).cells["entry"]
    assert entry & ~0x60 == PAGE | SHARED | PRESENT_WRITABLE


def test_a_shared_mapping_that_is_made_read_only_after_it_was_touched_stays_so() -> None:
    kernel, window, _ = two_pages()
    touch(share(kernel), window, 1).mov("rdx", kernel.entry_of(window)).raw("488322FD")  # and qword [rdx], ~2
    kernel.cpuid(0x21).mov("rdx", kernel.entry_of(window)).load("rax", "rdx").keep("rax", "entry").power_off()
    assert powered_off(kernel).cells["entry"] & ~0x60 == PAGE | SHARED | 1


def test_the_flags_show_no_trap_flag_that_the_kernel_did_not_set() -> None:
    kernel = Kernel().arm_timer(5_000).vmcall(VMCALL_HLT, r12=0).raw("9C 58").keep("rax", "flags")  # pushfq; pop rax
    kernel.raw("50").sti().raw("9D").power_off().handle_timer()  # push rax; sti; nop; popfq
    assert not powered_off(kernel).cells["flags"] & 0x100


def test_each_place_where_interrupts_are_let_in_after_a_halt_lets_them_in() -> None:
    kernel = Kernel()
    for _ in range(2):
        kernel.arm_timer(100_000).vmcall(VMCALL_HLT, r12=0).sti().raw("FA")
    kernel.fetch("rax", "ticks").keep("rax", "both").power_off().handle_timer()
    assert powered_off(kernel).cells["both"] == 2


@pytest.mark.parametrize("vector", [0x0E, 0x20, 0x41, 0x80])
def test_user_space_cannot_call_an_interrupt_whose_gate_is_the_kernel_s(vector: int) -> None:
    kernel = Kernel().enter_user("user").label("user").raw("90").label("there").raw(f"CD{vector:02X}").spin()
    kernel.label("called").gate(vector, "called").mov("rax", 1).keep("rax", "called").power_off()
    kernel.label("#GP").gate(13, "#GP").keep_frame("error", "instruction").power_off()
    ran = powered_off(kernel)
    assert ran.cells["error"] == vector << 3 | 2
    assert ran.cells["instruction"] == kernel.place("there")
    assert ran.cells["called"] == 0


def test_user_space_may_call_the_breakpoint_either_way_and_the_kernel_any_gate() -> None:
    kernel = Kernel().raw("CD20").enter_user("user").label("user").raw("CC CD03").label("behind").raw("0F0B")
    kernel.label("#BP").gate(3, "#BP").fetch("rax", "breakpoints").raw("48FFC0").keep("rax", "breakpoints").iretq()
    kernel.label("called").gate(0x20, "called").mov("rax", 1).keep("rax", "called").iretq()
    kernel.label("#UD").gate(6, "#UD").keep_frame("instruction").power_off()
    ran = powered_off(kernel)
    assert (ran.cells["breakpoints"], ran.cells["called"]) == (2, 1)
    assert ran.cells["instruction"] == kernel.place("behind")


def test_user_space_cannot_accept_pages() -> None:
    kernel = Kernel().enter_user("user").label("user").tdcall(ACCEPT, rcx=UNACCEPTED).spin()
    kernel.label("#GP").gate(13, "#GP").keep_frame("error", "instruction").power_off()
    assert not powered_off(kernel).firmware.board.page_accepts.tallies


def test_a_frame_that_would_be_pushed_to_unaccepted_memory_stops_the_run_at_that_page() -> None:
    kernel = Kernel().mov("rsp", UNACCEPTED + 0x1000).raw("CC").spin()
    ran = run_system(kernel.label("#BP").gate(3, "#BP").spin())
    assert stopped(ran).violation.address & ~0xFFF == UNACCEPTED


@pytest.mark.parametrize("gigabytes", [300, 600])
def test_a_plain_vm_of_much_memory_runs(gigabytes: int) -> None:
    powered_off(Kernel().say("x").power_off(), TdOptions(td=False, memory=gigabytes << 30))


def test_memory_beyond_256_gib_can_be_accepted_beside_shared_pages() -> None:
    kernel = Kernel()
    window = kernel.page(1, PAGE | SHARED | PRESENT_WRITABLE)
    share(kernel).tdcall(ACCEPT, rcx=(1 << 38) + PAGE)
    touch(kernel, window, 7).load("rax", "rcx").keep("rax", "read").power_off()
    assert powered_off(kernel, TdOptions(memory=300 << 30)).cells["read"] == 7


def test_the_power_management_timer_advances_for_who_only_reads_it() -> None:
    kernel = Kernel().mov("rdx", 0x608).raw("ED").keep("rax", "first").copy("rbx", "rax").mov("rcx", 10_000)
    kernel.label("same").raw("ED 48FFC9 7405 4839D8 74F6")  # in; dec rcx; jz; cmp rax, rbx; je
    ran = powered_off(kernel.keep("rax", "last").power_off(), PLAIN)
    assert ran.cells["first"] != ran.cells["last"]
