"""W^X on the processor: a write to code and a jump to data stop at the instruction, with names."""

from __future__ import annotations

import struct

import pytest

from tdvfsh.engine.errors import GuestStopped
from tdvfsh.machine import TdOptions
from tdvfsh.uefi.guids import EFI_MEMORY_ATTRIBUTE_PROTOCOL_GUID, EFI_MEMORY_ATTRIBUTES_TABLE_GUID
from tdvfsh.uefi.memory import EFI_MEMORY_RO, EFI_MEMORY_XP, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tests.engine.assembler import SCRATCH, Program, pe_image
from tests.engine.programs import Caller, guest, load, run

CODE = 0x60000020
NX_COMPAT = 0x100


def writes_to_itself() -> bytes:
    return pe_image(Program().lea("rcx", "here").label("here").store("rcx", 0, "rax").ret(0).code(), flags=CODE)


def jumps_to_pages(kind: EfiMemoryType, *, clear: bool = False) -> bytes:
    """Allocates a page, puts RET there, makes it executable where asked, and calls it."""
    program = Program().mov("rcx", 0).mov("rdx", kind).mov("r8", 1).address("r9", "rsp", SCRATCH)
    program.boot("AllocatePages").jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH).mov("rdx", 0xC3).store("rcx", 0, "rdx")
    if clear:
        program.lea("rcx", "guid").mov("rdx", 0).address("r8", "rsp", SCRATCH + 8).boot("LocateProtocol")
        program.jump_if_error("end").load("rcx", "rsp", SCRATCH + 8).load("rdx", "rsp", SCRATCH).mov("r8", 0x1000)
        program.mov("r9", EFI_MEMORY_XP).call_at("rcx", 16).jump_if_error("end")
    program.load("rax", "rsp", SCRATCH).raw("FFD0").mov("rax", 0).label("end").ret()
    program.data("guid", EFI_MEMORY_ATTRIBUTE_PROTOCOL_GUID.bytes_le)
    return pe_image(program.code(), flags=CODE, dll_characteristics=NX_COMPAT)


@pytest.mark.parametrize("protect", ["none", "ovmf"])
def test_without_protection_a_program_writes_to_its_code_and_runs_its_data(protect: str) -> None:
    options = TdOptions(protect=protect)
    assert run(jumps_to_pages(EfiMemoryType.EfiLoaderData), options).status is SUCCESS


def test_a_write_to_code_stops_at_its_instruction() -> None:
    with pytest.raises(GuestStopped) as stopped:
        run(writes_to_itself(), TdOptions(protect="nx"))
    violation = stopped.value.violation
    assert violation.what.startswith("write to test.efi .text+0x")
    assert violation.what.endswith("of EfiLoaderCode, which is read-only")
    assert violation.access == "write"
    assert violation.place.startswith("test.efi .text+0x")
    assert violation.instruction.startswith("mov qword ptr [rcx")


def test_a_jump_to_data_stops_there_and_names_who_called() -> None:
    with pytest.raises(GuestStopped) as stopped:
        run(jumps_to_pages(EfiMemoryType.EfiLoaderData), TdOptions(protect="nx"))
    violation = stopped.value.violation
    assert violation.what.startswith("jump to 0x")
    assert violation.what.endswith("of EfiLoaderData, which is not executable")
    assert violation.access == "fetch"
    assert violation.call_stack
    assert violation.call_stack[0].startswith("test.efi .text+0x")


@pytest.mark.parametrize(
    ("protect", "kind", "clear"),
    [
        ("nx", EfiMemoryType.EfiLoaderCode, False),
        ("nx", EfiMemoryType.EfiLoaderData, True),
        ("strict", EfiMemoryType.EfiLoaderCode, True),
    ],
)
def test_code_runs_where_the_policy_or_the_protocol_allows_it(protect: str, kind: EfiMemoryType, clear: bool) -> None:
    assert run(jumps_to_pages(kind, clear=clear), TdOptions(protect=protect)).status is SUCCESS


def test_in_strict_firmware_new_pages_of_code_are_not_executable_yet() -> None:
    with pytest.raises(GuestStopped) as stopped:
        run(jumps_to_pages(EfiMemoryType.EfiLoaderCode), TdOptions(protect="strict"))
    assert "which is not executable" in stopped.value.violation.what


def test_the_protocol_is_there_for_programs_and_tells_what_the_page_tables_say() -> None:
    with guest(TdOptions(protect="nx")) as (firmware, _):
        call = Caller(firmware)
        protocol = call.protocol(EFI_MEMORY_ATTRIBUTE_PROTOCOL_GUID)
        handle = load(firmware, pe_image(Program().ret(0).code(), flags=CODE))
        image = firmware.services.images.loaded_image(handle)
        assert image is not None
        assert call.member(protocol, 0, protocol, image.image_base + 0x1000, 0x1000, call.room) == SUCCESS
        assert call.ram.u64(call.room) == EFI_MEMORY_RO
        assert call.member(protocol, 1, protocol, image.image_base, 0x1000, EFI_MEMORY_RO) == SUCCESS
        assert call.member(protocol, 0, protocol, image.image_base, 0x1000, call.room) == SUCCESS
        assert call.ram.u64(call.room) == EFI_MEMORY_RO | EFI_MEMORY_XP


def test_the_memory_attributes_table_splits_a_runtime_driver_into_code_and_data() -> None:
    with guest(TdOptions(protect="nx")) as (firmware, _):
        load(firmware, pe_image(Program().ret(0).code(), subsystem=12, flags=CODE))
        image = firmware.services.images.loaded_images()[-1]
        firmware.leaving_boot_services()
        table = firmware.core.configuration_tables[EFI_MEMORY_ATTRIBUTES_TABLE_GUID]
        version, count, size, _ = struct.unpack("<4I", firmware.ram.read(table, 16))
        assert (version, size) == (2, 48)
        entries = [struct.unpack("<I4xQQQQ8x", firmware.ram.read(table + 16 + 48 * at, 48)) for at in range(count)]
        runtime = 1 << 63
        found = {(start, pages): bits for _, start, _, pages, bits in entries}
        assert found[image.image_base, 1] == runtime | EFI_MEMORY_XP
        assert found[image.image_base + 0x1000, 1] == runtime | EFI_MEMORY_RO
        assert {bits for kind, _, _, _, bits in entries if kind == EfiMemoryType.EfiRuntimeServicesData} == {
            runtime | EFI_MEMORY_XP
        }
        assert sum(pages for _, _, _, pages, _ in entries) == sum(
            one.number_of_pages
            for one in firmware.services.memory_map_view().descriptors
            if one.memory_type in (EfiMemoryType.EfiRuntimeServicesCode, EfiMemoryType.EfiRuntimeServicesData)
        )


def test_an_image_whose_code_begins_off_a_page_runs_unprotected() -> None:
    image = bytearray(pe_image(Program().ret(0).code(), flags=CODE))
    header = image.find(b".text\0\0\0")
    image[header + 12 : header + 16] = (0x1200).to_bytes(4, "little")
    for offset in (64 + 24 + 16, 64 + 24 + 20):  # AddressOfEntryPoint, BaseOfCode
        image[offset : offset + 4] = (0x1200).to_bytes(4, "little")
    assert run(bytes(image), TdOptions(protect="nx")).status is SUCCESS
