"""Memory as an operating system of a screenful finds it: to accept, to share, and with devices after it."""

from __future__ import annotations

import pytest

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.uefi.tdx import TdcallStatus, completion_code
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SIZE
from tests.engine.operating_system import ACCEPT, PRESENT_WRITABLE, VMCALL_MAP_GPA, VMCALL_MMIO, Kernel
from tests.engine.system_run import powered_off, run_system, stopped

UNACCEPTED = 0x40000000  # beyond the 512 MiB that are accepted at boot
PAGE = 0x14000000  # an accepted page that is not used
SHARED = 1 << 47
IO_APIC = 0xFEC00000
CONVERSION_LOST = 0
TD_INVALID = 1 << 63


# ---- accepting memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "size"), [(0, PAGE_SIZE), (1, LARGE_PAGE_SIZE)])
def test_an_accepted_page_is_empty_and_holds_what_is_written_up_to_its_end(level: int, size: int) -> None:
    kernel = Kernel().tdcall(ACCEPT, rcx=UNACCEPTED | level).keep("rax", "status").mov("rcx", UNACCEPTED + size - 8)
    kernel.load("rax", "rcx").keep("rax", "before").mov("rax", 0x1122334455667788).store("rcx", 0, "rax")
    kernel.load("rbx", "rcx").keep("rbx", "after").power_off()
    ran = powered_off(kernel)
    assert ran.cells["status"] == SUCCESS
    assert ran.cells["before"] == 0
    assert ran.cells["after"] == 0x1122334455667788
    (tally,) = ran.firmware.board.page_accepts.tallies.values()
    assert (tally.pages_4k, tally.pages_2m) == ((1, 0) if size == PAGE_SIZE else (0, 1))
    assert tally.accepted_bytes == size


@pytest.mark.parametrize(("level", "size"), [(0, PAGE_SIZE), (1, LARGE_PAGE_SIZE)])
def test_the_first_byte_behind_an_accepted_page_stops_the_run(level: int, size: int) -> None:
    kernel = Kernel().tdcall(ACCEPT, rcx=UNACCEPTED | level).mov("rcx", UNACCEPTED + size).label("touch")
    ran = run_system(kernel.load("rax", "rcx").power_off())
    assert stopped(ran).violation.address == UNACCEPTED + size
    assert stopped(ran).violation.instruction_pointer == kernel.place("touch")


@pytest.mark.parametrize("access", ["read", "write", "fetch"])
def test_touching_an_unaccepted_page_stops_the_run_and_says_where(access: str) -> None:
    kernel = Kernel().say("before\n").mov("rcx", UNACCEPTED + 0x1238).label("touch")
    touches = {"read": lambda: kernel.load("rax", "rcx"), "write": lambda: kernel.store("rcx", 0, "rax")}
    touches.get(access, lambda: kernel.raw("FFE1"))()  # jmp rcx
    ran = run_system(kernel.say("after\n").power_off())
    violation = stopped(ran).violation
    assert ran.ending == "violation"
    assert violation.address == UNACCEPTED + 0x1238
    assert violation.access == access
    assert violation.page_state == "PENDING (2M)"  # the VMM has added it, and it was not accepted
    assert violation.instruction_pointer == (UNACCEPTED + 0x1238 if access == "fetch" else kernel.place("touch"))
    assert ran.console == "before\n"


def test_a_page_is_accepted_once_and_the_second_time_is_told_so() -> None:
    kernel = Kernel().tdcall(ACCEPT, rcx=UNACCEPTED | 1).mov("rcx", UNACCEPTED).mov("rax", 7).store("rcx", 0, "rax")
    kernel.tdcall(ACCEPT, rcx=UNACCEPTED | 1).keep("rax", "again").mov("rcx", UNACCEPTED).load("rax", "rcx")
    ran = powered_off(kernel.keep("rax", "kept").power_off())
    assert completion_code(ran.cells["again"]) == TdcallStatus.PAGE_ALREADY_ACCEPTED
    assert ran.cells["kept"] == 7
    assert sum(tally.accepted_bytes for tally in ran.firmware.board.page_accepts.tallies.values()) == LARGE_PAGE_SIZE


@pytest.mark.parametrize("dropped", [1, 2])
def test_an_accept_that_was_dropped_is_found_at_that_page_and_no_other(dropped: int) -> None:
    kernel = Kernel()
    for number in range(3):
        kernel.tdcall(ACCEPT, rcx=UNACCEPTED + number * LARGE_PAGE_SIZE | 1).keep("rax", f"status {number}")
    for number in range(3):
        kernel.say(f"{number}").mov("rcx", UNACCEPTED + number * LARGE_PAGE_SIZE).load("rax", "rcx")
    ran = run_system(kernel.power_off(), prepare=lambda firmware: setattr(firmware.board.page_accepts, "drop", dropped))
    assert [ran.cells[f"status {number}"] for number in range(3)] == [SUCCESS] * 3
    assert stopped(ran).violation.address == UNACCEPTED + (dropped - 1) * LARGE_PAGE_SIZE
    assert ran.console == "012"[:dropped]


