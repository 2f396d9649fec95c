"""What Debian's firmware accepts in SEC, held against recorded lists: every call, in order, by its vCPU."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB, MIB, parse_size
from tests.conformance.tdvf import accepts_of_engine, compare
from tests.engine.runs.test_real_programs import image

pytestmark = pytest.mark.images
RECORDINGS: Final = Path(__file__).resolve().parents[2] / "recordings" / "tdvf"
FIRMWARE: Final = {"t": "ovmf-2025.02", "b": "ovmf-2022.11", "s": "ovmf-inteltdx"}
UNPACKED: Final = 10 * MIB  # where OvmfPkg puts the volumes of PEI and DXE
LISTS: Final = sorted(RECORDINGS.glob("sec-*.accepts.tsv"))
OPTIONS = TdOptions(cost="kvm-2m", memory=GIB)


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name.partition(".")[0])
def test_sec_accepts_what_was_recorded(path: Path) -> None:
    _, firmware, memory, vcpus = path.name.partition(".")[0].split("-")
    options = TdOptions(cost="kvm-2m", memory=parse_size(memory), vcpus=int(vcpus))
    tally = compare(path, accepts_of_engine(options, str(image(FIRMWARE[firmware], "firmware"))))
    assert tally.differences == []
    assert tally.agree > 1500


def test_the_host_changes_nothing_where_it_takes_the_place_of_firmware_s_code() -> None:
    path = str(image("ovmf-2025.02", "firmware"))
    found = []
    for real_code_only in (False, True):
        with (
            open_firmware(path) as firmware,
            RunLimit() as limit,
            FirmwareRun(firmware, OPTIONS, limit=limit, real_code_only=real_code_only) as run,
        ):
            run.run_sec()
            state, view = run.board.cpu.state, run.board.ram.view
            state.load()
            volumes = bytes(view[UNPACKED : UNPACKED + 16 * MIB])
            unpacked = run.unpacking.unpacked if run.unpacking is not None else []
            found.append((run.accepts, state.registers(), volumes, len(unpacked)))
    fast, slow = found
    assert (fast[3], slow[3]) == (1, 0)
    assert fast[:3] == slow[:3]
    assert fast[2].count(b"_FVH") > 1
