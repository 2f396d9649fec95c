"""Machines that start from another machine's map."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tdvfsh.boots.modelled_boot import boot
from tdvfsh.errors import FormatError, TdvfshError, UsageError
from tdvfsh.linux.os_side import os_side
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.report.memmap_text import memmap_sfo, memmap_table
from tdvfsh.td.added import added_spans
from tdvfsh.td.hob import build_td_hob_list, td_hob_entries
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import INSTALLER_INITRD, Opener

RECORDINGS = Path(__file__).parents[1] / "recordings"
MAPS = sorted((RECORDINGS / "memmap").glob("*.txt"))

LAZY = """\
Type       Start            End              # Pages          Attributes
Available  0000000000001000-000000001FFFFFFF 000000000001FFFF 000000000000000F
BS_Data    0000000020000000-0000000020FFFFFF 0000000000001000 000000000000000F
Unaccepted 0000000021000000-000000003FFFFFFF 000000000001F000 0000000000000000
Unaccepted 0000000100000000-000000017FFFFFFF 0000000000080000 0000000000000000
"""


def _machine(path: Path, td: bool = True) -> Machine:
    return Machine(TdOptions(map=str(path), td=td))


def _write(folder: Path, text: str) -> Path:
    path = folder / "map.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.name)
@pytest.mark.parametrize("td", [True, False], ids=["td", "plain"])
def test_a_recorded_map_is_what_the_machine_reports(path: Path, td: bool) -> None:
    descriptors = _machine(path, td).services.memory_map_view().descriptors
    text = path.read_bytes().decode("latin-1")
    assert [line for line in memmap_table(descriptors) if "-" in line] == [
        line for line in text.replace("\r\n", "\n").splitlines() if "-" in line
    ]
    sfo = path.with_suffix(".sfo")
    descriptors = _machine(sfo, td).services.memory_map_view().descriptors
    recorded = sfo.read_bytes().decode("latin-1").replace("\r\n", "\n").splitlines()
    assert memmap_sfo(descriptors) == [line for line in recorded if line]


@pytest.mark.parametrize(("name", "model"), [("trixie-2G.txt", "ovmf-2025.02"), ("bookworm-512M.txt", "ovmf-2022.11")])
def test_the_firmware_that_printed_a_map_is_recognised_and_named(name: str, model: str) -> None:
    machine = _machine(RECORDINGS / "memmap" / name)
    assert machine.start.firmware_name == model
    assert model in machine.start.notes[0]


def test_ram_is_what_the_map_has_of_it_and_all_of_it_is_accepted() -> None:
    machine = _machine(RECORDINGS / "memmap" / "trixie-512M.txt")
    assert machine.td.ram.memory == machine.options.memory == 0x20000000 - 0x60000  # all but the legacy hole
    assert machine.td.accepted_bytes == machine.td.ram.memory
    assert machine.boot_bytes == machine.td.ram.memory
    assert machine.td.added_bytes == 0


def test_unaccepted_ranges_of_a_map_stay_unaccepted_and_can_be_accepted(tmp_path: Path) -> None:
    machine = _machine(_write(tmp_path, LAZY))
    assert machine.td.ram.spans == ((0x1000, GIB), (4 * GIB, 6 * GIB))
    assert machine.td.unaccepted_bytes == (0x40000000 - 0x21000000) + 2 * GIB
    assert machine.services.accept_memory(0x21000000, 16 * MIB).name == "EFI_SUCCESS"
    assert machine.td.unaccepted_bytes == (0x40000000 - 0x22000000) + 2 * GIB


def test_a_plain_vm_takes_unaccepted_ranges_for_conventional_memory(tmp_path: Path) -> None:
    machine = _machine(_write(tmp_path, LAZY), td=False)
    types = {entry.memory_type for entry in machine.services.memory_map_view().descriptors}
    assert EfiMemoryType.EfiUnacceptedMemoryType not in types
    assert machine.td.unaccepted_bytes == 0


def test_files_boot_on_a_map_and_its_holes_are_respected(tmp_path: Path, opened: Opener) -> None:
    result = boot(TdOptions(map=str(_write(tmp_path, LAZY)), on_demand="service"), opened(600 * MIB).boot)
    assert result.booted
    assert result.boot_bytes + result.on_demand_bytes + result.left_to_os_bytes == result.machine.td.ram.memory
    assert any(entry.start >= 4 * GIB for entry in result.placements)


def test_a_kernels_log_of_a_real_boot_serves_as_well(opened: Opener) -> None:
    log = RECORDINGS / "boot" / "direct-bookworm-2G-linux-6.1.txt"
    result = boot(TdOptions(map=str(log), td=False), opened(INSTALLER_INITRD).boot)
    assert result.booted
    assert result.machine.start.notes[0].startswith(str(log))


def test_e820_lines_make_a_machine(tmp_path: Path, opened: Opener) -> None:
    path = _write(
        tmp_path,
        "[0.0] BIOS-e820: [mem 0x0000000000000000-0x000000000009fbff] usable\n"
        "[0.0] BIOS-e820: [mem 0x000000000009fc00-0x00000000000fffff] reserved\n"
        "[0.0] BIOS-e820: [mem 0x0000000000100000-0x000000003fffffff] usable\n",
    )
    machine = _machine(path)
    assert machine.start.firmware_name == "unknown"
    assert machine.td.ram.spans == ((0, 0x9F000), (0x100000, GIB))
    assert boot(machine.options, opened(INSTALLER_INITRD).boot).booted


def test_a_td_hob_list_says_what_the_vmm_hands_over_and_the_rest_is_firmwares(tmp_path: Path) -> None:
    path = tmp_path / "hob.bin"
    entries = td_hob_entries(RamLayout.q35(3 * GIB), added_spans())
    path.write_bytes(build_td_hob_list(entries, 0x809000))
    machine = _machine(path)
    usual = Machine(TdOptions(memory=3 * GIB))
    assert machine.hob_entries == usual.hob_entries
    assert machine.services.memory_map_view() == usual.services.memory_map_view()
    assert machine.boot_bytes == usual.boot_bytes == 512 * MIB


OVERLAP = LAZY.replace("0000000020000000-0000000020FFFFFF", "000000001F000000-000000001FFFFFFF")
NO_RAM = LAZY.replace("Available ", "Unaccepted").replace("BS_Data   ", "Unaccepted")
ALL_USED = LAZY.replace("Available ", "BS_Code   ")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (OVERLAP, "ranges overlap"),
        (NO_RAM, "no RAM that is accepted"),
        (ALL_USED, "no Conventional memory"),
        ("hello\n", "not a memory map"),
        ("", "not a memory map"),
    ],
)
def test_a_map_that_cannot_be_is_refused_in_one_line(tmp_path: Path, text: str, why: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(FormatError, match=why) as refusal:
        _machine(path)
    assert "\n" not in str(refusal.value)


def test_a_td_hob_list_that_sec_refuses_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hob.bin"
    data = bytearray(build_td_hob_list(td_hob_entries(RamLayout.q35(GIB)), 0x809000))
    data[56 + 4] = 1  # the first resource descriptor's Reserved
    path.write_bytes(data)
    with pytest.raises(FormatError, match="SEC refuses"):
        _machine(path)


def test_ram_beyond_the_shared_bit_is_refused(tmp_path: Path) -> None:
    text = LAZY + "Available  0000800000000000-0000800000FFFFFF 0000000000001000 000000000000000F\n"
    with pytest.raises(UsageError, match="shared bit of GPAW 48"):
        _machine(_write(tmp_path, text))


_KINDS = (
    "Available ",
    "BS_Code   ",
    "BS_Data   ",
    "RT_Data   ",
    "ACPI_NVS  ",
    "Reserved  ",
    "MMIO      ",
    "Unaccepted",
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(0, 0x20000), st.integers(1, 0x30000), st.sampled_from(_KINDS), st.sampled_from((0, 15))),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(("none", "allocator", "loader", "service")),
    st.sampled_from(("direct", "grub2.12")),
)
def test_any_map_makes_a_machine_whose_bytes_add_up_or_a_refusal(
    tmp_path: Path, opened: Opener, pieces: list[tuple[int, int, str, int]], on_demand: str, loader: str
) -> None:
    rows, at = [], 0
    for gap, pages, kind, attribute in pieces:
        at += gap
        rows.append(f"{kind} {at << 12:016X}-{((at + pages) << 12) - 1:016X} {pages:016X} {attribute:016X}\n")
        at += pages
    path = _write(tmp_path, "".join(rows))
    try:
        result = boot(TdOptions(map=str(path), on_demand=on_demand, loader=loader), opened(0).boot)
    except TdvfshError as error:
        refusal = str(error)
    else:
        refusal = ""
    assert "\n" not in refusal
    if refusal:
        return
    assert result.boot_bytes + result.on_demand_bytes + result.left_to_os_bytes == result.machine.td.ram.memory
    os_side(result)
