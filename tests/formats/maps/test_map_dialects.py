"""Memory maps of every age and maker: old and new kernels, hypervisors, boot loaders, and what stands around them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.formats.maps.memory_maps import MapReading, read_memory_map
from tdvfsh.uefi.memory import EFI_MEMORY_RUNTIME, EfiMemoryType, MemoryDescriptor

CASES = Path(__file__).parents[2] / "cases" / "maps"
RAM = EfiMemoryType.EfiConventionalMemory
RESERVED = EfiMemoryType.EfiReservedMemoryType


def read(text: str) -> MapReading:
    return read_memory_map(text.encode(), "log")


def case(name: str) -> MapReading:
    return read_memory_map((CASES / f"{name}.txt").read_bytes(), name)


def ranges(reading: MapReading) -> list[tuple[int, int, int]]:
    return [(int(row.memory_type), row.physical_start, row.physical_end) for row in reading.descriptors]


MACHINE = ranges(case("efi-4.x-inclusive"))
"""The made machine that all forms of the cases describe."""


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("efi-4.0-halfopen", "'efi: mem' lines"),
        ("efi-halfopen-and-e820", "'efi: mem' lines"),
        ("lsefimmap", "GRUB's lsefimmap"),
    ],
)
def test_the_forms_that_know_efi_types_give_the_same_13_descriptors(name: str, form: str) -> None:
    reading = case(name)
    assert ranges(reading) == MACHINE
    assert len(MACHINE) == 13
    assert reading.form == form
    assert {row.attribute & 0xF for row in reading.descriptors} == {0xF}


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("e820-2.6", "'BIOS-e820' lines"),
        ("e820-type20", "'BIOS-e820' lines"),
        ("tboot", "tboot's e820 lines"),
        ("tdshim-print", "td-shim's printed HOB list"),
    ],
)
def test_the_forms_without_efi_types_give_the_same_ranges(name: str, form: str) -> None:
    reading = case(name)
    low = [(start, end) for _, start, end in ranges(reading) if start < 1 << 32]
    assert low == [(start, end) for _, start, end in MACHINE]
    assert (1 << 32, 6 << 30) in [(start, end) for _, start, end in ranges(reading)]
    assert reading.form == form
    assert reading.notes


def test_type_20_is_memory_that_firmware_keeps() -> None:
    kinds = {start: kind for kind, start, _ in ranges(case("e820-type20"))}
    assert kinds[0x79000000] == RESERVED
    assert kinds[0x79400000] == RAM


def test_linux_7_has_system_ram_device_reserved_and_gaps() -> None:
    rows = ranges(case("linux-7.2-e820"))
    assert len(rows) == 18
    ram = [(start, end) for kind, start, end in rows if kind == RAM]
    assert max(end for start, end in ram if start < 1 << 32) == 0x7FF7C000
    assert ram[-1] == (1 << 32, 5 << 30)
    assert sum(kind == RESERVED for kind, _, _ in rows) >= 3


E820 = [(RAM, 0, 0x9F000), (RESERVED, 0x9F000, 0xA0000), (RAM, 0x100000, 0x40000000)]


@pytest.mark.parametrize(
    "text",
    [
        " BIOS-e820: 0000000000000000 - 000000000009fc00 (usable)\n"
        " BIOS-e820: 000000000009fc00 - 00000000000a0000 (reserved)\n"
        " BIOS-e820: 0000000000100000 - 0000000040000000 (usable)\n",
        "(XEN) [0000000fd4b06adf]  [0000000000000000, 000000000009fbff] (usable)\n"
        "(XEN) [0000000fd4b06adf]  [000000000009fc00, 000000000009ffff] (reserved)\n"
        "(XEN) [0000000fd4b06adf]  [0000000000100000, 000000003fffffff] (usable)\n",
        "(XEN)  0000000000000000 - 000000000009fc00 (usable)\n"
        "(XEN)  000000000009fc00 - 00000000000a0000 (reserved)\n"
        "(XEN)  0000000000100000 - 0000000040000000 (usable)\n",
        "TBOOT: \t0000000000000000 - 000000000009fc00  (1)\n"
        "TBOOT: \t000000000009fc00 - 00000000000a0000  (2)\n"
        "TBOOT: \t0000000000100000 - 0000000040000000  (1)\n",
        "base_addr = 0x0, length = 0x9fc00, available RAM\n"
        "base_addr = 0x9fc00, length = 0x400, reserved RAM\n"
        "base_addr = 0x100000, length = 0x3ff00000, available RAM\n",
        "00000000-0009fbff : System RAM\n"
        "  00000000-00000fff : Reserved\n"
        "0009fc00-0009ffff : Reserved\n"
        "000a0000-000bffff : PCI Bus 0000:00\n"
        "00100000-3fffffff : System RAM\n"
        "  01000000-01ffffff : Kernel code\n",
        "Mar 01 10:00:00 host kernel: BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\r\n"
        "Mar 01 10:00:00 host kernel: BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved\r\n"
        "Mar 01 10:00:00 host kernel: e820: update [mem 0x00000000-0x00000fff] usable ==> reserved\r\n"
        "Mar 01 10:00:00 host kernel: BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable\r\n",
        "> \x1b[32m[    0.000000]\x1b[0m BIOS-e820: [mem 0x0-0x9fbff]  System RAM\n"
        "> [    0.000000] BIOS-e820: [mem 0x9fc00-0x9ffff]  device reserved\n"
        "> [    0.000000] BIOS-e820: [gap 0xa0000-0xfffff]\n"
        "> [    0.000000] BIOS-e820: [mem 0x100000-0x3fffffff]  System RAM\n",
    ],
    ids=["linux-2.6", "xen", "xen-old", "tboot", "lsmmap", "iomem", "journal", "linux-7-quoted-and-coloured"],
)
def test_one_e820_map_in_every_form(text: str) -> None:
    assert ranges(read(text)) == E820


def test_the_oldest_efi_lines_have_numbers_for_types() -> None:
    reading = read(
        "EFI: mem00: type=7, attr=0xf, range=[0x0000000000001000-0x00000000000a0000) (0MB)\n"
        "EFI: mem01: type=5, attr=0x800000000000000f, range=[0x0000000000100000-0x0000000000200000) (1MB)\n"
    )
    assert reading.descriptors == [
        MemoryDescriptor(RAM, 0x1000, 0x9F, 0xF),
        MemoryDescriptor(EfiMemoryType.EfiRuntimeServicesCode, 0x100000, 0x100, EFI_MEMORY_RUNTIME | 0xF),
    ]


def test_u_boots_efidebug_memmap_has_exclusive_ends() -> None:
    reading = read(
        "=> efidebug memmap\n"
        "Type             Start            End              Attributes\n"
        "================ ================ ================ ==========\n"
        "CONVENTIONAL     0000000040000000-000000013d7fe000 WB\n"
        "BOOT DATA        000000013d7fe000-000000013d7ff000 WB\n"
        "RUNTIME DATA     000000013d7ff000-000000013d800000 WB|RT\n"
    )
    assert reading.form == "U-Boot's efidebug memmap"
    assert reading.descriptors[0] == MemoryDescriptor(RAM, 0x40000000, 0xFD7FE, 8)
    assert reading.descriptors[2].attribute == EFI_MEMORY_RUNTIME | 8


def test_a_shells_table_in_a_console_log_is_read() -> None:
    row = "Available  0000000000001000-000000000009FFFF 000000000000009F 000000000000000F"
    for text in (f"FS0:\\> memmap\r\n\x1b[37m{row}\x1b[0m\r\n", f"[12:33:44.1] {row}\n", f"> {row}\r\n"):
        assert read(text).descriptors == [MemoryDescriptor(RAM, 0x1000, 0x9F, 0xF)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "BIOS-e820: [mem 0x1000-0x9ffff] usable\nefi: mem00: [Conventional|WB] somewhere\n",
            "line 2: an 'efi: mem' line of unknown form",
        ),
        (
            "BIOS-e820: [mem 0x1000-0x9ffff] usable\nBIOS-e820: [mem 0x100000-0x1ff",
            "line 2: a 'BIOS-e820' line of unknown form",
        ),
        ("[ 0.0] efi:   0x000040000000-0x00004007ffff [Conventional|   |WB]", "an arm64 machine"),
        ("00000000-00000000 : System RAM\n00000000-00000000 : Reserved\n", "as root"),
        ("CONVENTIONALLY   0000000040000000-000000013d7fe000 WB", "unknown memory type"),
        ("odd-type  0000000000001000-000000000009ffff 0000009f       636KiB WB", "unknown memory type"),
    ],
)
def test_what_is_not_understood_is_named_and_nothing_else_is_taken_instead(text: str, why: str) -> None:
    with pytest.raises(FormatError, match=re.escape(why)):
        read(text)


def test_lines_that_a_log_has_lost_are_told() -> None:
    line = "efi: mem{:02}: [Conventional|WB] range=[0x{:x}-0x{:x}] (0MB)\n"
    text = "".join(line.format(number, number << 16, (number << 16) + 0xFFF) for number in (0, 1, 4))
    assert read(text).notes == ("the log has lost 'efi: mem' lines: 2 of 5, the first is mem02",)
    assert not read(line.format(0, 0, 0xFFF)).notes


def test_a_second_boot_in_the_same_log_is_left_out() -> None:
    lines = "BIOS-e820: [mem 0x1000-0x9ffff] usable\nBIOS-e820: [mem 0x100000-0x1fffff] usable\n"
    assert ranges(read(lines + lines)) == ranges(read(lines))
