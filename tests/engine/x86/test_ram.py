"""Guest RAM: what is accepted, what stands in it, and what the processor is shown."""

from __future__ import annotations

import pytest

from tdvfsh.engine.errors import InaccessibleMemory
from tdvfsh.machine import TdOptions
from tdvfsh.td.contents import Contents
from tdvfsh.units import GIB, MIB
from tests.engine.assembler import Program
from tests.engine.programs import guest, load


def test_what_stood_in_memory_before_the_processor_came_is_there_and_stays_readable() -> None:
    with guest() as (firmware, _):
        firmware.td.contents.write(0x100000, b"before")
        assert firmware.ram.read(0x100000, 6) == b"before"
        firmware.ram.write(0x100003, b"ly")
        assert firmware.td.contents.read(0x100000, 6) == b"beflye"
        assert type(firmware.td.contents.copy()) is Contents
        assert firmware.td.contents.copy().read(0x100000, 6) == b"beflye"


def test_large_ranges_of_zeros_are_given_back_to_the_host() -> None:
    with guest() as (firmware, _):
        firmware.td.contents.write(0x1000000 - 3, b"abcdef")
        firmware.td.contents.zero(0x1000000 - 1, 0x1000000 + 4 * MIB)
        assert firmware.td.contents.read(0x1000000 - 3, 6) == b"ab\0\0\0\0"


def test_strings_are_read_across_pages_and_not_past_what_is_accepted() -> None:
    with guest() as (firmware, _):
        end = 512 * MIB
        ram = firmware.ram
        ram.view[end - 4 : end] = "ab".encode("utf-16-le")
        with pytest.raises(InaccessibleMemory):
            ram.utf16(end - 4)
        assert ram.utf16(end - 4, 2) == "ab"


def test_a_terabyte_of_ram_costs_nothing_until_it_is_touched() -> None:
    with guest(TdOptions(memory=1024 * GIB)) as (firmware, _):
        assert firmware.ram.end > 1024 * GIB
        assert firmware.services.start_image(load(firmware, Program().ret(0).image())).status == 0


def test_many_scattered_accepts_are_compacted_into_few_regions() -> None:
    with guest() as (firmware, _):
        for number in range(300):
            start = GIB + number * 4 * MIB // 2
            if number % 2:
                assert firmware.services.accept_memory(start, 2 * MIB) == 0
                firmware.cpu.mapped.map_accepted()
        assert len(list(firmware.cpu.uc.mem_regions())) <= 192
        program = Program().mov("rcx", GIB + 2 * MIB).load("rax", "rcx").ret(0)
        assert firmware.services.start_image(load(firmware, program.image())).status == 0


def test_code_that_is_loaded_over_other_code_is_what_runs() -> None:
    with guest() as (firmware, _):
        for status in (7, 9):
            handle = load(firmware, Program().ret(status).image())
            firmware.services.start_image(handle)
            assert firmware.image_services.exit_code == status
