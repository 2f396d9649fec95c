"""Firmware counts processors by the registers through which they could come and go."""

from __future__ import annotations

from collections import Counter

import pytest

from tdvfsh.engine.devices.cpu_hotplug import CpuHotplug

SELECTOR, FLAGS, COMMAND, DATA = 0, 4, 5, 8


@pytest.mark.parametrize("vcpus", [1, 4])
def test_firmware_that_selects_one_after_the_other_counts_all_and_finds_an_end(vcpus: int) -> None:
    missing: Counter[str] = Counter()
    registers = CpuHotplug(vcpus, missing)
    registers.write(SELECTOR, 4, 0)
    registers.write(COMMAND, 1, 0)
    counted = 0
    while registers.read(FLAGS, 1) & 1 and registers.read(DATA, 4) == counted:
        counted += 1
        registers.write(SELECTOR, 4, counted)
    assert counted == vcpus
    assert registers.read(DATA, 4) == 0
    assert not missing


def test_a_command_that_would_change_the_machine_is_named() -> None:
    missing: Counter[str] = Counter()
    CpuHotplug(1, missing).write(COMMAND, 1, 1)
    assert missing == {"CPU hotplug register 0x5 (write of 0x1)": 1}
