"""Services that need more than a pointer: callbacks, nested images, events, variables, protocols."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.dxe.events import EVT_NOTIFY_SIGNAL, EVT_NOTIFY_WAIT, EVT_TIMER, TPL_CALLBACK
from tdvfsh.engine.errors import GuestIdle, GuestReset, GuestStopped, WatchdogExpired
from tdvfsh.engine.services import waiting
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID, EFI_GLOBAL_VARIABLE_GUID
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.assembler import SCRATCH, Program
from tests.engine.programs import guest, load, run

UNACCEPTED = 0x40000000
RUNTIME_SERVICES = 88  # in the system table
GET_VARIABLE = 24 + 8 * 6
RESET_SYSTEM = 24 + 8 * 10


def with_callback(program: Program) -> Program:
    """Adds ``notify``: it stores its context's address plus 1 at the context, so that the program can see it ran."""
    program.label("notify").raw("488D4201 488902 C3")  # lea rax, [rdx + 1]; mov [rdx], rax; ret
    return program.data("context", bytes(8))


def create_event(program: Program, kind: int) -> Program:
    program.mov("rcx", kind).mov("rdx", TPL_CALLBACK).lea("r8", "notify").lea("r9", "context")
    program.address("rax", "rsp", SCRATCH).stack_argument(4, "rax")
    return program.boot("CreateEvent").jump_if_error("end")


def check_context(program: Program) -> Program:
    """RAX = 0 if the callback ran."""
    program.lea("rcx", "context").load("rax", "rcx").raw("4829C8 48FFC8")  # sub rax, rcx; dec rax
    return program.label("end").ret()


def test_signalling_an_event_calls_its_notification_in_the_guest() -> None:
    program = create_event(Program(), EVT_NOTIFY_SIGNAL)
    program.load("rcx", "rsp", SCRATCH).boot("SignalEvent").jump_if_error("end")
    assert run(with_callback(check_context(program)).image()).status is SUCCESS


def test_a_notification_waits_while_the_priority_is_raised() -> None:
    program = create_event(Program(), EVT_NOTIFY_SIGNAL)
    program.mov("rcx", 16).boot("RaiseTPL")
    program.load("rcx", "rsp", SCRATCH).boot("SignalEvent").jump_if_error("end")
    program.lea("rcx", "context").load("rax", "rcx").jump_if_error("end")  # has not run yet
    program.mov("rcx", 4).boot("RestoreTPL")
    assert run(with_callback(check_context(program)).image()).status is SUCCESS


def test_a_timer_fires_while_the_program_stalls() -> None:
    program = create_event(Program(), EVT_TIMER | EVT_NOTIFY_SIGNAL)
    program.load("rcx", "rsp", SCRATCH).mov("rdx", 2).mov("r8", 10_000_000).boot("SetTimer").jump_if_error("end")
    program.mov("rcx", 2_000_000).boot("Stall").jump_if_error("end")
    ran = run(with_callback(check_context(program)).image())
    assert ran.status is SUCCESS
    assert ran.firmware.clock.waited_ns >= 2_000_000_000


def test_the_memory_map_change_group_reaches_the_guest() -> None:
    group = bytes.fromhex("26e9be782f69fd489edb01422ef0d7ab")
    program = Program().mov("rcx", EVT_NOTIFY_SIGNAL).mov("rdx", TPL_CALLBACK).lea("r8", "notify").lea("r9", "context")
    program.lea("rax", "group").stack_argument(4, "rax")
    program.address("rax", "rsp", SCRATCH).stack_argument(5, "rax")
    program.boot("CreateEventEx").jump_if_error("end")
    program.mov("rcx", 0).mov("rdx", EfiMemoryType.EfiLoaderData).mov("r8", 1).address("r9", "rsp", SCRATCH + 8)
    program.boot("AllocatePages").jump_if_error("end")
    image = with_callback(check_context(program)).data("group", group).image()
    assert run(image).status is SUCCESS


