"""Firmware files: where their parts go, and what is refused in one line."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.engine.firmware.image import layout_of_plain_vm, layout_of_td
from tdvfsh.errors import FormatError, TdvfshError
from tdvfsh.td.hob import parse_td_hob_list
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.units import GIB, KIB, MIB
from tests.engine.firmware.made_firmware import (
    BASE,
    BFV,
    CELLS,
    HLT,
    SECTIONS,
    SIZE,
    TD_HOB,
    TD_HOB_ADDRESS,
    TEMPORARY,
    Section,
    made_firmware,
    opened,
)

RAM = RamLayout.q35(GIB)
FOUR_GIB = 4 * GIB


def test_a_td_has_the_sections_of_the_metadata_and_the_list_of_its_ram(tmp_path: Path) -> None:
    data = made_firmware(b"")
    with opened(tmp_path, data) as image:
        layout = layout_of_td(image, RAM)
    assert layout.pages == (AddressSpan(BASE, FOUR_GIB),)
    assert layout.added == (AddressSpan(TD_HOB_ADDRESS, CELLS), AddressSpan(CELLS, CELLS + 0x5000))
    assert [(address, bytes(part)) for address, part in layout.contents[:-1]] == [(BASE, data)]
    address, part = layout.contents[-1]
    assert address == layout.td_hob == TD_HOB_ADDRESS
    assert parse_td_hob_list(part) == layout.hob_entries


def test_a_plain_vm_has_the_whole_file_below_4_gib(tmp_path: Path) -> None:
    data = made_firmware(b"")
    with opened(tmp_path, data) as image:
        layout = layout_of_plain_vm(image)
    assert layout.pages == (AddressSpan(BASE, FOUR_GIB),)
    assert [bytes(part) for _, part in layout.contents] == [data]
    assert layout.added == ()


@pytest.mark.parametrize(
    ("sections", "why"),
    [
        ((BFV, TEMPORARY), "0 TD_HOB sections"),
        ((*SECTIONS, (0, 0, 0x900000, 0x1000, 2, 0)), "2 TD_HOB sections"),
        ((BFV, (0, SIZE, BASE, SIZE, 1, 0), TD_HOB), "overlaps another section"),
        (((0, SIZE, 0x1000000, SIZE, 0, 1), TD_HOB), "overlaps RAM"),
        ((BFV, (0, 0x1000, FOUR_GIB, 0x1000, 1, 0), TD_HOB), "lies outside of the addresses below 4 GiB"),
        (((0, SIZE, BASE - SIZE, SIZE, 0, 1), TD_HOB), "no section of the TDX metadata holds the reset vector"),
        (((SIZE, SIZE, BASE, SIZE, 0, 1), TD_HOB), "join variable store and code"),
        ((*SECTIONS, TEMPORARY), "does not lie in one piece of free RAM"),
        ((BFV, TD_HOB, (0, 0, 2 * GIB, 0x1000, 3, 0)), "lies outside RAM"),
        ((BFV, (0, 0, TD_HOB_ADDRESS, 0x1000, 2, 0), *((0, 0, 0xA00000 + 0x2000 * n, 0x1000, 3, 0) for n in range(50))),
         "does not fit its section"),
    ],
)  # fmt: skip
def test_sections_that_cannot_be_placed_are_refused(sections: tuple[Section, ...], why: str, tmp_path: Path) -> None:
    with opened(tmp_path, made_firmware(b"", sections)) as image, pytest.raises(TdvfshError, match=why) as refused:
        layout_of_td(image, RAM)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not a firmware image: 0 bytes"),
        (b"echo hello\n", "not a firmware image: 11 bytes"),
        (bytes(SIZE), "neither a firmware volume nor TDX metadata"),
        (bytes(17 * MIB), "not a firmware image"),
        (made_firmware(b"")[: SIZE - 100], "not a firmware image"),
    ],
)
def test_files_that_are_not_firmware_are_refused(data: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=why), opened(tmp_path, data):
        pass


@pytest.mark.parametrize("action", ["accepts"])
def test_the_command_line_says_in_one_line_what_is_wrong(
    action: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "text.fd"
    path.write_text("no firmware")
    assert main(["firmware", action, str(path)]) == 1
    said = capfd.readouterr().err
    assert said.startswith("tdvfsh: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--accept", "512M"], "--accept: real firmware decides that by itself"),
        (["--no-td"], "--no-td: a plain VM accepts nothing"),
        (["--json", "-o", "x.tsv"], "give one of them"),
        (["--memory", "64K"], "out of range"),
    ],
)
def test_options_that_do_not_apply_are_misuse(
    words: list[str], why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made.fd"
    path.write_bytes(made_firmware(b"\xf4"))
    assert main(["firmware", "accepts", str(path), *words]) == 2
    assert why in capfd.readouterr().err


def test_firmware_has_a_size_of_whole_64_kib(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="in steps of 64 KiB"), opened(tmp_path, bytes(96 * KIB + 1)):
        pass


def test_a_file_that_was_cut_inside_of_a_volume_is_refused(tmp_path: Path) -> None:
    header = struct.pack("<16x16xQ4sIHHHBBIIQ", 2 * SIZE, b"_FVH", 0, 72, 0, 0, 0, 2, 1, SIZE, 0)
    checksum = -sum(word for (word,) in struct.iter_unpack("<H", header)) & 0xFFFF
    header = header[:50] + struct.pack("<H", checksum) + header[52:]
    data = made_firmware(b"")
    whole = header + data[len(header) :]
    with pytest.raises(FormatError, match=f"cut: a firmware volume goes on {SIZE:,} bytes beyond its end"):
        opened(tmp_path, whole).__enter__()
    with opened(tmp_path, whole[:50] + bytes((whole[50] ^ 1,)) + whole[51:]):
        pass  # its checksum says that it is not a volume


def test_the_code_of_a_split_image_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"the code alone, which 'cat VARS .*' joins to its variable store"):
        opened(tmp_path, bytes(0x1000) + made_firmware(b"")).__enter__()


def test_a_run_s_journal_is_drawn_by_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accept_one_page = bytes.fromhex("B806000000 B900000001 660F01CC")  # mov eax, 6; mov ecx, 16 MiB; tdcall
    firmware, journal, drawing = tmp_path / "made.fd", tmp_path / "run.jsonl", tmp_path / "run.svg"
    firmware.write_bytes(made_firmware(accept_one_page + HLT))
    main(["firmware", "run", str(firmware), "--memory", "1G", "--trace", str(journal)])
    assert '"service": "TDG.MEM.PAGE.ACCEPT"' in journal.read_text()
    assert main(["report", str(journal), "-o", str(drawing)]) == 0
    assert "made.fd, loader direct, accept the firmware&#x27;s own" in drawing.read_text()
