"""The modelled OS side against real kernels: the rows of tests/recordings/os/accepts.tsv."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.linux.os_side import os_side
from tdvfsh.machine import TdOptions
from tdvfsh.units import MIB, parse_size
from tests.boots.made_files import Opener

RECORDING = Path(__file__).parents[1] / "recordings" / "os" / "accepts.tsv"
with RECORDING.open(encoding="utf-8", newline="") as stream:
    ROWS = list(csv.DictReader(stream, delimiter="\t"))
UNIT = 2 * MIB
BLOCK = 4 * MIB


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(list(row.values())[:5]))
def test_the_model_accepts_what_the_real_kernel_accepted(row: dict[str, str], opened: Opener) -> None:
    """Exact where rules decide; a few blocks of 4 MiB where the number of page requests was counted, on one vCPU."""
    files = opened(780, f"accept_memory={row['policy']}").boot
    assert files.kernel.linux is not None
    named = replace(files.kernel, linux=replace(files.kernel.linux, kernel_version=row["kernel"]))
    vcpus = int(row["vcpus"])
    options = TdOptions(memory=parse_size(row["memory"]), vcpus=vcpus, accept=parse_boot_accept(row["accept"]))
    side = os_side(boot(options, replace(files, kernel=named)))
    assert side is not None
    modelled = {step.who: step.accepted_bytes for step in side.steps}
    rules = {8: UNIT, 32: 3 * UNIT}.get(vcpus, 0)  # what many processors' areas free was used otherwise
    counted = 2 * BLOCK if vcpus == 1 else 9 * BLOCK
    allocated = modelled.get("page allocator", 0) + modelled.get("SMP bring-up", 0)
    assert abs(modelled["memblock"] - int(row["memblock"])) <= rules
    assert abs(modelled["eager"] - int(row["eager"])) <= rules
    assert abs(allocated - int(row["page allocator"])) <= counted
    assert abs(side.left_bytes - int(row["left"])) <= counted
    assert modelled["EFI stub"] == modelled["decompressor"] == modelled["initramfs"] == 0