def test_waiting_for_a_timer_moves_the_virtual_clock_and_not_the_real_one() -> None:
    program = Program().mov("rcx", EVT_TIMER).mov("rdx", 0).mov("r8", 0).mov("r9", 0)
    program.address("rax", "rsp", SCRATCH).stack_argument(4, "rax").boot("CreateEvent").jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH).mov("rdx", 2).mov("r8", 36_000_000_000).boot("SetTimer").jump_if_error("end")
    program.mov("rcx", 1).address("rdx", "rsp", SCRATCH).address("r8", "rsp", SCRATCH + 8).boot("WaitForEvent")
    ran = run(program.label("end").ret().image())
    assert ran.status is SUCCESS
    assert ran.firmware.clock.now_ns >= 3600 * 1_000_000_000


def test_waiting_for_a_key_that_never_comes_ends_the_run() -> None:
    program = Program().load("rax", "rbx", 48).load("rax", "rax", 16)  # ConIn->WaitForKey
    program.store("rsp", SCRATCH, "rax")
    program.mov("rcx", 1).address("rdx", "rsp", SCRATCH).address("r8", "rsp", SCRATCH + 8).boot("WaitForEvent")
    image = program.ret().image()
    with pytest.raises(GuestIdle):
        run(image)
    assert run(image, keys="x").status is SUCCESS


def test_a_program_that_only_stalls_is_not_said_to_wait_for_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_IDLE_POLLS", 50)
    stalling = Program().label("again").mov("rcx", 10).boot("Stall").jump("again").image()
    with pytest.raises(GuestIdle, match="called Stall 50 times and done nothing else"):
        run(stalling)
    asking = Program().label("again").mov("rcx", 10).boot("Stall")
    asking.load("rax", "rbx", 48).load("rcx", "rax", 16).boot("CheckEvent").jump("again")  # ConIn->WaitForKey
    with pytest.raises(GuestIdle, match="waits for a key"):
        run(asking.image())


def test_a_program_that_halts_for_good_ends_the_run_and_one_that_a_timer_wakes_does_not() -> None:
    halting = Program().label("again").raw("F4").jump("again").image()
    with pytest.raises(GuestIdle, match="halted, and nothing wakes it"):
        run(halting, keys="keys that nobody reads")
    program = create_event(Program(), EVT_TIMER | EVT_NOTIFY_SIGNAL)
    program.load("rcx", "rsp", SCRATCH).mov("rdx", 2).mov("r8", 300_000_000).boot("SetTimer").jump_if_error("end")
    program.label("again").raw("F4").lea("rcx", "context").load("rax", "rcx").jump_if_success("again")
    assert run(with_callback(check_context(program)).image()).status is SUCCESS


def test_a_wait_event_is_asked_by_its_notification() -> None:
    program = create_event(Program(), EVT_NOTIFY_WAIT)
    program.load("rcx", "rsp", SCRATCH).boot("CheckEvent").mov("rcx", EfiStatus.EFI_NOT_READY).raw("4829C8")
    program.jump_if_error("end")
    assert run(with_callback(check_context(program)).image()).status is SUCCESS


def nested(child: bytes) -> Program:
    """Loads ``child`` from memory and starts it."""
    program = Program().mov("rcx", 0).copy("rdx", "rdi").mov("r8", 0).lea("r9", "child")
    program.stack_argument(4, len(child)).address("rax", "rsp", SCRATCH).stack_argument(5, "rax")
    program.boot("LoadImage").jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH).mov("rdx", 0).mov("r8", 0).boot("StartImage")
    return program.label("end").ret().data("child", child)


