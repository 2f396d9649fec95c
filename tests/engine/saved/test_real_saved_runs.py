"""Real firmware saved in the middle of its work and continued, as a TD with two vCPUs and as a plain VM.

Takes minutes, so that it runs by hand only: ``python -m pytest -m long tests/engine/saved``.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.console.serial_input import LinesAtPrompts
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.engine.firmware.saved_run import restore_run, save_run
from tdvfsh.engine.saved.machine_file import open_machine_file
from tdvfsh.engine.saved.machine_state import machine_header
from tdvfsh.engine.storage.drive import Drive
from tdvfsh.engine.virtio.parts import VirtioParts
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.long, pytest.mark.xdist_group("real firmware")]
IN_SYSTEM = "dd if=/dev/urandom of=/tmp/x bs=64k count=4\nsha256sum /tmp/x\ngrep Unacc /proc/meminfo\npoweroff -f\n"


def run(options: TdOptions, typed: str, until: str | None, disk: Path | None, save: Path | None = None,
        resume: Path | None = None) -> tuple[object, ...]:  # fmt: skip
    """Console, accepts, conversions and ending of a run, which is saved in the end or was saved before."""
    console = bytearray()
    path = image("ovmf-2025.02", "firmware")
    drives = [] if disk is None else [Drive(str(disk), writable=True)]
    with open_firmware(path) as firmware, RunLimit(600) as limit, FirmwareRun(
        firmware, options, output=console.extend, typed=LinesAtPrompts(typed), limit=limit,
        virtio=VirtioParts(drives, disk is not None),
        until=None if until is None else re.compile(until), keep=save is not None,
    ) as machine:  # fmt: skip
        if resume is not None:
            with open_machine_file(str(resume)) as file:
                restore_run(machine, file, options)
        ending = machine.run_to_end().ending
        if save is not None:
            save_run(machine, str(save), machine_header(options, "", [], real_code_only=False))
        return bytes(console), list(machine.accepts), [call[:4] for call in machine.conversions], ending


@pytest.mark.parametrize("options", [TdOptions(memory=2 * GIB, vcpus=2), TdOptions(memory=2 * GIB, td=False)])
def test_the_shell_s_prompt_continues_as_if_nothing_had_been(tmp_path: Path, options: TdOptions) -> None:
    saved = tmp_path / "machine"
    whole = run(options, "memmap\nreset -s\n", None, None)
    first = run(options, "", "Shell>", None, save=saved)
    rest = run(options, "memmap\nreset -s\n", None, None, resume=saved)
    assert (first[0] + rest[0], *rest[1:]) == whole  # type: ignore[operator]


def test_linux_on_a_disk_continues_at_its_prompt_as_if_nothing_had_been(tmp_path: Path) -> None:
    disk, saved = tmp_path / "small.img", tmp_path / "machine"
    assert main(["images", "make", "disk", "-o", str(disk)]) == 0
    options = TdOptions(memory=2 * GIB, vcpus=2)
    whole = run(options, IN_SYSTEM, None, disk)
    first = run(options, "", "^.*# $", disk, save=saved)
    rest = run(options, IN_SYSTEM, None, disk, resume=saved)
    assert (first[0] + rest[0], *rest[1:]) == whole  # type: ignore[operator]
