"""Memory maps in every form in which real machines gave them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import FormatError
from tdvfsh.formats.maps.log_text import decode_text
from tdvfsh.formats.maps.memory_maps import (
    parse_e820_lines,
    parse_efi_lines,
    parse_memmap,
    parse_memmap_sfo,
    parse_memory_map,
)
from tdvfsh.uefi.memory import EFI_MEMORY_RUNTIME, EfiMemoryType, MemoryDescriptor

RECORDINGS = Path(__file__).parents[2] / "recordings"
MEMMAP = RECORDINGS / "memmap"
BOOT_LOG = RECORDINGS / "boot" / "direct-bookworm-2G-linux-6.1.txt"
FIRMWARES = ["bookworm-512M", "bookworm-2G", "trixie-512M", "trixie-2G"]

ROW = "Available  0000000000001000-000000000009FFFF 000000000000009F 000000000000000F"
SFO_ROW = 'MemoryMap,"Available","1000","9FFFF","9F","F"'
KINDS = {int(kind): kind for kind in EfiMemoryType}
EXPECTED = [MemoryDescriptor(EfiMemoryType.EfiConventionalMemory, 0x1000, 0x9F, 0xF)]


def parse(text: str) -> list[MemoryDescriptor]:
    return parse_memory_map(text.encode(), "map")


def pages_by_label(descriptors: list[MemoryDescriptor]) -> dict[str, int]:
    pages: dict[str, int] = {}
    for descriptor in descriptors:
        label = KINDS[descriptor.memory_type].label
        pages[label] = pages.get(label, 0) + descriptor.number_of_pages
    return pages


@pytest.mark.parametrize("name", FIRMWARES)
def test_recorded_table_adds_up_to_its_own_summary(name: str) -> None:
    path = MEMMAP / f"{name}.txt"
    pages = pages_by_label(parse_memory_map(path.read_bytes(), str(path)))
    summary = re.findall(r"^ +(\w+) *: +([\d,]+) Pages", path.read_text(), re.M)
    assert len(summary) >= 14
    for label, count in summary:
        assert pages.get(label, 0) == int(count.replace(",", "")), label


@pytest.mark.parametrize("name", FIRMWARES)
def test_recorded_sfo_adds_up_to_its_own_summary(name: str) -> None:
    path = MEMMAP / f"{name}.sfo"
    descriptors = parse_memory_map(path.read_bytes(), str(path))
    summary = next(line for line in path.read_text().splitlines() if line.startswith("MemoryMapSummary"))
    columns = [int(column) for column in re.findall(r'"(\d+)"', summary)]
    pages = pages_by_label(descriptors)
    assert columns[1] == pages["Reserved"] * 4096
    assert columns[8] == pages["Available"] * 4096
    assert columns[13] == pages["ACPI_NVS"] * 4096


def test_table_and_sfo_of_one_machine_differ_only_by_the_pages_of_the_command_itself() -> None:
    table = parse_memory_map((MEMMAP / "trixie-2G.txt").read_bytes(), "table")
    sfo = parse_memory_map((MEMMAP / "trixie-2G.sfo").read_bytes(), "sfo")
    assert sum(descriptor.size for descriptor in table) == sum(descriptor.size for descriptor in sfo)
    assert table[0] == sfo[0]
    assert table[-1] == sfo[-1]


def test_kernel_log_gives_the_map_that_firmware_gave_and_not_the_runtime_map_behind_it() -> None:
    descriptors = parse_memory_map(BOOT_LOG.read_bytes(), str(BOOT_LOG))
    assert len(descriptors) == 128
    assert descriptors[0] == MemoryDescriptor(EfiMemoryType.EfiBootServicesCode, 0, 1, 0xF)
    assert descriptors[-1] == MemoryDescriptor(
        EfiMemoryType.EfiMemoryMappedIO, 0xFFC00000, 0x400, EFI_MEMORY_RUNTIME | 1
    )


def test_e820_lines_of_the_same_log_agree_about_what_is_usable() -> None:
    text = BOOT_LOG.read_text(errors="replace")
    e820 = parse_e820_lines(text, "log")
    usable = sum(d.size for d in e820 if d.memory_type == EfiMemoryType.EfiConventionalMemory)
    boot_types = {1, 2, 3, 4, 7}  # what the kernel may use once boot services are gone
    efi = sum(d.size for d in parse_efi_lines(text, "log") if d.memory_type in boot_types)
    assert usable == efi
    assert len(e820) == 16


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
@pytest.mark.parametrize("row", [ROW, SFO_ROW])
def test_every_encoding_that_a_shell_writes_is_read(row: str, encoding: str, newline: str) -> None:
    data = f"Shell> memmap{newline}{row}{newline}".encode(encoding)
    if encoding == "utf-16-be":
        data = b"\xfe\xff" + data
    assert parse_memory_map(data, "map") == EXPECTED


def test_unaccepted_and_oem_types_are_known() -> None:
    table = "\n".join(
        [
            "Unaccepted 0000000100000000-000000017FFFFFFF 0000000000080000 0000000000000000",
            "70000001   0000000000002000-0000000000002FFF 0000000000000001 0000000000000000",
        ]
    )
    assert [d.memory_type for d in parse(table)] == [15, 0x70000001]
    lines = (
        "[    0.0] efi: mem00: [Unaccepted  |   |  ] range=[0x0000000100000000-0x000000017fffffff] (2048MB)\n"
        "[    0.0] efi: mem01: [type=1879048193|RUN|XP] range=[0x2000-0x2fff] (0MB)\n"
        "[    0.0] efi: mem02: [Reserved    |attr=0x800000000000000f] range=[0x3000-0x3fff] (0MB)\n"
    )
    assert [(d.memory_type, d.attribute) for d in parse(lines)] == [
        (15, 0),
        (0x70000001, EFI_MEMORY_RUNTIME | 0x4000),
        (0, EFI_MEMORY_RUNTIME | 0xF),
    ]


def test_e820_ranges_become_whole_pages_without_overlapping() -> None:
    log = (
        "BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
        "BIOS-e820: [mem 0x000000000009fc00-0x000000000009ffff] reserved\n"
        "BIOS-e820: [mem 0x00000000000a0000-0x00000000000a07ff] ACPI data\n"
        "BIOS-e820: [mem 0x00000000000a0800-0x00000000000a2fff] ACPI NVS\n"
        "BIOS-e820: [mem 0x00000000000a3001-0x00000000000a3fff] usable\n"
    )
    assert [(d.memory_type, d.physical_start, d.physical_end) for d in parse(log)] == [
        (7, 0, 0x9F000),
        (0, 0x9F000, 0xA0000),
        (9, 0xA0000, 0xA1000),
        (10, 0xA1000, 0xA3000),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hello", "not a memory map"),
        ("", "not a memory map"),
        (ROW.replace("09F ", "09E "), "line 1: 0x1000-0x9ffff is not a range of 0x9e pages"),
        (ROW.replace("1000-", "1001-"), "is not a range"),
        ("\n" + ROW.replace("Available ", "Whatever  "), "line 2: unknown memory type 'Whatever'"),
        (ROW + "\n" + ROW, "ranges overlap: 0x1000-0x9ffff and 0x1000-0x9ffff"),
        ('MemoryMap,"Available","1000","9FFFF","9F"', "line 1: not a MemoryMap row"),
        ('MemoryMap,"Available","1000","9FFFF","9F","x"', "line 1: not a MemoryMap row"),
        ('MemoryMap,"Available","1000","9FFFF","9F","F', "line 1: not a MemoryMap row"),
        ('MemoryMap,"Available","1000","9FFFF","9F","10000000000000000"', "more than 64 bits"),
        ('MemoryMap,"Available","FFFFFFFFFFFFF000","10000000000000FFF","2","F"', "is not a range"),
        ("efi: mem00: [Nonsense    |] range=[0x0-0xfff]", "unknown memory type 'Nonsense'"),
        ("efi: mem00: [Reserved    |] range=[0x1000-0xfff]", "is not a range"),
        ("BIOS-e820: [mem 0x0-0xfff] whatever", "unknown e820 type 'whatever'"),
        ("BIOS-e820: [mem 0x1000-0x0] usable", "is empty"),
    ],
)
def test_maps_that_cannot_be_are_refused_with_their_line(text: str, why: str) -> None:
    with pytest.raises(FormatError, match=re.escape(why)):
        parse(text)


@given(st.text(alphabet='0123456789ABCDEFx \n\r,"-[]|:memBIOSefirangeAvailable', max_size=400))
def test_any_text_is_a_map_or_refused(text: str) -> None:
    try:
        descriptors = parse(text)
    except FormatError:
        return
    assert descriptors


@given(
    st.lists(st.tuples(st.sampled_from(list(EfiMemoryType)), st.integers(1, 1 << 30), st.integers(0, 99)), min_size=1)
)
def test_both_shell_forms_read_back_what_they_print(rows: list[tuple[EfiMemoryType, int, int]]) -> None:
    start, descriptors = 0, []
    for kind, pages, gap in rows:
        start += gap << 12
        descriptors.append(MemoryDescriptor(kind, start, pages, 0x800000000000000F))
        start += pages << 12
    table = "\r\n".join(
        f"{KINDS[d.memory_type].label:<10} {d.physical_start:016X}-{d.physical_end - 1:016X} "
        f"{d.number_of_pages:016X} {d.attribute:016X}"
        for d in descriptors
    )
    sfo = "\r\n".join(
        f'MemoryMap,"{KINDS[d.memory_type].sfo_name}","{d.physical_start:X}","{d.physical_end - 1:X}",'
        f'"{d.number_of_pages:X}","{d.attribute:X}"'
        for d in descriptors
    )
    assert parse_memmap(table, "table") == parse_memmap_sfo(sfo, "sfo") == descriptors


def test_bytes_without_a_mark_are_read_as_single_bytes() -> None:
    assert decode_text(b"a\xffb") == "a\xffb"
