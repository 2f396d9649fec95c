"""What ``td`` shows of machines that are not the usual one."""

from __future__ import annotations

from pathlib import Path

from tdvfsh.machine import Machine, TdOptions
from tdvfsh.report.td_text import td_lines

RECORDED = Path(__file__).parents[1] / "recordings" / "memmap" / "trixie-512M.txt"


def _rows(machine: Machine) -> dict[str, str]:
    return {line[:12].strip(): line[12:] for line in td_lines(machine) if line[:12].strip()}


def test_the_usual_machine_has_no_unusual_rows() -> None:
    assert not {"From", "Host", "Attributes", "At exit"} & _rows(Machine(TdOptions())).keys()


def test_a_host_that_differs_from_its_cost_the_exit_policy_and_a_cleared_attribute_are_shown() -> None:
    rows = _rows(Machine(TdOptions(host_page_size="2M", accept_at_exit="unless-objected", sept_ve_disable=False)))
    assert rows["Cost"] == "kvm-4k; the host maps 2 MiB pages"
    assert rows["Host"] == "maps 2 MiB pages, and not as its cost says"
    assert "unless the OS objects" in rows["At exit"]
    assert "#VE" in rows["Attributes"]


def test_an_imported_map_shows_every_piece_of_ram_and_where_it_came_from() -> None:
    machine = Machine(TdOptions(map=str(RECORDED)))
    lines = td_lines(machine)
    assert [line.split()[-3] for line in lines[:2]] == [
        "0x0-0x9ffff",
        "0x100000-0x1fffffff",
    ]
    rows = _rows(machine)
    assert rows["Firmware"].startswith("ovmf-2025.02")
    assert rows["Accept"].startswith("as the map says")
    assert str(RECORDED) in rows["From"]
