"""SetVirtualAddressMap and ConvertPointer, as UEFI 2.10, 8.4, has them, called through their stubs."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import pytest

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.uefi.guids import EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE
from tdvfsh.uefi.memory import EFI_MEMORY_RUNTIME, EfiMemoryType
from tdvfsh.uefi.service_names import RUNTIME_SERVICES
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.engine.assembler import Program
from tests.engine.programs import TABLE_HEADER, Caller, guest

OPTIONAL_POINTER = 1
SIGNAL, TPL_CALLBACK = 0x200, 8
OFFSET = 0xFFFFFFEE_00000000
DESCRIPTOR = struct.Struct("<I4xQQQQ")
DESCRIPTOR_SIZE = 48  # larger than the structure, as firmware has it
VENDOR, RUNTIME, CONFIGURATION = 24, 88, 112  # pointers of the system table


class RunTime(Caller):
    """Calls in a machine that has left boot services."""

    def __init__(self, firmware: GuestFirmware) -> None:
        super().__init__(firmware)
        entry = self.ram.u64(
            firmware.tables.runtime_services + TABLE_HEADER + 8 * RUNTIME_SERVICES.index("ConvertPointer")
        )
        self.results = self.put(bytes(32))
        self.pointers = self.put(bytes(32))
        self.scratch_map = self.put(bytes(0x1000))
        self._handler = self.put(self._converter(entry))
        self._listen()

    def leave(self) -> None:
        """ExitBootServices."""
        size, key = self.put(struct.pack("<Q", 0x4000)), self.put(bytes(8))
        buffer = self.firmware.context.heap.allocate(0x4000)
        assert self.boot("GetMemoryMap", size, buffer, key, self.put(bytes(8)), self.put(bytes(8))) == SUCCESS
        assert self.boot("ExitBootServices", self.firmware.machine.firmware_image, self.ram.u64(key)) == SUCCESS

    def runtime_ranges(self) -> list[tuple[int, int]]:
        """Start and pages of all that runtime services need."""
        kinds = (EfiMemoryType.EfiRuntimeServicesCode, EfiMemoryType.EfiRuntimeServicesData)
        return [(entry.start, (entry.end - entry.start) >> 12) for entry in self.firmware.core.memory_map
                if entry.memory_type in kinds]  # fmt: skip

    def set_map(self, ranges: list[tuple[int, int]] | None = None, attribute: int = EFI_MEMORY_RUNTIME,
                version: int = 1, descriptor_size: int = DESCRIPTOR_SIZE, offset: int = OFFSET) -> int:  # fmt: skip
        """Every range of the runtime services moved by the same offset."""
        data = b"".join(
            DESCRIPTOR.pack(5, start, start + offset, pages, attribute).ljust(DESCRIPTOR_SIZE, b"\0")
            for start, pages in (self.runtime_ranges() if ranges is None else ranges)
        )
        self.ram.write(self.scratch_map, data)
        return self.runtime("SetVirtualAddressMap", len(data), descriptor_size, version, self.scratch_map)

    def _converter(self, entry: int) -> bytes:
        """A notification function: converts four pointers in turn, the last one as one that may be null."""
        code = Program(prologue=False).raw("56 4883EC20")  # push rsi; sub rsp, 32
        for number, disposition in enumerate((0, 0, 0, OPTIONAL_POINTER)):
            code.mov("rcx", disposition).mov("rdx", self.pointers + 8 * number).mov("rax", entry).raw("FFD0")
            code.mov("rsi", self.results + 8 * number).store("rsi", 0, "rax")
        return code.raw("4883C420 5E C3").code()

    def _listen(self) -> None:
        group = self.guid(EFI_EVENT_GROUP_VIRTUAL_ADDRESS_CHANGE)
        assert self.boot("CreateEventEx", SIGNAL, TPL_CALLBACK, self._handler, 0, group, self.put(bytes(8))) == SUCCESS

    def numbers(self, address: int, count: int) -> list[int]:
        return list(struct.unpack(f"<{count}Q", self.ram.read(address, 8 * count)))


@pytest.fixture
def run_time() -> Iterator[RunTime]:
    pytest.importorskip("unicorn", reason="the CPU engine is not installed: extra [cpu]")
    with guest() as (firmware, _):
        yield RunTime(firmware)


def test_before_exit_boot_services_there_is_no_virtual_map(run_time: RunTime) -> None:
    assert run_time.set_map() == EfiStatus.EFI_UNSUPPORTED
    assert run_time.runtime("ConvertPointer", 0, run_time.pointers) == EfiStatus.EFI_UNSUPPORTED


@pytest.mark.parametrize(("version", "descriptor_size"), [(0, 48), (2, 48), (1, 39), (1, 0)])
def test_another_version_or_a_descriptor_that_is_too_small_is_refused_and_may_be_mended(
    run_time: RunTime, version: int, descriptor_size: int
) -> None:
    run_time.leave()
    status = run_time.set_map(version=version, descriptor_size=descriptor_size)
    assert status == EfiStatus.EFI_INVALID_PARAMETER
    assert run_time.set_map() == SUCCESS


def test_pointers_of_runtime_services_and_of_the_system_table_move_and_checksums_hold(run_time: RunTime) -> None:
    run_time.leave()
    tables, ram = run_time.firmware.tables, run_time.ram
    services, count = tables.runtime_services + TABLE_HEADER, len(RUNTIME_SERVICES)
    before = run_time.numbers(services, count)
    system = [ram.u64(tables.system_table + offset) for offset in (VENDOR, RUNTIME, CONFIGURATION)]
    assert run_time.set_map() == SUCCESS
    assert run_time.numbers(services, count) == [pointer + OFFSET for pointer in before]
    after = [ram.u64(tables.system_table + offset) for offset in (VENDOR, RUNTIME, CONFIGURATION)]
    assert after == [pointer + OFFSET for pointer in system]
    for table in (tables.runtime_services, tables.system_table):
        data = bytearray(ram.read(table, ram.u32(table + 12)))
        checksum = struct.unpack_from("<I", data, 16)[0]
        data[16:20] = bytes(4)
        assert zlib.crc32(data) == checksum


def test_it_can_be_set_once(run_time: RunTime) -> None:
    run_time.leave()
    assert run_time.set_map(offset=0) == SUCCESS
    assert run_time.set_map(offset=0) == EfiStatus.EFI_UNSUPPORTED


def test_who_listens_converts_its_own_pointers_while_the_map_changes(run_time: RunTime) -> None:
    run_time.leave()
    start, pages = run_time.runtime_ranges()[0]
    last = start + (pages << 12) - 1
    run_time.ram.write(run_time.pointers, struct.pack("<4Q", start, last, 0, 0))
    assert run_time.set_map() == SUCCESS
    statuses = run_time.numbers(run_time.results, 4)
    assert statuses == [SUCCESS, SUCCESS, EfiStatus.EFI_INVALID_PARAMETER, SUCCESS]
    assert run_time.numbers(run_time.pointers, 4) == [start + OFFSET, last + OFFSET, 0, 0]


def test_a_pointer_outside_of_all_runtime_ranges_is_not_found_and_stays(run_time: RunTime) -> None:
    run_time.leave()
    ranges = run_time.runtime_ranges()
    ends = {start + (pages << 12) for start, pages in ranges}
    end = max(ends)
    run_time.ram.write(run_time.pointers, struct.pack("<4Q", end, 0x1000, end, 0x1000))
    assert run_time.set_map() == SUCCESS
    assert run_time.numbers(run_time.results, 4) == [EfiStatus.EFI_NOT_FOUND] * 4
    assert run_time.numbers(run_time.pointers, 4) == [end, 0x1000, end, 0x1000]


def test_descriptors_without_the_runtime_attribute_move_nothing(run_time: RunTime) -> None:
    run_time.leave()
    tables = run_time.firmware.tables
    before = run_time.numbers(tables.runtime_services + TABLE_HEADER, 3)
    run_time.ram.write(run_time.pointers, struct.pack("<Q", run_time.runtime_ranges()[0][0]))
    assert run_time.set_map(attribute=0xF) == SUCCESS
    assert run_time.numbers(tables.runtime_services + TABLE_HEADER, 3) == before
    assert run_time.numbers(run_time.results, 1) == [EfiStatus.EFI_NOT_FOUND]


def test_afterwards_pointers_are_no_longer_converted(run_time: RunTime) -> None:
    run_time.leave()
    assert run_time.set_map(offset=0) == SUCCESS
    run_time.ram.write(run_time.pointers, struct.pack("<Q", run_time.runtime_ranges()[0][0]))
    assert run_time.runtime("ConvertPointer", 0, run_time.pointers) == EfiStatus.EFI_UNSUPPORTED
