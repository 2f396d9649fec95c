"""Small EFI programs on the processor: what they call, what they see, where they are stopped."""

from __future__ import annotations

import pytest

from tdvfsh.engine.errors import GuestStopped
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.assembler import SCRATCH, Program
from tests.engine.programs import guest, load, run

UNACCEPTED = 0x40000000  # beyond the 512 MiB that are accepted at boot


def hello() -> bytes:
    return Program().print("greeting").ret(0).text("greeting", "Hello from the TD\r\n").image()


def test_a_program_prints_on_the_console_and_returns_its_status() -> None:
    ran = run(hello())
    assert ran.output == "Hello from the TD\n"
    assert ran.status is SUCCESS
    assert "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.OutputString" in ran.calls


def test_a_status_other_than_success_comes_back_from_start_image() -> None:
    assert run(Program().ret(EfiStatus.EFI_ABORTED).image()).status is EfiStatus.EFI_ABORTED


def test_allocated_pages_are_those_of_the_model_and_can_be_written() -> None:
    program = Program()
    program.mov("rcx", 0).mov("rdx", EfiMemoryType.EfiLoaderData).mov("r8", 4).address("r9", "rsp", SCRATCH)
    program.boot("AllocatePages").jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH).mov("rdx", 0x1122334455667788).store("rcx", 8, "rdx").mov("rax", 0)
    program.label("end").ret()
    with guest() as (firmware, _):
        status = firmware.services.start_image(load(firmware, program.image())).status
        record = next(
            record
            for record in firmware.machine.trace
            if record.service == "AllocatePages" and record.arguments["memory_type"] == "EfiLoaderData"
        )
        assert status is SUCCESS
        assert record.arguments["pages"] == 4
        address = record.results["memory"]
        assert isinstance(address, int)
        entry = firmware.core.memory_map.find(address)
        assert entry is not None
        assert entry.memory_type == EfiMemoryType.EfiLoaderData
        assert firmware.td.contents.read(address + 8, 8) == bytes.fromhex("8877665544332211")


def touch(address: int = UNACCEPTED) -> Program:
    return Program().mov("rcx", address).load("rax", "rcx")


def test_touching_a_page_that_is_not_accepted_stops_the_program_at_that_instruction() -> None:
    with pytest.raises(GuestStopped) as stopped:
        run(touch().ret(0).image())
    violation = stopped.value.violation
    assert violation.address == UNACCEPTED
    assert violation.access == "read"
    assert violation.instruction == "mov rax, qword ptr [rcx]" or violation.instruction.startswith("mov rax")
    assert violation.place.startswith("test.efi .text+0x")
    assert violation.page_state.startswith("PENDING")


def test_the_same_program_runs_on_after_accept_memory() -> None:
    program = Program().mov("rcx", UNACCEPTED).mov("rdx", 0x200000).boot("AcceptMemory").jump_if_error("end")
    program.mov("rcx", UNACCEPTED).load("rax", "rcx")
    ran = run(program.label("end").ret().image())
    assert ran.status is SUCCESS
    assert "TDG.MEM.PAGE.ACCEPT" in ran.calls


def test_the_page_behind_the_accepted_ones_still_stops_it() -> None:
    program = Program().mov("rcx", UNACCEPTED).mov("rdx", 0x200000).boot("AcceptMemory").jump_if_error("end")
    program.mov("rcx", UNACCEPTED + 0x200000).load("rax", "rcx").label("end")
    with pytest.raises(GuestStopped) as stopped:
        run(program.ret().image())
    assert stopped.value.violation.address == UNACCEPTED + 0x200000


def test_a_plain_vm_has_all_its_memory() -> None:
    assert run(touch().ret(0).image(), TdOptions(td=False)).status is SUCCESS


def test_a_null_pointer_stops_the_program_as_such() -> None:
    with pytest.raises(GuestStopped, match="NULL pointer"):
        run(touch(8).ret(0).image())


def test_a_pointer_to_unaccepted_memory_stops_the_service_that_is_given_it() -> None:
    program = Program().mov("rcx", 0).mov("rdx", 2).mov("r8", 1).mov("r9", UNACCEPTED).boot("AllocatePages")
    with pytest.raises(GuestStopped) as stopped:
        run(program.ret(0).image())
    assert stopped.value.violation.service == "AllocatePages"
    assert stopped.value.violation.place.startswith("test.efi .text+0x")


def test_accept_memory_stands_behind_create_event_ex_and_the_header_counts_it() -> None:
    with guest() as (firmware, _):
        table = firmware.tables.boot_services
        assert firmware.ram.read(table, 8) == b"BOOTSERV"
        assert firmware.ram.u32(table + 12) == 24 + 8 * 45
