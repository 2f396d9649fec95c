"""memmap, dmem and mm on the shell's machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.machine_binding import machine_of, running_machine
from tdvfsh.shell.shell import Shell
from tests.shell.under_test import ShellUnderTest

ROW = re.compile(r"[A-Za-z_]{1,10} {1,10}[0-9A-F]{16}-[0-9A-F]{16} [0-9A-F]{16} [0-9A-F]{16}")


@pytest.fixture
def small(under_test: ShellUnderTest) -> ShellUnderTest:
    """A TD of 1 GiB, half of it accepted."""
    under_test.run("td new -memory 1G -accept 512M")
    return under_test


def test_memmap_shows_what_nobody_accepted(small: ShellUnderTest) -> None:
    lines = small.run("memmap").splitlines()
    assert lines[0] == "Type       Start            End              # Pages          Attributes"
    assert "Unaccepted 0000000020000000-000000003FFFFFFF 0000000000020000 0000000000000000" in lines
    assert "  Unaccepted:        131,072 Pages (536,870,912 Bytes)" in lines
    rows = lines[1 : lines.index(" ")]
    assert rows
    assert all(ROW.fullmatch(row) for row in rows)


def test_memmap_read_from_standard_input_shows_an_unaccepted_row() -> None:
    sink = MemorySink()
    Shell(sink).run_text("stdin", "memmap\n")
    assert re.search(r"^Unaccepted 0000000020000000-000000007FFFFFFF", sink.text, re.MULTILINE)


def test_memmap_sfo_can_be_parsed(small: ShellUnderTest) -> None:
    total = small.run("memmap -sfo | parse MemoryMapSummary 2")
    assert 1023 << 20 <= int(total) <= 1 << 30


def test_the_map_shows_memmaps_own_buffer_and_then_is_as_before(small: ShellUnderTest) -> None:
    before = machine_of(small.shell).services.memory_map_view().descriptors
    small.run("memmap")
    assert machine_of(small.shell).services.memory_map_view().descriptors == before


def test_memmap_after_boot_services_says_that_there_is_no_map(small: ShellUnderTest) -> None:
    key = re.search(r"MapKey +(\w+)", small.run("bs GetMemoryMap"))
    assert key is not None
    small.run(f"bs ExitBootServices {key[1]}")
    assert small.run("memmap") == "memmap: Unable to get memory map\n"
    assert small.shell.last_error_code == 0xF


def test_a_shell_that_touches_no_memory_has_no_machine(under_test: ShellUnderTest) -> None:
    under_test.run("echo hello", "ls", "dmem zz", "mm")
    assert running_machine(under_test.shell) is None


def test_a_machine_that_cannot_start_is_one_line(under_test: ShellUnderTest) -> None:
    from dataclasses import replace

    from tdvfsh.machine import TdOptions

    under_test.shell.td_options = replace(TdOptions(), memory=1 << 20)
    assert under_test.run("memmap") == "memmap: memory of 1 MiB is out of range: a TD has 128M to 64T\n"
    assert under_test.shell.last_error_code == 2


def test_dmem_has_firmwares_columns(small: ShellUnderTest) -> None:
    small.run("mm 1000 42494249 -w 4", "mm 1013 7E -w 1")
    assert small.run("dmem 1000 1C") == (
        "Memory Address 0000000000001000 1C Bytes\n"
        "  00001000: 49 42 49 42 00 00 00 00-00 00 00 00 00 00 00 00  *IBIB............*\n"
        "  00001010: 00 00 00 7E 00 00 00 00-00 00 00 00              *...~........*\n"
    )


def test_dmem_shows_512_bytes_without_a_size(small: ShellUnderTest) -> None:
    lines = small.run("dmem 2000").splitlines()
    assert lines[0] == "Memory Address 0000000000002000 200 Bytes"
    assert len(lines) == 1 + 0x200 // 16


@pytest.mark.parametrize(
    ("line", "text", "status"),
    [
        ("dmem zz", "dmem: Invalid argument - 'zz'\n", 2),
        ("dmem 0 zz", "dmem: Invalid argument - 'zz'\n", 2),
        ("dmem 0 1 2", "dmem: Too many arguments.\n", 2),
        ("dmem 10000000000000000", "dmem: Invalid argument - '10000000000000000'\n", 2),
        ("dmem FFFFFFFFFFFFFFFF 2", "dmem: Invalid argument - 'FFFFFFFFFFFFFFFF 2'\n", 2),
        ("mm", "mm: Too few arguments.\n", 2),
        ("mm 1000", "0x00\n", 0),
        ("mm 1000 -w 4 -n", "0x00000000\n", 0),
        ("mm 1001 -w 4 -n", "mm: Address parameter 0000000000001001 is not aligned.\n", 2),
        ("mm 1000 -w 3 -n", "mm: Bad value - '3' for flag - '-w'\n", 2),
        ("mm 1000 100 -n", "mm: Invalid argument - '100'\n", 2),
        ("mm zz -n", "mm: Invalid argument - 'zz'\n", 2),
        ("mm 1000 -mem -n", "0x00\n", 0),
    ],
)
def test_dmem_and_mm_answer_as_recorded(small: ShellUnderTest, line: str, text: str, status: int) -> None:
    assert small.run(line) == text
    assert small.shell.last_error_code == status


@pytest.mark.parametrize("line", ["dmem 1FFFFFF0 20", "dmem 20000000 1", "mm 20000000", "mm 20000000 1"])
def test_touching_unaccepted_memory_is_a_fault_and_shows_nothing(small: ShellUnderTest, line: str) -> None:
    name = line.split()[0]
    assert small.run(line) == (
        f"{name}: 0x20000000 is unaccepted memory: on touching it the TD leaves and does not come back\n"
    )
    assert small.shell.last_error_code == 0xF


def test_without_sept_ve_disable_the_guest_takes_an_exception(small: ShellUnderTest) -> None:
    machine_of(small.shell).td.sept_ve_disable = False
    assert small.run("mm 20000000") == (
        "mm: 0x20000000 is unaccepted memory: on touching it the guest takes a #VE exception\n"
    )


def test_accepted_memory_can_be_touched_where_it_was_a_fault(small: ShellUnderTest) -> None:
    small.run("mm 20000000", "accept 512M 2M")
    assert small.run("mm 20000000 AB", "mm 20000000") == "0xab\n"


def test_memory_that_is_not_there_is_not_zero(small: ShellUnderTest) -> None:
    assert small.run("dmem C0000000 1") == "dmem: 0xc0000000 is not RAM\n"
    assert small.shell.last_error_code == 0xE


def test_a_loaded_file_that_shrinks_on_the_host_is_reported(small: ShellUnderTest, tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    path.write_bytes(b"\x07" * 0x10000)
    small.shell.mount(HostFolder(str(tmp_path)))
    small.run("initrd fs1:\\initrd")
    address = re.search(r"memory=(\w+)\n?$", small.run("trace -service AllocatePages -n 1").rstrip())
    assert address is not None
    assert "07 07" in small.run(f"dmem {address[1]} 10")
    os.truncate(path, 16)
    assert small.run(f"dmem {address[1]} 10") == (
        f"dmem: {int(address[1], 16):#x} holds a file that became shorter on the host\n"
    )