def test_exit_in_a_nested_image_ends_that_image_only_and_keeps_the_parent_s_registers() -> None:
    child = Program().copy("rbp", "rsi").mov("rbx", 0).copy("rcx", "rdi").mov("rdx", EfiStatus.EFI_ABORTED)
    child.mov("r8", 0).mov("r9", 0).mov("rdi", 0).call_at("rbp", 24 + 8 * 24)
    child_image = child.ret(0).image()
    parent = nested(child_image)
    with guest() as (firmware, _):
        status = firmware.services.start_image(load(firmware, parent.image(), "parent.efi")).status
        assert status is EfiStatus.EFI_ABORTED
        records = [record for record in firmware.machine.trace if record.service in ("StartImage", "Exit")]
        assert [record.service for record in records] == ["StartImage", "StartImage", "Exit"]
        assert [record.status for record in records] == [EfiStatus.EFI_ABORTED, EfiStatus.EFI_ABORTED, SUCCESS]


def test_a_child_s_violation_names_the_child() -> None:
    child = Program().mov("rcx", UNACCEPTED).load("rax", "rcx").ret(0).image()
    with pytest.raises(GuestStopped) as stopped:
        run(nested(child).image())
    assert stopped.value.violation.place.startswith("image 0x")
    assert any(place.startswith("test.efi .text+0x") for place in stopped.value.violation.call_stack)


def test_the_accept_protocol_lets_the_program_touch_memory_that_the_map_still_calls_unaccepted() -> None:
    program = Program().lea("rcx", "guid").mov("rdx", 0).address("r8", "rsp", SCRATCH).boot("LocateProtocol")
    program.jump_if_error("end").load("rcx", "rsp", SCRATCH).mov("rdx", UNACCEPTED).mov("r8", 0x200000)
    program.call_at("rcx", 0).jump_if_error("end").mov("rcx", UNACCEPTED).load("rax", "rcx")
    program.label("end").ret().data("guid", EDKII_MEMORY_ACCEPT_PROTOCOL_GUID.bytes_le)
    ran = run(program.image())
    assert ran.status is SUCCESS
    assert ran.firmware.services.unaccepted_bytes() == 4 * (1 << 30) - 512 * (1 << 20)


def test_a_virtualization_exception_goes_to_the_guest_s_handler_which_accepts() -> None:
    """SIDT, a gate for vector 20 whose handler calls AcceptMemory, the touch, and the same instruction again."""
    program = Program().raw("0F014C2440").load("rcx", "rsp", SCRATCH + 2)  # sidt [rsp + 0x40]; its base
    program.lea("rdx", "handler")
    program.raw("668991 40010000")  # mov [rcx + 0x140], dx
    program.raw("66C781 42010000 3800")  # selector 0x38
    program.raw("66C781 44010000 008E")  # present interrupt gate
    program.raw("48C1EA10 668991 46010000")  # offset 16..31
    program.raw("48C1EA10 8991 48010000")  # offset 32..63
    program.mov("rcx", UNACCEPTED).load("rax", "rcx").ret()
    program.label("handler").raw("50 51 52 4883EC28").mov("rcx", UNACCEPTED).mov("rdx", 0x200000).boot("AcceptMemory")
    program.raw("4883C428 5A 59 58 48CF")  # restore; iretq
    ran = run(program.image(), violation_ve=True)
    assert ran.status is SUCCESS
    assert ran.calls.count("TDG.MEM.PAGE.ACCEPT") == 1
    assert run(program.image(), TdOptions(sept_ve_disable=False)).status is SUCCESS


def test_without_a_handler_a_virtualization_exception_stops_the_program() -> None:
    with pytest.raises(GuestStopped, match="not accepted"):
        run(Program().mov("rcx", UNACCEPTED).load("rax", "rcx").ret(0).image(), violation_ve=True)


def test_an_undefined_instruction_stops_the_program_with_its_place() -> None:
    with pytest.raises(GuestStopped) as stopped:
        run(Program().raw("0F0B").ret(0).image())
    assert "#UD" in stopped.value.violation.what
    assert stopped.value.violation.instruction == "ud2"


