"""What the journal says of guest code's calls."""

from __future__ import annotations

from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS
from tests.engine.assembler import SCRATCH, Program
from tests.engine.programs import run
from tests.engine.runs.test_program import UNACCEPTED, hello


def test_the_journal_names_guids_and_shows_strings() -> None:
    program = Program().copy("rcx", "rdi").lea("rdx", "guid").address("r8", "rsp", SCRATCH).boot("HandleProtocol")
    program.print("text").ret(0).data("guid", EFI_LOADED_IMAGE_PROTOCOL_GUID.bytes_le).text("text", "shown\r\n")
    records = {record.service: record for record in run(program.image()).firmware.machine.trace}
    assert records["HandleProtocol"].arguments["protocol"] == "EFI_LOADED_IMAGE_PROTOCOL_GUID"
    assert records["EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.OutputString"].arguments["string"] == "shown\r\n"


def test_a_pointer_that_nothing_can_be_read_at_stays_a_number() -> None:
    program = Program().mov("rcx", 0).mov("rdx", UNACCEPTED).mov("r8", 0).lea("r9", "room")
    program.stack_argument(4, 0).boot("LocateHandle").ret(0).data("room", bytes(8))
    records = {record.service: record for record in run(program.image()).firmware.machine.trace}
    assert records["LocateHandle"].arguments["protocol"] == UNACCEPTED


def test_polls_in_a_row_are_one_record_with_a_count() -> None:
    program = Program()
    for _ in range(5):
        program.mov("rcx", 1).boot("Stall")
    ran = run(program.ret(0).image())
    stalls = [record for record in ran.firmware.machine.trace if record.service == "Stall"]
    assert [record.results["times"] for record in stalls] == [5]
    assert stalls[0].status is SUCCESS
    assert run(hello()).calls.count("EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.OutputString") == 1
