"""What an operating system finds after ExitBootServices, tried with one of a screenful that is assembled here."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest

from tdvfsh.dxe.time import START_SECONDS
from tdvfsh.engine.errors import GuestDead, GuestFatal, GuestReset
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID
from tdvfsh.uefi.service_names import RUNTIME_SERVICES
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.operating_system import (
    BASE,
    DOUBLE_FAULT_STACK,
    KERNEL_CODE,
    KERNEL_DATA,
    KERNEL_STACK,
    PAGE_FAULT,
    PRESENT_WRITABLE,
    ROOM,
    SPURIOUS,
    TIMER,
    TIMER_VECTOR,
    TSC_DEADLINE,
    USER_CODE,
    USER_DATA,
    USER_STACK,
    VIRTUAL_TABLES,
    VMCALL_FATAL,
    VMCALL_HLT,
    VMCALL_IO,
    VMCALL_QUOTE,
    VMCALL_RDMSR,
    Kernel,
)
from tests.engine.system_run import powered_off, run_system, stopped

PLAIN = TdOptions(td=False)
UNACCEPTED = 0x40000000  # beyond the 512 MiB that are accepted at boot
PAGE = 0x14000000  # an accepted page that is not used
IO_APIC = 0xFEC00000
PRESENT = 1
USER = 4
INTEL_TDX = (0x65746E49, 0x5844546C, 0x20202020)  # "Intel TDX   " in EBX, EDX, ECX
TD_INVALID = 1 << 63


# ---- console, CPUID, #VE ---------------------------------------------------------------------------------------------


def test_out_sends_each_byte_to_the_serial_port_in_order() -> None:
    ran = powered_off(Kernel().say("up and running\n").power_off(), PLAIN)
    assert ran.console == "up and running\n"
    assert ran.counts["OUT"] == len("up and running\n") + 1


def test_the_hypercall_for_i_o_reaches_the_same_serial_port_without_any_instruction_of_i_o() -> None:
    kernel = Kernel()
    for byte in b"ok":
        kernel.vmcall(VMCALL_IO, r12=1, r13=1, r14=0x3F8, r15=byte)
    kernel.vmcall(VMCALL_IO, r12=1, r13=0, r14=0x3FD).keep("r11", "line status").power_off()
    ran = powered_off(kernel)
    assert ran.console == "ok"
    assert ran.cells["line status"] & 0x60 == 0x60


def test_cpuid_leaf_0x21_names_tdx_and_raises_nothing() -> None:
    kernel = Kernel().cpuid(0x21).keep("rbx", "b").keep("rdx", "d").keep("rcx", "c").power_off()
    ran = powered_off(kernel)
    assert (ran.cells["b"], ran.cells["d"], ran.cells["c"]) == INTEL_TDX
    assert "#VE" not in ran.counts


def test_cpuid_of_the_hypervisor_s_leaves_is_a_virtualization_exception_with_reason_and_length() -> None:
    kernel = Kernel().cpuid(0x40000000).say("on").power_off()
    ran = powered_off(kernel.handle_virtualization("reason", "qualification", "linear", "physical", "length"))
    assert ran.cells["VEINFO status"] == SUCCESS
    assert ran.cells["reason"] == 10
    assert ran.cells["length"] == 2
    assert ran.cells["physical"] == 0
    assert ran.console == "on"


def test_asking_for_a_virtualization_exception_that_never_was_is_refused() -> None:
    ran = powered_off(Kernel().tdcall(3).keep("rax", "status").power_off())
    assert ran.cells["status"] == 0xC000070400000000


def test_cpuid_in_user_space_goes_through_the_kernel_s_handler_and_back() -> None:
    kernel = Kernel().gate(13, "#GP").enter_user("user")
    kernel.label("user").cpuid(0x40000000).label("privileged").hlt()
    kernel.label("#GP").keep_frame("error", "instruction", "code segment").power_off()
    ran = powered_off(kernel.handle_virtualization("reason"))
    assert ran.cells["reason"] == 10
    assert ran.cells["instruction"] == kernel.place("privileged")
    assert ran.cells["code segment"] == USER_CODE


def test_a_second_virtualization_exception_before_the_first_is_asked_about_is_a_double_fault() -> None:
    kernel = Kernel().cpuid(0x40000000).spin()
    kernel.label("#VE").gate(20, "#VE").cpuid(0x40000000).spin()
    kernel.label("#DF").gate(8, "#DF", stack=1).keep("rsp", "stack").keep_frame("error", "instruction").power_off()
    ran = powered_off(kernel)
    assert ran.cells["error"] == 0
    assert ran.cells["stack"] == DOUBLE_FAULT_STACK - 6 * 8
    assert ran.counts["#VE"] == 1


@pytest.mark.parametrize("msr", [0x802, 0x12345])
def test_a_register_of_the_vmm_s_is_a_virtualization_exception_to_read(msr: int) -> None:
    kernel = Kernel().mov("rcx", msr).raw("0F32").power_off().handle_virtualization("reason")
    assert powered_off(kernel).cells["reason"] == 31


def test_the_vmm_refuses_registers_that_do_not_exist_and_quotes() -> None:
    kernel = Kernel().vmcall(VMCALL_RDMSR, r12=0x12345).keep("r10", "none").vmcall(VMCALL_RDMSR, r12=0x802)
    kernel.keep("r10", "identifier").vmcall(VMCALL_QUOTE).keep("r10", "quote").power_off()
    ran = powered_off(kernel)
    assert ran.cells["none"] == ran.cells["quote"] == TD_INVALID
    assert ran.cells["identifier"] == SUCCESS


def test_a_td_halts_by_its_vmm_and_not_by_itself() -> None:
    kernel = Kernel().hlt().power_off().handle_virtualization("reason", "q", "linear", "physical", "length")
    ran = powered_off(kernel)
    assert ran.cells["reason"] == 12
    assert ran.cells["length"] == 1


# ---- time and interrupts ---------------------------------------------------------------------------------------------


def test_a_halted_td_wakes_at_its_deadline_and_takes_the_interrupt_where_it_lets_it() -> None:
    kernel = Kernel().arm_timer(1_000_000).vmcall(VMCALL_HLT, r12=0).keep("r10", "status")
    kernel.read_time_stamp().keep("rax", "woken").fetch("rax", "ticks").keep("rax", "too early")
    kernel.label("window").sti().label("behind").fetch("rax", "ticks").keep("rax", "in time").power_off()
    ran = powered_off(kernel.handle_timer())
    assert ran.cells["status"] == SUCCESS
    assert 0 <= ran.cells["woken"] - ran.cells["deadline"] < 10_000
    assert ran.cells["too early"] == 0
    assert ran.cells["in time"] == 1
    assert kernel.place("window") < ran.cells["came from"] <= kernel.place("behind")
    assert ran.counts["interrupts"] == 1


def test_an_idle_loop_takes_each_interrupt_at_the_same_place() -> None:
    kernel = Kernel().label("round").arm_timer(100_000).vmcall(VMCALL_HLT, r12=0).sti().raw("FA")
    kernel.fetch("rax", "ticks").raw("4883F805").jump_if_below("round")  # cmp rax, 5
    ran = powered_off(kernel.power_off().handle_timer())
    assert ran.cells["ticks"] == 5
    assert ran.counts["interrupts"] == 5


def test_an_interrupt_waits_as_long_as_the_interrupt_flag_is_clear() -> None:
    kernel = Kernel().arm_timer(5_000).label("wait").read_time_stamp().fetch("rbx", "deadline")
    kernel.raw("4839D8").jump_if_below("wait")  # cmp rax, rbx
    kernel.cpuid(0x21).fetch("rax", "ticks").keep("rax", "with IF clear").raw("FB").label("read again")
    kernel.read_time_stamp().fetch("rax", "ticks").jump_if_zero("read again").power_off()
    ran = powered_off(kernel.handle_timer())
    assert ran.cells["with IF clear"] == 0
    assert ran.cells["ticks"] == 1
    assert ran.cells["now"] > ran.cells["deadline"]


def test_the_timer_interrupts_user_space_through_the_kernel_s_stack() -> None:
    kernel = Kernel().gate(13, "#GP").arm_timer(100_000).enter_user("user", flags=0x202)
    kernel.label("user").read_time_stamp().fetch("rax", "ticks").jump_if_zero("user").label("end").hlt()
    kernel.label("#GP").keep_frame("error", "instruction").power_off().handle_timer()
    ran = powered_off(kernel)
    assert ran.cells["ticks"] == 1
    assert kernel.place("user") < ran.cells["came from"] < kernel.place("end")
    assert ran.cells["stack"] == KERNEL_STACK - 5 * 8
    assert ran.cells["instruction"] == kernel.place("end")


def test_waiting_with_no_timer_armed_ends_the_run() -> None:
    ran = run_system(Kernel().vmcall(VMCALL_HLT).power_off())
    assert isinstance(ran.error, GuestDead)
    assert ran.ending == "dead"


# ---- exceptions and user space ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "writes", "error"),
    [
        (0, False, 4),
        (0, True, 6),
        (BASE | PRESENT_WRITABLE, False, 5),
        (BASE | PRESENT | USER, True, 7),
    ],
)
def test_a_page_fault_of_user_space_has_its_error_code_and_the_stack_of_the_task_state(
    entry: int, writes: bool, error: int
) -> None:
    kernel = Kernel().enter_user("user")
    address = kernel.page(5, entry)
    kernel.label("user").mov("rcx", address).label("touch")
    (kernel.store("rcx", 8, "rax") if writes else kernel.load("rax", "rcx", 8)).spin()
    kernel.label("#PF").gate(PAGE_FAULT, "#PF").keep("rsp", "stack").raw("0F20D3").keep("rbx", "CR2")
    ran = powered_off(kernel.keep_frame("error", "instruction", "cs", "flags", "rsp", "ss").power_off())
    assert ran.cells["error"] == error
    assert ran.cells["CR2"] == address + 8
    assert ran.cells["instruction"] == kernel.place("touch")
    assert (ran.cells["cs"], ran.cells["ss"]) == (USER_CODE, USER_DATA)
    assert ran.cells["rsp"] == USER_STACK
    assert ran.cells["stack"] == KERNEL_STACK - 6 * 8


def test_a_page_that_the_fault_s_handler_maps_can_be_used_on_return() -> None:
    kernel = Kernel()
    address = kernel.page(7, 0)
    kernel.mov("rcx", address).mov("rax", 0x77).store("rcx", 0, "rax").load("rbx", "rcx").keep("rbx", "read")
    kernel.power_off().label("#PF").gate(PAGE_FAULT, "#PF").raw("50").mov("rax", PAGE | PRESENT_WRITABLE)
    kernel.mov("rdx", kernel.entry_of(address)).store("rdx", 0, "rax").raw("58 4883C408").iretq()  # pop, drop the code
    ran = powered_off(kernel)
    assert ran.cells["read"] == 0x77
    assert bytes(ran.firmware.ram.view[PAGE : PAGE + 8]) == struct.pack("<Q", 0x77)


def test_a_division_by_zero_pushes_no_error_code() -> None:
    kernel = Kernel().raw("31C9 31D2").label("divide").raw("48F7F1").spin()  # xor ecx, ecx; xor edx, edx; div rcx
    kernel.label("#DE").gate(0, "#DE").keep_frame("instruction", "cs").power_off()
    ran = powered_off(kernel)
    assert ran.cells["instruction"] == kernel.place("divide")
    assert ran.cells["cs"] == KERNEL_CODE


@pytest.mark.parametrize("code", ["F4", "FA", "0F20D8", "B9820000C0 0F30"], ids=["hlt", "cli", "mov cr3", "wrmsr"])
def test_privileged_instructions_of_user_space_are_general_protection_faults(code: str) -> None:
    kernel = Kernel().enter_user("user").label("user").raw(code).spin()
    kernel.label("#GP").gate(13, "#GP").keep_frame("error", "instruction", "cs").power_off()
    ran = powered_off(kernel)
    assert ran.cells["error"] == 0
    assert ran.cells["cs"] == USER_CODE


def test_an_exception_that_nobody_handles_ends_the_run_and_is_named() -> None:
    kernel = Kernel().label("undefined").raw("0F0B").spin()
    ran = run_system(kernel)
    assert "#UD" in str(ran.error)
    assert stopped(ran).violation.instruction_pointer == kernel.place("undefined")


def test_a_system_call_enters_the_kernel_and_sysret_leaves_it_with_flags_and_selectors() -> None:
    kernel = Kernel().enable_system_calls("entry", flag_mask=0x200).gate(13, "#GP").enter_user("user", flags=0x202)
    kernel.label("entry").keep("rcx", "return address").keep("r11", "flags").raw("9C 5B").keep("rbx", "masked flags")
    kernel.raw("8CCB").keep("rbx", "cs").raw("8CD3").keep("rbx", "ss").keep("rsp", "rsp").mov("rax", 0x5CA11)
    kernel.raw("480F07")  # sysretq
    kernel.label("user").raw("0F05").label("back").keep("rax", "answer").raw("8CCB").keep("rbx", "user cs")
    kernel.raw("8CD3").keep("rbx", "user ss").raw("9C 5B").keep("rbx", "user flags").label("end").hlt()
    kernel.label("#GP").keep_frame("error", "instruction").power_off()
    ran = powered_off(kernel)
    assert ran.cells["return address"] == kernel.place("back")
    assert ran.cells["flags"] & 0x200
    assert not ran.cells["masked flags"] & 0x200
    assert (ran.cells["cs"], ran.cells["ss"]) == (KERNEL_CODE, KERNEL_DATA)
    assert ran.cells["rsp"] == USER_STACK
    assert ran.cells["answer"] == 0x5CA11
    assert (ran.cells["user cs"], ran.cells["user ss"]) == (USER_CODE, USER_DATA)
    assert ran.cells["user flags"] & 0x200
    assert ran.cells["instruction"] == kernel.place("end")


@pytest.mark.parametrize("user", [False, True])
def test_an_exit_after_a_breakpoint_goes_on_where_it_was(user: bool) -> None:
    kernel = Kernel().gate(13, "#GP")
    if user:
        kernel.enter_user("here").label("here")
    kernel.raw("CC").label("behind").cpuid(0x40000000).cpuid(0x21).keep("rbx", "TDX").mov("rax", 0).raw("CC")
    kernel.label("end").jump("finish").label("#BP").gate(3, "#BP").raw("53").fetch("rbx", "breakpoints")
    kernel.raw("48FFC3").keep("rbx", "breakpoints").load("rbx", "rsp", 8).keep("rbx", "instruction").raw("5B").iretq()
    kernel.label("finish").raw("0F0B").label("#UD").gate(6, "#UD").label("#GP").power_off()
    ran = powered_off(kernel.handle_virtualization("reason"))
    assert ran.cells["breakpoints"] == 2
    assert ran.cells["instruction"] == kernel.place("end")
    assert ran.cells["TDX"] == INTEL_TDX[0]
    assert ran.counts["#VE"] == 1


def test_a_kernel_that_sets_the_trap_flag_gets_its_debug_exception_behind_the_next_instruction() -> None:
    kernel = Kernel().raw("9C 810C2400010000 9D").label("popped").raw("90").label("behind").spin()  # or [rsp], TF
    ran = powered_off(kernel.label("#DB").gate(1, "#DB").keep_frame("instruction").power_off())
    assert ran.cells["instruction"] == kernel.place("behind")


def test_rdrand_gives_the_same_numbers_in_every_run_and_sets_the_carry_flag() -> None:
    def numbers() -> dict[str, int]:
        kernel = Kernel().raw("F8 480FC7F0").keep("rax", "first").raw("9C 5B").keep("rbx", "flags")
        kernel.raw("490FC7F6").keep("r14", "second").mov("rcx", (1 << 64) - 1).raw("0FC7F1").keep("rcx", "short")
        ran = powered_off(kernel.power_off())
        return {name: ran.cells[name] for name in ("first", "second", "short", "flags")}

    once = numbers()
    assert once == numbers()
    assert once["flags"] & 1
    assert once["first"] != once["second"]
    assert once["short"] >> 32 == 0


# ---- runtime services and the end ------------------------------------------------------------------------------------


def test_runtime_services_work_by_their_virtual_addresses_when_the_others_are_gone() -> None:
    kernel = Kernel().virtual_address_map().switch_tables(VIRTUAL_TABLES)
    kernel.mov("rcx", ROOM).mov("rdx", 0).call_runtime("GetTime").keep("rax", "GetTime")
    kernel.mov("rcx", ROOM).load("rax", "rcx").keep("rax", "date")
    kernel.mov("rax", 64).mov("r9", ROOM + 0x100).store("r9", 0, "rax").mov("rax", ROOM + 0x200).raw("4883EC30")
    kernel.store("rsp", 32, "rax").lea("rcx", "name").lea("rdx", "vendor").mov("r8", 0)
    kernel.call_at("rbp", 24 + 8 * RUNTIME_SERVICES.index("GetVariable")).raw("4883C430").keep("rax", "GetVariable")
    kernel.mov("rcx", ROOM + 0x100).load("rax", "rcx").keep("rax", "size")
    kernel.mov("rcx", ROOM + 0x200).load("rax", "rcx").keep("rax", "value")
    kernel.fetch("rcx", "runtime services").label("gone").load("rax", "rcx").spin()
    kernel.text("name", "PlatformLang").data("vendor", EFI_GLOBAL_VARIABLE_GUID.bytes_le)
    kernel.label("#PF").gate(PAGE_FAULT, "#PF").keep_frame("error", "instruction").power_off()
    ran = powered_off(kernel)
    assert ran.cells["SetVirtualAddressMap"] == ran.cells["GetTime"] == ran.cells["GetVariable"] == SUCCESS
    year, month, day, hour, minute = struct.unpack_from("<HBBBB", ran.cells["date"].to_bytes(8, "little"))
    start = datetime.fromtimestamp(START_SECONDS, UTC)
    assert (year, month, day, hour, minute) == (start.year, start.month, start.day, start.hour, start.minute)
    assert ran.cells["value"].to_bytes(8, "little")[: ran.cells["size"]].startswith(b"en")
    assert ran.cells["instruction"] == kernel.place("gone")


def test_virtual_addresses_are_set_once() -> None:
    kernel = Kernel().virtual_address_map().switch_tables(VIRTUAL_TABLES).fetch("rcx", "map size")
    kernel.fetch("rdx", "descriptor size").mov("r8", 1).mov("r9", ROOM).call_runtime("SetVirtualAddressMap")
    ran = powered_off(kernel.keep("rax", "again").power_off())
    assert ran.cells["again"] == EfiStatus.EFI_UNSUPPORTED


@pytest.mark.parametrize(("kind", "ending"), [(0, "reset"), (1, "reset"), (2, "power off")])
def test_reset_system_ends_the_run_in_its_way(kind: int, ending: str) -> None:
    kernel = Kernel().fetch("rbp", "runtime services").mov("rcx", kind).mov("rdx", 0).mov("r8", 0).mov("r9", 0)
    assert run_system(kernel.call_runtime("ResetSystem").spin()).ending == ending


def test_the_reset_register_ends_the_run() -> None:
    ran = run_system(Kernel().say("bye").out(0xCF9, 6).spin())
    assert isinstance(ran.error, GuestReset)
    assert ran.ending == "reset"
    assert ran.console == "bye"


@pytest.mark.parametrize("behind", ["0F0B", "0FA2", "48A10000004000000000"], ids=["ud2", "cpuid", "unaccepted"])
def test_what_stands_behind_the_power_off_changes_nothing(behind: str) -> None:
    ran = run_system(Kernel().out(0x604, 1 << 13, 2).raw(behind).spin())
    assert ran.ending == "power off"


def test_a_fatal_error_is_told_with_its_code_and_text() -> None:
    text = b"no memory left".ljust(24, b"\0")
    first, second, third = struct.unpack("<3Q", text)
    ran = run_system(Kernel().vmcall(VMCALL_FATAL, r12=7, r14=first, r15=second, rbx=third).spin())
    assert isinstance(ran.error, GuestFatal)
    assert ran.ending == "fatal error"
    assert str(ran.error) == "the guest reported a fatal error, 0x7: no memory left"


# ---- a plain VM ------------------------------------------------------------------------------------------------------


def test_a_plain_vm_has_no_tdx_leaf_and_its_hypervisor_s_leaves_raise_nothing() -> None:
    kernel = Kernel().cpuid(0).keep("rax", "highest").cpuid(0x21).keep("rbx", "b").cpuid(0x40000000).keep("rbx", "kvm")
    ran = powered_off(kernel.power_off(), PLAIN)
    assert ran.cells["highest"] < 0x21
    assert ran.cells["b"] != INTEL_TDX[0]
    assert ran.cells["kvm"].to_bytes(4, "little") == b"KVMK"
    assert "#VE" not in ran.counts


def test_a_plain_vm_reaches_the_io_apic_by_memory() -> None:
    kernel = Kernel().mov("rcx", IO_APIC).raw("C70101000000 8B4110").keep("rax", "version").power_off()
    ran = powered_off(kernel, PLAIN)  # mov dword [rcx], 1; mov eax, [rcx+16]
    assert ran.cells["version"] == 0x170020


def test_tdcalls_are_counted_by_the_names_of_their_leaves() -> None:
    ran = powered_off(Kernel().tdcall(1).tdcall(7, rdx=0).tdcall(8, rdx=0).tdcall(8, rdx=0).tdcall(99).power_off())
    assert [ran.counts[name] for name in ("TDINFO", "TDG.VM.RD", "TDG.VM.WR", "TDCALL 99")] == [1, 1, 2, 1]


def test_tdcall_is_undefined_in_a_plain_vm() -> None:
    ran = run_system(Kernel().tdcall(1).spin(), PLAIN)
    assert "#UD" in str(ran.error)


def test_a_plain_vm_halts_by_itself_until_its_timer() -> None:
    kernel = Kernel().write_msr(SPURIOUS, 0x1FF).write_msr(TIMER, TIMER_VECTOR | 2 << 17).read_time_stamp()
    kernel.raw("4805").word(1_000_000).keep("rax", "deadline").copy("rdx", "rax").raw("48C1EA20")  # add; shr rdx, 32
    kernel.mov("rcx", TSC_DEADLINE).raw("0F30").sti().hlt().label("woken").fetch("rax", "ticks").keep("rax", "then")
    ran = powered_off(kernel.power_off().handle_timer(), PLAIN)
    assert ran.cells["then"] == 1
    assert ran.cells["came from"] == kernel.place("woken")
    assert ran.cells["now"] >= ran.cells["deadline"]


def test_a_plain_vm_has_all_its_memory_from_the_start() -> None:
    kernel = Kernel().mov("rcx", UNACCEPTED).mov("rax", 9).store("rcx", 0, "rax").load("rbx", "rcx").keep("rbx", "read")
    assert powered_off(kernel.power_off(), PLAIN).cells["read"] == 9