def test_variables_of_the_firmware_can_be_read() -> None:
    program = Program().load("rax", "rbx", RUNTIME_SERVICES).store("rsp", SCRATCH + 0x20, "rax")
    program.mov("rax", 16).store("rsp", SCRATCH, "rax")
    program.lea("rcx", "name").lea("rdx", "guid").mov("r8", 0).address("r9", "rsp", SCRATCH)
    program.address("rax", "rsp", SCRATCH + 8).stack_argument(4, "rax")
    program.load("r10", "rsp", SCRATCH + 0x20).load("rax", "r10", GET_VARIABLE).raw("FFD0").jump_if_error("end")
    program.load("rax", "rsp", SCRATCH + 8).raw("25 FFFFFF00")  # the first three bytes
    program.label("end").ret().text("name", "PlatformLang").data("guid", EFI_GLOBAL_VARIABLE_GUID.bytes_le)
    with guest() as (firmware, _):
        firmware.services.start_image(load(firmware, program.image()))
        assert firmware.image_services.exit_code == int.from_bytes(b"en\0", "little")


def test_reset_system_ends_the_run() -> None:
    program = Program().load("rax", "rbx", RUNTIME_SERVICES).load("rax", "rax", RESET_SYSTEM)
    program.mov("rcx", 2).mov("rdx", 0).mov("r8", 0).mov("r9", 0).load("r10", "rbx", RUNTIME_SERVICES)
    program.load("rax", "r10", RESET_SYSTEM).raw("FFD0")
    with pytest.raises(GuestReset, match="shutdown"):
        run(program.ret(0).image())


def set_watchdog(program: Program, seconds: int) -> Program:
    return program.mov("rcx", seconds).mov("rdx", 0x10000).mov("r8", 0).mov("r9", 0).boot("SetWatchdogTimer")


def test_a_watchdog_that_nobody_stops_ends_the_run_at_its_virtual_time() -> None:
    with pytest.raises(WatchdogExpired, match="watchdog timer of 5 s ran out"):
        run(set_watchdog(Program(), 5).mov("rcx", 6_000_000).boot("Stall").ret(0).image())


def test_a_watchdog_that_is_stopped_or_not_reached_ends_nothing() -> None:
    stopped = set_watchdog(set_watchdog(Program(), 5), 0).mov("rcx", 6_000_000).boot("Stall").ret(0).image()
    assert run(stopped).status is SUCCESS
    assert run(set_watchdog(Program(), 7).mov("rcx", 6_000_000).boot("Stall").ret(0).image()).status is SUCCESS


def test_rubbish_above_a_32_bit_argument_does_not_matter() -> None:
    program = Program().mov("rcx", 0xDEADBEEF_00000000).mov("rdx", 0xCAFE_00000002).mov("r8", 1)
    program.address("r9", "rsp", SCRATCH).boot("AllocatePages")
    assert run(program.ret().image()).status is SUCCESS


def test_installing_several_protocols_takes_as_many_arguments_as_there_are() -> None:
    guids = [struct.pack("<QQ", number, number) for number in (1, 2, 3)]
    program = Program().mov("rax", 0).store("rsp", SCRATCH, "rax")
    program.address("rcx", "rsp", SCRATCH).lea("rdx", "g0").mov("r8", 0x111).lea("r9", "g1")
    program.stack_argument(4, 0x222).lea("rax", "g2").stack_argument(5, "rax").stack_argument(6, 0x333)
    program.stack_argument(7, 0).boot("InstallMultipleProtocolInterfaces").jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH).lea("rdx", "g2").address("r8", "rsp", SCRATCH + 8).boot("HandleProtocol")
    program.jump_if_error("end").load("rax", "rsp", SCRATCH + 8).label("end").ret()
    for number, data in enumerate(guids):
        program.data(f"g{number}", data)
    with guest() as (firmware, _):
        firmware.services.start_image(load(firmware, program.image()))
        assert firmware.image_services.exit_code == 0x333
