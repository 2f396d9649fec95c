"""Firmware files: their TDX metadata makes the TD, and what they are chooses the footprint."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tdvfsh.boots.modelled_boot import boot
from tdvfsh.errors import FormatError, HostError, UsageError
from tdvfsh.formats.firmware_volume import INTEL_TDX_SEC_GUID, OVMF_SEC_GUID, firmware_files, security_core
from tdvfsh.images.fetch import fetch
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.firmware_file import read_firmware
from tdvfsh.td.added import added_spans, td_hob_section
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import MIB, PAGE_SIZE
from tests.boots.made_files import INSTALLER_INITRD, Opener
from tests.formats.test_tdvf import BFV, CFV, TD_HOB, firmware

PAGE_TABLES = (0, 0, 0x800000, 0x6000, 3, 0)
WORK_AREA = (0, 0, 0x80B000, 0x2000, 3, 0)


def _temporary_ram(base: int) -> tuple[int, int, int, int, int, int]:
    return (0, 0, base, 0x820000 - base, 3, 0)


def volume(*files: tuple[Guid, int], extended: bool = False) -> bytes:
    """A firmware volume with empty files of these names and types."""
    header_length, ext_offset = 72, 0
    body = b""
    if extended:
        ext_offset = header_length
        body = bytes(16) + struct.pack("<I", 20) + bytes(4)
    for name, kind in files:
        body += name.bytes_le + struct.pack("<HBB3sB", 0, kind, 0, (32).to_bytes(3, "little"), 0xF8) + bytes(8)
    body += b"\xff" * 64
    length = header_length + len(body)
    header = struct.pack("<16x16xQ4sIHHH", length, b"_FVH", 0, header_length, 0, ext_offset)
    return header.ljust(header_length, b"\0") + body


def _file(folder: Path, core: Guid | None = None, base: int | None = 0x810000) -> str:
    sections = [BFV, CFV, TD_HOB, PAGE_TABLES, WORK_AREA]
    if base is not None:
        sections.append(_temporary_ram(base))
    image = bytearray(firmware(tuple(sections)))
    if core is not None:
        data = volume((core, 3), extended=True)
        image[0x2000 : 0x2000 + len(data)] = data
    path = folder / "OVMF.fd"
    path.write_bytes(image)
    return str(path)


@pytest.mark.parametrize(
    ("core", "base", "model"),
    [
        (INTEL_TDX_SEC_GUID, 0x810000, "inteltdx"),
        (OVMF_SEC_GUID, 0x810000, "ovmf-2022.11"),
        (OVMF_SEC_GUID, 0x811000, "ovmf-2025.02"),
        (OVMF_SEC_GUID, 0x814000, "ovmf-2026.08"),
        (OVMF_SEC_GUID, 0x817000, "ovmf-2026.08"),
        (None, 0x811000, "ovmf-2025.02"),
        (None, None, "inteltdx"),
    ],
)
def test_the_footprint_follows_from_sec_core_and_temporary_ram_and_the_reason_is_given(
    tmp_path: Path, core: Guid | None, base: int | None, model: str
) -> None:
    facts = read_firmware(_file(tmp_path, core, base))
    assert facts.model == model
    machine = Machine(TdOptions(firmware=facts.path))
    assert machine.options.firmware_model == machine.start.firmware_name == facts.footprint(True)
    assert Machine(TdOptions(firmware=facts.path, td=False)).start.firmware_name == model
    assert facts.why in machine.start.notes[0]


def test_the_td_hob_list_carves_out_the_sections_of_the_file(tmp_path: Path) -> None:
    machine = Machine(TdOptions(firmware=_file(tmp_path, OVMF_SEC_GUID, 0x811000)))
    added = [(entry.start, entry.end) for entry in machine.hob_entries if not entry.is_unaccepted]
    assert added == [(0x800000, 0x806000), (0x809000, 0x80B000), (0x80B000, 0x80D000), (0x811000, 0x820000)]
    assert machine.td.added_bytes == sum(end - start for start, end in added)
    assert machine.boot_bytes == 512 * MIB


def test_more_ram_ranges_than_the_td_hob_section_holds_end_the_start(tmp_path: Path) -> None:
    many = tuple((0, 0, 0x1000000 + 2 * index * PAGE_SIZE, PAGE_SIZE, 3, 0) for index in range(90))
    path = tmp_path / "OVMF.fd"
    path.write_bytes(firmware((BFV, CFV, (0, 0, 0x809000, 0x2000, 2, 0), *many)))
    with pytest.raises(UsageError, match=r"TD HOB list of .* does not fit its section of 8192 bytes"):
        Machine(TdOptions(firmware=str(path)))


def test_sections_outside_ram_end_the_start(tmp_path: Path) -> None:
    path = tmp_path / "OVMF.fd"
    path.write_bytes(firmware((BFV, CFV, TD_HOB, (0, 0, 0xF0000000, 0x1000, 3, 0))))
    with pytest.raises(UsageError, match="does not lie in one piece of free RAM"):
        Machine(TdOptions(firmware=str(path)))


def test_a_file_without_tdx_metadata_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "SEABIOS.bin"
    path.write_bytes(bytes(65536))
    with pytest.raises(FormatError, match="no TDX metadata"):
        Machine(TdOptions(firmware=str(path)))
    with pytest.raises(HostError, match="nothing"):
        Machine(TdOptions(firmware=str(tmp_path / "nothing.fd")))


def test_files_of_every_volume_are_found_and_lengths_that_lie_end_a_volume() -> None:
    other = Guid("12345678-1234-1234-1234-123456789abc")
    image = volume((other, 7), (OVMF_SEC_GUID, 3)) + bytes(40) + volume((INTEL_TDX_SEC_GUID, 3))
    assert [file.name for file in firmware_files(memoryview(image), "fw")] == [
        other,
        OVMF_SEC_GUID,
        INTEL_TDX_SEC_GUID,
    ]
    core = security_core(memoryview(image), "fw")
    assert core is not None
    assert core.name == OVMF_SEC_GUID
    for size in range(0, len(image), 7):
        firmware_files(memoryview(image)[:size], "fw")
    lying = bytearray(volume((other, 7)))
    lying[72 + 20 : 72 + 23] = b"\xff\xff\x7f"
    assert firmware_files(memoryview(lying), "fw") == []


REAL = [
    ("ovmf-2025.02", "firmware", "ovmf-2025.02"),
    ("ovmf-2025.02", "firmware-code-4m", "ovmf-2025.02"),
    ("ovmf-inteltdx", "firmware", "inteltdx"),
]


@pytest.mark.images
@pytest.mark.parametrize(("image", "part", "model"), REAL)
def test_debians_firmware_files_make_the_td_that_their_presets_make(
    image: str, part: str, model: str, opened: Opener
) -> None:
    try:
        path = str(fetch(image).files[part])
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    facts = read_firmware(path)
    assert (facts.model, facts.added, facts.td_hob) == (model, added_spans(model), td_hob_section(model))
    files = opened(INSTALLER_INITRD).boot
    from_file = boot(TdOptions(firmware=path), files)
    preset = boot(TdOptions(firmware_model=model), files)
    assert preset.booted
    if image == "ovmf-inteltdx":  # its variable store has keys, none of which signed a made kernel
        assert (from_file.status, from_file.stage) == (EfiStatus.EFI_ACCESS_DENIED, "load_image")
        return
    assert from_file.booted
    assert from_file.placements == preset.placements
