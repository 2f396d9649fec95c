"""Devices of a saved machine: what they hold comes back, and one that no table knows is not lost in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.engine.devices.ports import PostCode
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.saved.devices import devices_to_dict, restore_devices
from tests.engine.saved.made_guest import made_machine

COMMAND, PCIEXBAR, BAR = 4, 0x60, 0x10


def test_base_addresses_and_the_configuration_window_answer_where_they_did(tmp_path: Path) -> None:
    with made_machine(tmp_path, disks=True) as (run, _):
        pci = run.board.devices.pci
        pci.configure(0, 0, PCIEXBAR, 8, 0xE0000001)
        pci.configure(0, 1 << 3, BAR + 4, 4, 0xC1000000)
        pci.configure(0, 1 << 3, BAR + 16, 8, 0x8_0000_0000)
        pci.configure(0, 1 << 3, COMMAND, 2, 6)
        memory = run.board.devices.memory
        memory.write(0x8_0000_0014, 1, 3)  # the driver's status
        saved = devices_to_dict(run.board)
        places = [(region.start, region.name) for region in memory.regions]
    with made_machine(tmp_path, disks=True) as (run, _):
        restore_devices(run.board, saved)
        memory = run.board.devices.memory
        assert [(region.start, region.name) for region in memory.regions] == places
        assert memory.read(0x8_0000_0014, 1) == 3
        assert memory.read(0xE0008000, 4) == 0x10421AF4  # the block device by the window
        assert devices_to_dict(run.board) == saved


def test_what_serial_port_timer_and_clock_hold_comes_back(tmp_path: Path) -> None:
    with made_machine(tmp_path) as (run, _):
        ports = run.board.devices.ports
        for port, value in (
            (0x3FB, 0x80),
            (0x3F8, 1),
            (0x3FB, 3),
            (0x3FF, 0x5A),
            (0x43, 0xB0),
            (0x42, 0x34),
            (0x70, 15),
        ):
            ports.write(port, 1, value)
        run.board.devices.serial.receive(b"typed")
        saved = devices_to_dict(run.board)
    with made_machine(tmp_path) as (run, _):
        restore_devices(run.board, saved)
        ports = run.board.devices.ports
        assert bytes(ports.read(0x3F8, 1) for _ in range(5)) == b"typed"
        assert ports.read(0x3FF, 1) == 0x5A
        ports.write(0x42, 1, 0x12)  # the second half of the count
        assert saved["devices"]["8254 PIT channel 2"]["first"] == 0x34


@pytest.mark.parametrize("where", ["ports", "memory"])
def test_a_device_of_a_kind_that_no_table_knows_refuses_the_save(tmp_path: Path, where: str) -> None:
    class Unknown(PostCode):
        """A device of another kind."""

    with made_machine(tmp_path) as (run, _):
        getattr(run.board.devices, where).attach(0x9000_0000 if where == "memory" else 0x9000, 16, "unknown", Unknown())
        with pytest.raises(EngineError, match=r"the state of its unknown.* has no place in the file"):
            devices_to_dict(run.board)
