"""A difference of two moments in sections, and as rows."""

from __future__ import annotations

from tdvfsh.machine.difference import MachineDifference, difference
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.diff_text import diff_lines, diff_sfo
from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID, Guid
from tdvfsh.units import GIB, MIB


def _name(guid: Guid) -> str:
    return "LoadedImage" if guid == EFI_LOADED_IMAGE_PROTOCOL_GUID else str(guid)


def _changed() -> tuple[Machine, MachineDifference]:
    machine = Machine(TdOptions(memory=2 * GIB))
    before = machine.snapshot()
    machine.services.accept_memory(GIB, 2 * MIB)
    machine.services.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID)
    return machine, difference(before, machine.snapshot())


def test_sections_stand_in_order_and_those_without_a_change_are_left_out() -> None:
    _, found = _changed()
    lines = diff_lines(found, {"a": "1"}, {"a": "2", "b": "x"}, _name)
    assert [line for line in lines if not line.startswith(" ")][:-1] == [
        f"Memory map (key {found.map_key[0]} -> {found.map_key[1]})", "GCD map", "Secure EPT", "Handles", "Variables",
    ]  # fmt: skip
    assert "  a: 1 -> 2" in "\n".join(lines)
    assert "  + b = x" in lines
    assert any(line.startswith("  + ") and line.endswith("LoadedImage") for line in lines)
    assert any("(accepted)" in line for line in lines)
    assert lines[-1].endswith("+2 MiB accepted; +512 TDCALLs; +4 records in the journal")


def test_backwards_the_signs_turn() -> None:
    machine = Machine(TdOptions(memory=2 * GIB))
    before = machine.snapshot()
    machine.services.accept_memory(GIB, 4 * MIB)
    lines = diff_lines(difference(machine.snapshot(), before), {"gone": "1"}, {}, _name)
    assert "  - gone = 1" in lines
    assert "-4 MiB accepted" in lines[-1]


def test_nothing_is_one_line() -> None:
    snapshot = Machine(TdOptions()).snapshot()
    assert diff_lines(difference(snapshot, snapshot), {}, {}, _name) == ["Nothing has changed."]
    assert diff_lines(None, {"a": "1"}, {"a": "1"}, _name) == ["Nothing has changed."]


def test_boot_services_that_are_gone_are_told() -> None:
    machine = Machine(TdOptions())
    before = machine.snapshot()
    machine.services.exit_boot_services()
    assert diff_lines(difference(before, machine.snapshot()), {}, {}, _name)[-1] == "Boot services: gone"


def test_rows_hold_bounds_in_hex_and_bytes_in_decimal() -> None:
    _, found = _changed()
    rows = diff_sfo(found, {}, {"a": 'say "x"'}, _name)
    assert rows[0] == 'ShellCommand,"diff"'
    assert f'MemoryMap,"40000000","401FFFFF","{2 * MIB}","Unaccepted","Available"' in rows
    assert any(row.startswith("Variable,") for row in rows)
    assert rows[-1].startswith("Account,")


def test_a_variable_cannot_move_the_cursor() -> None:
    lines = diff_lines(None, {}, {"a": "\x1b[2J"}, _name)
    assert lines == ["Variables", "  + a = \\x1b[2J"]
