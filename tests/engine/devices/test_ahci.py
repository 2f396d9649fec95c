"""The AHCI controller and the keyboard controller as firmware's drivers find them: no disk, no key presses."""

from __future__ import annotations

from collections import Counter

import pytest

from tdvfsh.engine.devices.ahci import AhciController, AhciIndex
from tdvfsh.engine.devices.keyboard_controller import KeyboardController
from tdvfsh.engine.errors import GuestReset

CAP, GHC, PI, VS = 0, 4, 0xC, 0x10
PORT, COMMAND, STATUS = 0x100, 0x18, 0x28
STARTED, RECEIVES, RUNNING, RECEIVING = 1, 0x10, 1 << 15, 1 << 14
DATA, CONTROL = 0, 4


def test_six_ports_are_implemented_and_none_has_a_device() -> None:
    ahci = AhciController(Counter())
    assert ahci.read(PI, 4) == 0x3F
    assert ahci.read(CAP, 4) & 0x1F == 5
    assert ahci.read(GHC, 4) >> 31 == 1
    assert [ahci.read(PORT + 0x80 * port + STATUS, 4) & 0xF for port in range(6)] == [0] * 6


def test_a_port_runs_while_it_is_started_and_a_reset_stops_it() -> None:
    ahci = AhciController(Counter())
    ahci.write(PORT + COMMAND, 4, STARTED | RECEIVES)
    assert ahci.read(PORT + COMMAND, 4) == STARTED | RECEIVES | RUNNING | RECEIVING
    ahci.write(GHC, 4, 1)
    assert ahci.read(GHC, 4) & 1 == 0
    assert ahci.read(PORT + COMMAND, 4) == 0


def test_a_command_for_a_disk_that_is_not_there_is_named() -> None:
    missing: Counter[str] = Counter()
    AhciController(missing).write(PORT + 0x38, 4, 1)
    assert missing == {"a command to an AHCI port, which has no device": 1}


def test_the_index_ports_reach_the_same_registers() -> None:
    ahci = AhciController(Counter())
    index = AhciIndex(ahci)
    index.write(0x10, 4, VS)
    assert index.read(0x14, 4) == ahci.read(VS, 4) == 0x10000


def answers(controller: KeyboardController) -> list[int]:
    found = []
    while controller.read(CONTROL, 1) & 1:
        found.append(controller.read(DATA, 1))
    return found


def test_the_keyboard_controller_passes_its_test_and_the_keyboard_answers_its_reset() -> None:
    controller = KeyboardController(Counter())
    controller.write(CONTROL, 1, 0xAA)
    assert answers(controller) == [0x55]
    controller.write(DATA, 1, 0xFF)
    assert answers(controller) == [0xFA, 0xAA]


def test_a_mode_that_was_written_reads_back_and_switches_change_it() -> None:
    controller = KeyboardController(Counter())
    controller.write(CONTROL, 1, 0x60)
    controller.write(DATA, 1, 0x45)
    controller.write(CONTROL, 1, 0xAD)
    controller.write(CONTROL, 1, 0x20)
    assert answers(controller) == [0x55]


def test_the_mouse_is_reached_through_the_controller_and_marks_its_bytes() -> None:
    controller = KeyboardController(Counter())
    controller.write(CONTROL, 1, 0xD4)
    controller.write(DATA, 1, 0xF2)
    assert controller.read(CONTROL, 1) & 0x21 == 0x21
    assert answers(controller) == [0xFA, 0]


def test_an_argument_of_a_command_is_acknowledged_and_is_not_a_command() -> None:
    controller = KeyboardController(Counter())
    for byte in (0xF3, 0xFF):
        controller.write(DATA, 1, byte)
    assert answers(controller) == [0xFA, 0xFA]


def test_pulsing_the_reset_line_resets() -> None:
    with pytest.raises(GuestReset):
        KeyboardController(Counter()).write(CONTROL, 1, 0xFE)