def test_pages_of_the_host_that_are_small_refuse_the_large_accept_and_take_the_small_ones() -> None:
    kernel = Kernel().tdcall(ACCEPT, rcx=UNACCEPTED | 1).keep("rax", "large")
    kernel.tdcall(ACCEPT, rcx=UNACCEPTED).keep("rax", "small").power_off()
    ran = powered_off(kernel, TdOptions(host_page_size=PAGE_SIZE))
    assert completion_code(ran.cells["large"]) == TdcallStatus.PAGE_SIZE_MISMATCH
    assert ran.cells["small"] == SUCCESS


# ---- shared memory ---------------------------------------------------------------------------------------------------


def sharing() -> tuple[Kernel, int]:
    """A system that wrote to a page and then shared it, and the page's shared mapping."""
    kernel = Kernel()
    window = kernel.page(1, PAGE | SHARED | PRESENT_WRITABLE)
    kernel.mov("rcx", PAGE).mov("rax", 0x1111).store("rcx", 0, "rax")
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE | SHARED, r13=PAGE_SIZE).keep("r10", "shared")
    return kernel, window


def test_a_page_that_becomes_shared_loses_its_contents_and_is_used_through_the_shared_bit() -> None:
    kernel, window = sharing()
    kernel.mov("rcx", window).load("rax", "rcx").keep("rax", "first").mov("rax", 0x2222).store("rcx", 0, "rax")
    kernel.cpuid(0x21).mov("rcx", window).load("rax", "rcx").keep("rax", "again").power_off()
    ran = powered_off(kernel)
    assert ran.cells["shared"] == SUCCESS
    assert ran.cells["first"] == CONVERSION_LOST
    assert ran.cells["again"] == 0x2222
    assert ran.firmware.td.shared_bytes == PAGE_SIZE
    assert "implicit conversions" not in ran.counts


def test_in_a_td_of_52_address_bits_the_shared_bit_is_the_highest_of_them() -> None:
    kernel, bit = Kernel(), 1 << 51
    window = kernel.page(1, PAGE | bit | PRESENT_WRITABLE)
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE | bit, r13=PAGE_SIZE).mov("rcx", window).mov("rax", 0x2222)
    kernel.store("rcx", 0, "rax").load("rbx", "rcx").keep("rbx", "read").power_off()
    ran = powered_off(kernel, TdOptions(gpaw=52))
    assert ran.cells["read"] == 0x2222
    assert ran.firmware.td.shared_bytes == PAGE_SIZE


def test_the_vmm_converts_2_mib_and_every_page_of_them_is_shared() -> None:
    kernel = Kernel()
    last = PAGE + LARGE_PAGE_SIZE - PAGE_SIZE
    window = kernel.page(1, last | SHARED | PRESENT_WRITABLE)
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE | SHARED, r13=LARGE_PAGE_SIZE).keep("r10", "status").mov("rcx", window)
    kernel.mov("rax", 9).store("rcx", 0xFF8, "rax").load("rbx", "rcx", 0xFF8).keep("rbx", "read").power_off()
    ran = powered_off(kernel)
    assert (ran.cells["status"], ran.cells["read"]) == (SUCCESS, 9)
    assert ran.firmware.td.shared_bytes == LARGE_PAGE_SIZE


def test_a_page_that_becomes_shared_is_gone_at_once_though_as_much_was_accepted_meanwhile() -> None:
    kernel = Kernel().mov("rcx", PAGE).store("rcx", 0, "rcx").tdcall(ACCEPT, rcx=UNACCEPTED)
    kernel.tdcall(ACCEPT, rcx=UNACCEPTED + PAGE_SIZE)  # PAGE counts twice: no longer accepted, and shared
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE | SHARED, r13=PAGE_SIZE).mov("rcx", PAGE).label("there").load("rax", "rcx")
    assert stopped(run_system(kernel.power_off())).violation.address == PAGE


def test_pages_that_are_accepted_one_by_one_are_each_there_when_they_are_touched() -> None:
    kernel, pages = Kernel(), [UNACCEPTED + number * PAGE_SIZE for number in (0, 1, 2, 9, 600, 3)]
    for page in pages:
        kernel.tdcall(ACCEPT, rcx=page)
        if page // PAGE_SIZE % 2:
            kernel.mov("rcx", page).store("rcx", 8, "rcx")
    for page in pages:
        kernel.mov("rcx", page).store("rcx", 16, "rcx")
    ran = powered_off(kernel.power_off())
    assert [ran.firmware.ram.u64(page + 16) for page in pages] == pages


def test_a_shared_page_cannot_be_touched_as_private() -> None:
    kernel, _ = sharing()
    ran = run_system(kernel.mov("rcx", PAGE).load("rax", "rcx").power_off())
    assert stopped(ran).violation.address == PAGE
    assert stopped(ran).violation.page_state == "shared"


