"""Several vCPUs: woken by the mailbox, taking turns, interrupting each other, accepting memory."""

from __future__ import annotations

import pytest

from tdvfsh.engine.errors import GuestDead
from tdvfsh.engine.tdx.page_accepts import Acceptor
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import LARGE_PAGE_SIZE
from tests.engine.operating_system import (
    ACCEPT,
    COMMAND,
    END_OF_INTERRUPT,
    PRESENT_WRITABLE,
    ROOM,
    SPURIOUS,
    VMCALL_HLT,
    VMCALL_RDMSR,
    VMCALL_WRMSR,
    Kernel,
)
from tests.engine.system_run import powered_off, run_system, stopped

TWO = TdOptions(cost="kvm-2m", vcpus=2)
PLAIN = TdOptions(vcpus=2, td=False)
MARK = 0x9000
INIT = 5 << 8
START_UP = 6 << 8
UNACCEPTED = 0x40000000
PAGE = 0x14000000
VECTOR = 0x51
TO_THE_SECOND = 1 << 32
NMI = 4 << 8
X2APIC_ID = 0x802
VP_INFO = 1


def both(first: Kernel) -> Kernel:
    """The second vCPU's code follows; the first powers off when the second is done."""
    return first.wait_for("done").power_off().second("second")


def done(kernel: Kernel) -> Kernel:
    return kernel.set("done").vmcall(VMCALL_HLT, r12=1).spin()


def count_interrupts(kernel: Kernel) -> Kernel:
    """A handler of VECTOR and one of NMI that count."""
    kernel.label("interrupt").gate(VECTOR, "interrupt").raw("50 51 52").fetch("rax", "interrupts").raw("48FFC0")
    kernel.keep("rax", "interrupts").write_msr(END_OF_INTERRUPT, 0).raw("5A 59 58 48CF")
    kernel.label("NMI").gate(2, "NMI").raw("50").fetch("rax", "NMIs").raw("48FFC0").keep("rax", "NMIs")
    return kernel.raw("58 48CF")


def enable_apic(kernel: Kernel) -> Kernel:
    return kernel.vmcall(VMCALL_WRMSR, r12=SPURIOUS, r13=0x1FF)


def test_a_woken_vcpu_knows_its_number_by_each_way_to_ask() -> None:
    kernel = both(Kernel().cpuid(1).keep("rbx", "first").wake(1, "second"))
    kernel.cpuid(1).keep("rbx", "second").cpuid(0xB).keep("rdx", "topology").tdcall(VP_INFO).keep("r9", "index")
    kernel.keep("r8", "vCPUs").vmcall(VMCALL_RDMSR, r12=X2APIC_ID).keep("r11", "APIC ID")
    ran = powered_off(done(kernel), TWO)
    assert (ran.cells["first"] >> 24 & 0xFF, ran.cells["second"] >> 24 & 0xFF) == (0, 1)
    assert ran.cells["first"] >> 16 & 0xFF == 2
    assert (ran.cells["topology"], ran.cells["index"], ran.cells["APIC ID"]) == (1, 1, 1)
    assert ran.cells["vCPUs"] == 2 << 32 | 2


def test_a_woken_vcpu_begins_with_interrupts_off_in_pages_that_map_memory_to_itself() -> None:
    kernel = Kernel().wake(1, "second").wait_for("done").power_off()
    kernel.label("second").mov("rsp", ROOM + 0x800).raw("9C 58").keep("rax", "flags")  # pushfq; pop rax
    kernel.raw("0F20D8").keep("rax", "CR3").raw("0F20C0").keep("rax", "CR0")
    ran = powered_off(done(kernel), TWO)
    assert not ran.cells["flags"] & 1 << 9
    assert ran.cells["CR0"] >> 31
    (block,) = (entry for entry in ran.firmware.core.memory_map if entry.start <= ran.cells["CR3"] < entry.end)
    assert block.memory_type == EfiMemoryType.EfiRuntimeServicesData


@pytest.mark.parametrize(("vcpu", "taken"), [(0, False), (1, True), (2, False), (7, False), (1 << 16 | 1, False)])
def test_only_the_vcpu_that_is_meant_takes_the_command(vcpu: int, taken: bool) -> None:
    kernel = Kernel().command_wakeup(vcpu, "second")
    for _ in range(10):
        kernel.raw("F390")  # pause
    kernel.raw("0FB708").keep("rcx", "command").power_off()  # movzx ecx, word [rax]
    ran = powered_off(done(kernel.second("second")), TWO)
    assert ran.cells["command"] == (not taken)
    assert ran.firmware.board.vcpus.running == 1 + taken


def test_nobody_waits_at_the_mailbox_when_all_run() -> None:
    kernel = Kernel().wake(1, "second").wait_for("done").command_wakeup(1, "second").raw("F390 F390 0FB708")
    ran = powered_off(done(kernel.keep("rcx", "command").power_off().second("second")), TWO)
    assert ran.cells["command"] == 1


