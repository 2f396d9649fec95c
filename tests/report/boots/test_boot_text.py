"""The story of a boot, line by line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.linux.os_side import OsAccept, OsSide
from tdvfsh.loaders.flow import Placement
from tdvfsh.machine.asking import td_options
from tdvfsh.report.boots.boot_text import (
    account_lines,
    after_boot_lines,
    files_lines,
    labelled,
    os_lines,
    outcome_lines,
    placement_lines,
    story_lines,
    td_sentence,
)
from tdvfsh.report.modelled_text import range_text
from tdvfsh.td.cost import Modelled
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import MIB
from tests.boots.made_files import INSTALLER_INITRD, Opener


def _boot(opened: Opener, on_demand: str = "service", **more: object) -> BootResult:
    return boot(td_options("2G", "224M", on_demand, **more), opened(INSTALLER_INITRD).boot)  # type: ignore[arg-type]


def test_the_story_names_files_td_placements_outcome_and_account_in_this_order(opened: Opener) -> None:
    files = opened(INSTALLER_INITRD)
    lines = story_lines(boot(td_options("2G", "224M", "service"), files.boot), files.initrds)
    firsts = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    order = [firsts.index(label) for label in ("kernel", "initrd", "cmdline", "TD", "placed", "result", "accepted")]
    assert order == sorted(order)


def test_the_account_adds_up_to_all_ram_in_words(opened: Opener) -> None:
    result = _boot(opened)
    (line,) = [line for line in account_lines(result) if line.startswith("accepted")]
    assert line.startswith(f"accepted  224 MiB at boot (modelled {range_text(result.boot_accept_time)})")
    text = " ".join(" ".join(account_lines(result)).split())
    assert "+ 38.84 MiB on demand (modelled " in text
    assert "left to the OS = 2 GiB" in text


def test_a_plain_vm_accepts_nothing(opened: Opener) -> None:
    result = _boot(opened, td=False)
    assert account_lines(result) == ["accepted  a plain VM accepts nothing"]
    assert td_sentence(result).startswith("plain VM, 2 GiB RAM, 1 vCPU, firmware ")


def test_a_failure_says_where_and_why(opened: Opener) -> None:
    result = _boot(opened, "none")
    assert result.failure is not None
    lines = outcome_lines(result)
    assert lines[0] == f"result    {result.status.name} at {result.stage}"
    assert " ".join(" ".join(lines).split()).endswith(f"why {result.failure.why}")


def test_a_boot_without_its_initrd_says_so(opened: Opener) -> None:
    result = _boot(opened)
    gone = tuple(replace(entry, freed=entry.what == "initrd" or entry.freed) for entry in result.placements)
    assert outcome_lines(replace(result, placements=gone))[0].endswith("boot services, without its initrd: EFI_SUCCESS")


def test_a_placement_that_is_gone_is_marked() -> None:
    data = EfiMemoryType.EfiLoaderData
    lines = placement_lines([Placement("kernel", MIB, 2 * MIB, data), Placement("initrd", 0, MIB, data, freed=True)])
    assert [line.split() for line in lines] == [
        ["placed", "start", "end", "size", "type"],
        ["kernel", "0x100000", "0x200000", "1", "MiB", "LoaderData"],
        ["initrd", "-", "0x0", "0x100000", "1", "MiB", "LoaderData"],
    ]
    assert placement_lines([]) == []


def test_the_operating_system_s_side_is_a_table_of_its_steps(opened: Opener) -> None:
    result = _boot(opened)
    assert result.os_side is not None
    assert os_lines(result.os_side) == after_boot_lines(result)[-len(os_lines(result.os_side)) :]
    step = OsAccept(who="memblock", accepted_bytes=4 * MIB, pages_4k=0, pages_2m=2, calls=2, why="because",
                    time=Modelled(300_000_000, 500_000_000, 900_000_000))  # fmt: skip
    side = OsSide(policy="lazy", steps=(step,), workload_bytes=0, unmet_bytes=3 * MIB, left_bytes=MIB, lost_bytes=0,
                  notes=("a note",))  # fmt: skip
    lines = [" ".join(line.split()) for line in os_lines(side)]
    assert lines == [
        "",
        "OS modelled: it accepts 4 MiB more in 300-900 ms, likely 500 ms, and leaves 1 MiB",
        "(accept_memory=lazy)",
        "memblock 4 MiB 500 ms (300-900 ms) because",
        "3 MiB of the workload find no memory",
        "OS a note",
    ]
    assert os_lines(None) == []


def test_a_file_s_name_cannot_move_the_cursor(opened: Opener) -> None:
    result = _boot(opened)
    kernel = replace(result.files.kernel, path="k\x1b[2J")
    lines = files_lines(replace(result, files=replace(result.files, kernel=kernel)), ())
    assert "\x1b" not in "".join(lines)
    assert "k\\x1b[2J" in lines[0]


@pytest.mark.parametrize("text", ["", "short", "word " * 60])
def test_a_label_stands_in_a_column_of_its_own(text: str) -> None:
    lines = labelled("label", text)
    assert lines[0].startswith("label")
    assert all(line.startswith(" " * 10) for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == f"label {text}".strip()
