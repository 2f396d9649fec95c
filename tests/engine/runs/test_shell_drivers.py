"""The real Shell's ``drivers``, ``devices`` and ``devtree`` on our firmware, beside what they print on OVMF."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engine.runs.test_real_programs import run_shell

pytestmark = pytest.mark.images
RECORDED = Path("tests/recordings/drivers")
DISKS = ("FAT File System", "QEMU HARDDISK")
"""The recording's disks are others than the two of this machine."""


def without_numbers(text: str) -> list[str]:
    """Lines of a table or tree without handle numbers, disks and what OVMF has for other devices."""
    lines = [re.sub(r"^ *[0-9A-F]{1,2} |Ctrl\[..\]", "", line).rstrip() for line in text.splitlines()]
    lines = [
        re.sub(r"(Sata Controller|ATA Bus Driver|Disk I/O Driver|FAT File System Driver).*", r"\1", line)
        for line in lines
    ]
    return [line for line in lines if line.strip() and not line.rstrip().endswith(DISKS) and "VenHw" not in line]


def test_the_real_shell_prints_drivers_and_devices_as_on_ovmf(tmp_path: Path) -> None:
    commands = ("drivers", "devices", "devtree")
    _, text = run_shell(tmp_path, *commands, "disconnect -r", "exit")
    for command, following in zip(commands, ("Shell> devices", "Shell> devtree", "Shell> disconnect"), strict=True):
        start = text.index(f"Shell> {command}") + len(f"Shell> {command}\n")
        ours = without_numbers(text[start : text.index(following)])
        recorded = without_numbers((RECORDED / f"{command}.txt").read_text())
        assert [line for line in ours if not any(_alike(line, one) for one in recorded)] == [], command
        assert len(ours) >= {"drivers": 25, "devices": 17, "devtree": 14}[command]


def _alike(line: str, recorded: str) -> bool:
    """Whether lines are the same but for how many devices and children a driver of disks has."""
    counts = r"( [BD?] [-DX] [-DX]) +[-\d]+ +[-\d]+( +[-\d]+)?"
    return re.sub(counts, r"\1", line) == re.sub(counts, r"\1", recorded)