def test_each_vcpu_has_registers_of_its_own() -> None:
    kernel = Kernel()
    for number, register in enumerate(("rbx", "rbp", "rsi", "rdi", "r8", "r15")):
        kernel.mov(register, 100 + number)
    kernel.raw("F30F6FC0 660F6EC3").wake(1, "second").wait_for("done")  # movd xmm0, ebx
    for register in ("rbx", "rbp", "rsi", "rdi", "r8", "r15"):
        kernel.keep(register, register)
    kernel.raw("660F7EC0").keep("rax", "xmm0").power_off().second("second")
    for register in ("rbx", "rbp", "rsi", "rdi", "r8", "r15"):
        kernel.mov(register, 7)
    ran = powered_off(done(kernel.raw("660FEFC0")), TWO)  # pxor xmm0, xmm0
    assert [ran.cells[name] for name in ("rbx", "rbp", "rsi", "rdi", "r8", "r15")] == [100, 101, 102, 103, 104, 105]
    assert ran.cells["xmm0"] == 100


def test_two_that_spin_for_each_other_both_go_on() -> None:
    kernel = Kernel().wake(1, "second")
    for number in range(1, 50):
        kernel.set("ping", number).wait_for("pong", number)
    kernel.power_off().second("second")
    for number in range(1, 50):
        kernel.wait_for("ping", number).set("pong", number)
    assert powered_off(kernel.vmcall(VMCALL_HLT, r12=1), TWO).cells["pong"] == 49


def test_who_spins_by_reading_the_time_lets_the_others_have_their_turns() -> None:
    kernel = Kernel().wake(1, "second").set("begins").label("again").read_time_stamp().fetch("rax", "done")
    kernel.jump_if_zero("again").power_off().second("second").wait_for("begins")
    assert powered_off(done(kernel), TWO).cells["done"] == 1


def test_a_vcpu_that_waits_takes_the_interrupt_that_another_sends() -> None:
    kernel = enable_apic(Kernel()).wake(1, "second").wait_for("waits").send_interrupt(TO_THE_SECOND | VECTOR)
    kernel = both(kernel)
    enable_apic(kernel).set("waits").vmcall(VMCALL_HLT, r12=0).sti().fetch("rax", "interrupts").keep("rax", "then")
    ran = powered_off(count_interrupts(done(kernel)), TWO)
    assert ran.cells["then"] == ran.cells["interrupts"] == 1


def test_an_nmi_wakes_even_who_waits_with_interrupts_off() -> None:
    kernel = Kernel().wake(1, "second").wait_for("waits").send_interrupt(TO_THE_SECOND | VECTOR)
    kernel = both(kernel.cpuid(0x21).send_interrupt(TO_THE_SECOND | NMI))
    enable_apic(kernel).set("waits").vmcall(VMCALL_HLT, r12=1).keep("r10", "woken")
    ran = powered_off(count_interrupts(done(kernel)), TWO)
    assert (ran.cells["NMIs"], ran.cells["interrupts"]) == (1, 0)


def test_what_each_vcpu_accepts_is_its_own_account() -> None:
    kernel = both(Kernel().tdcall(ACCEPT, rcx=UNACCEPTED | 1).wake(1, "second"))
    for number in (1, 2):
        kernel.tdcall(ACCEPT, rcx=UNACCEPTED + number * LARGE_PAGE_SIZE | 1)
    ran = powered_off(done(kernel), TWO)
    tallies = ran.firmware.board.page_accepts.tallies
    assert {acceptor: tally.pages_2m for acceptor, tally in tallies.items()} == {
        Acceptor("kernel", 0): 1, Acceptor("kernel", 1): 2,
    }  # fmt: skip


def test_memory_that_one_vcpu_accepts_is_there_for_the_other() -> None:
    kernel = Kernel().wake(1, "second").tdcall(ACCEPT, rcx=UNACCEPTED | 1).mov("rcx", UNACCEPTED).mov("rax", 7)
    kernel = both(kernel.store("rcx", 8, "rax").set("accepted"))
    kernel.wait_for("accepted").mov("rcx", UNACCEPTED).load("rax", "rcx", 8).keep("rax", "read")
    assert powered_off(done(kernel), TWO).cells["read"] == 7


def test_a_stop_says_which_vcpu_it_was_where_others_run() -> None:
    kernel = Kernel().wake(1, "second").vmcall(VMCALL_HLT, r12=1).second("second").mov("rcx", UNACCEPTED)
    violation = stopped(run_system(kernel.load("rax", "rcx"), TWO)).violation
    assert violation.vcpu == 1
    assert "vCPU      1" in violation.lines()
    alone = stopped(run_system(Kernel().mov("rcx", UNACCEPTED).load("rax", "rcx"), TWO)).violation
    assert alone.vcpu is None
    assert not any(line.startswith("vCPU") for line in alone.lines())