def test_a_page_that_is_private_again_must_be_accepted_before_it_is_touched() -> None:
    kernel, window = sharing()
    kernel.mov("rcx", window).mov("rax", 0x2222).store("rcx", 0, "rax")
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE, r13=PAGE_SIZE).mov("rcx", PAGE).label("touch").load("rax", "rcx")
    ran = run_system(kernel.power_off())
    assert stopped(ran).violation.address == PAGE
    assert stopped(ran).violation.instruction_pointer == kernel.place("touch")


def test_a_page_that_is_private_and_accepted_again_is_empty() -> None:
    kernel, window = sharing()
    kernel.mov("rcx", window).mov("rax", 0x2222).store("rcx", 0, "rax")
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE, r13=PAGE_SIZE).tdcall(ACCEPT, rcx=PAGE).keep("rax", "accept")
    ran = powered_off(kernel.mov("rcx", PAGE).load("rax", "rcx").keep("rax", "private").power_off())
    assert ran.cells["accept"] == SUCCESS
    assert ran.cells["private"] == CONVERSION_LOST
    assert ran.firmware.td.shared_bytes == 0


def test_two_mappings_of_shared_pages_show_the_same_memory() -> None:
    kernel = Kernel()
    first = kernel.page(1, PAGE | SHARED | PRESENT_WRITABLE)
    second = kernel.page(2, PAGE + PAGE_SIZE | SHARED | PRESENT_WRITABLE)
    twin = kernel.page(3, PAGE | SHARED | PRESENT_WRITABLE)
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE | SHARED, r13=2 * PAGE_SIZE)
    kernel.mov("rcx", first).mov("rax", 0x5A).store("rcx", 0x10, "rax")
    kernel.mov("rsi", first).mov("rdi", second).mov("rcx", 512).raw("FC F348A5")  # cld; rep movsq
    kernel.mov("rcx", second).load("rax", "rcx", 0x10).keep("rax", "copied")
    ran = powered_off(kernel.mov("rcx", twin).load("rax", "rcx", 0x10).keep("rax", "twin").power_off())
    assert ran.cells["copied"] == ran.cells["twin"] == 0x5A


def test_a_private_page_touched_as_shared_is_converted_by_the_vmm_and_empty() -> None:
    kernel = Kernel()
    window = kernel.page(1, PAGE | SHARED | PRESENT_WRITABLE)
    kernel.mov("rcx", PAGE).mov("rax", 0x1111).store("rcx", 0, "rax").mov("rcx", window).load("rax", "rcx")
    kernel.keep("rax", "shared").mov("rcx", PAGE).load("rax", "rcx").power_off()
    ran = run_system(kernel)
    assert ran.cells["shared"] == CONVERSION_LOST
    assert ran.counts["implicit conversions"] == 1
    assert stopped(ran).violation.page_state == "shared"


def test_a_conversion_of_device_registers_to_private_is_refused() -> None:
    ran = powered_off(Kernel().vmcall(VMCALL_MAP_GPA, r12=IO_APIC, r13=PAGE_SIZE).keep("r10", "s").power_off())
    assert ran.cells["s"] == TD_INVALID


def a_page_at_once(firmware: GuestFirmware) -> None:
    firmware.td.max_map_gpa = PAGE_SIZE


def test_a_conversion_of_which_the_vmm_does_a_part_says_where_to_go_on() -> None:
    kernel = Kernel().vmcall(VMCALL_MAP_GPA, r12=PAGE | SHARED, r13=4 * PAGE_SIZE)
    ran = run_system(kernel.keep("r10", "status").keep("r11", "next").power_off(), prepare=a_page_at_once)
    assert ran.cells["status"] == 1
    assert ran.cells["next"] == PAGE + PAGE_SIZE | SHARED


# ---- devices in the address space ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("writes", "qualification"), [(False, 1), (True, 2)])
def test_the_io_apic_through_a_shared_mapping_is_a_virtualization_exception(writes: bool, qualification: int) -> None:
    kernel = Kernel()
    window = kernel.page(1, IO_APIC | SHARED | PRESENT_WRITABLE)
    kernel.mov("rcx", window)
    (kernel.store("rcx", 0x10, "rax") if writes else kernel.load("rax", "rcx", 0x10)).spin()
    names = ("reason", "qualification", "linear", "physical")
    kernel.handle_virtualization(*names, end=True)
    ran = powered_off(kernel)
    assert [ran.cells[name] for name in names] == [48, qualification, window + 0x10, IO_APIC + 0x10 | SHARED]


def test_the_vmm_reads_and_writes_the_io_apic_for_a_td() -> None:
    kernel = Kernel().vmcall(VMCALL_MMIO, r12=4, r13=1, r14=IO_APIC | SHARED, r15=1)
    kernel.vmcall(VMCALL_MMIO, r12=4, r13=0, r14=IO_APIC + 0x10 | SHARED).keep("r11", "version").power_off()
    assert powered_off(kernel).cells["version"] == 0x170020


def test_the_io_apic_through_a_private_mapping_stops_a_td() -> None:
    ran = run_system(Kernel().mov("rcx", IO_APIC).load("rax", "rcx").power_off())
    assert stopped(ran).violation.address == IO_APIC
    assert stopped(ran).violation.page_state == "no RAM"