def test_a_page_table_entry_that_one_changes_is_what_the_other_finds_at_its_next_turn() -> None:
    kernel = Kernel()
    window = kernel.page(1, PAGE | PRESENT_WRITABLE)
    kernel.mov("rcx", PAGE).mov("rax", 5).store("rcx", 0, "rax").mov("rax", 6).store("rcx", 0x1000, "rax")
    kernel.wake(1, "second").wait_for("read one").mov("rcx", kernel.entry_of(window))
    kernel = both(kernel.mov("rax", PAGE + 0x1000 | PRESENT_WRITABLE).store("rcx", 0, "rax").set("changed"))
    kernel.mov("rcx", window).load("rax", "rcx").keep("rax", "before").set("read one").wait_for("changed")
    kernel.mov("rcx", window).raw("0F0139").load("rax", "rcx").keep("rax", "after")  # invlpg [rcx]
    ran = powered_off(done(kernel), TWO)
    assert (ran.cells["before"], ran.cells["after"]) == (5, 6)


def test_code_that_one_vcpu_writes_over_runs_anew_on_the_other() -> None:
    kernel = (
        Kernel().wake(1, "second").wait_for("ran once").lea("rax", "patched").raw("C6400103")
    )  # mov byte [rax+1], 3
    kernel = both(kernel.set("written")).label("again").mov("rax", 0)
    kernel.label("patched").raw("B001").keep("rax", "found").set("ran once")  # mov al, 1
    kernel.wait_for("written").mov("rax", 0).fetch("rax", "round").raw("4885C0 0F85")._to("end")
    kernel.set("round").jump("again").label("end")
    assert powered_off(done(kernel), TWO).cells["found"] == 3


def test_when_all_wait_with_interrupts_off_the_run_is_over() -> None:
    kernel = Kernel().wake(1, "second").vmcall(VMCALL_HLT, r12=1).spin()
    ran = run_system(kernel.second("second").vmcall(VMCALL_HLT, r12=1).spin(), TWO)
    assert isinstance(ran.error, GuestDead)


def test_the_timer_of_one_wakes_it_while_the_other_waits_for_good() -> None:
    kernel = Kernel().wake(1, "second").vmcall(VMCALL_HLT, r12=1).spin().second("second").arm_timer(50_000)
    kernel.vmcall(VMCALL_HLT, r12=0).sti().fetch("rax", "ticks").keep("rax", "then").power_off()
    assert powered_off(kernel.handle_timer(), TWO).cells["then"] == 1


@pytest.mark.parametrize("options", [TdOptions(), PLAIN])
def test_there_is_no_mailbox_in_a_td_of_one_vcpu_and_in_a_plain_vm(options: TdOptions) -> None:
    ran = powered_off(Kernel().cpuid(1).keep("rbx", "b").power_off(), options)
    assert ran.cells["b"] >> 16 & 0xFF == options.vcpus
    assert ran.firmware.board.mailbox is None


def place_real_mode_code(kernel: Kernel, page: int) -> Kernel:
    """At a page below 1 MiB: CPUID, CS into the word at MARK and its APIC ID after it, then PAUSE for ever."""
    # mov eax, 1; cpuid; mov [0x9004], ebx; mov ax, cs; mov [0x9000], ax; pause; jmp
    for at, byte in enumerate(bytes.fromhex("66B801000000 0FA2 66891E0490 8CC8 A30090 F390 EBFC")):
        kernel.mov("rcx", page * 0x1000 + at).raw(f"C601{byte:02X}")  # mov byte [rcx], byte
    return kernel


@pytest.mark.parametrize("page", [0x08, 0x7F])
def test_a_plain_vm_s_other_vcpu_begins_in_real_mode_where_the_start_up_message_says(page: int) -> None:
    kernel = place_real_mode_code(Kernel().write_msr(SPURIOUS, 0x1FF), page)
    kernel.write_msr(COMMAND, TO_THE_SECOND | INIT).write_msr(COMMAND, TO_THE_SECOND | START_UP | page)
    kernel.write_msr(COMMAND, TO_THE_SECOND | START_UP | page).mov("rbp", MARK).label("wait").raw("F390")
    kernel.load("rax", "rbp").raw("25FFFF0000 4885C0 0F84")._to("wait")  # and eax, 0xffff; test; jz
    ran = powered_off(
        kernel.keep("rax", "code segment").load("rax", "rbp", 4).keep("rax", "identity").power_off(), PLAIN
    )
    assert ran.cells["code segment"] == page << 8
    assert ran.cells["identity"] >> 24 & 0xFF == 1
    assert ran.firmware.board.vcpus.running == 2


def test_a_td_s_other_vcpu_heeds_no_start_up_message() -> None:
    kernel = place_real_mode_code(Kernel(), 8).send_interrupt(TO_THE_SECOND | START_UP | 8)
    for _ in range(5):
        kernel.raw("F390")
    assert powered_off(kernel.power_off(), TWO).firmware.board.vcpus.running == 1


def test_two_runs_of_two_vcpus_end_at_the_same_virtual_time() -> None:
    def run() -> int:
        kernel = both(Kernel().wake(1, "second").read_time_stamp())
        kernel.read_time_stamp().keep("rax", "time")
        return powered_off(done(kernel), TWO).cells["time"]

    assert run() == run()
