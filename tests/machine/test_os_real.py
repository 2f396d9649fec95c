"""The modelled OS side against real kernels: the rows of tests/recordings/os/accepts.tsv."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.machine import TdOptions
from tdvfsh.machine.boot import boot
from tdvfsh.machine.os_counts import early_count
from tdvfsh.machine.os_side import os_side
from tdvfsh.units import MIB, parse_size
from tests.machine.conftest import Opener

RECORDING = Path(__file__).parents[1] / "recordings" / "os" / "accepts.tsv"
with RECORDING.open(encoding="utf-8", newline="") as stream:
    ROWS = list(csv.DictReader(stream, delimiter="\t"))
ONE_BLOCK = 4 * MIB


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(list(row.values())[:4]))
def test_the_model_accepts_what_the_real_kernel_accepted(row: dict[str, str], opened: Opener) -> None:
    """Exact where rules decide; one block of 4 MiB where the number of page requests was counted."""
    files = opened(780, f"accept_memory={row['policy']}").boot
    assert files.kernel.linux is not None
    named = replace(files.kernel, linux=replace(files.kernel.linux, kernel_version=row["kernel"]))
    options = TdOptions(memory=parse_size(row["memory"]), accept=parse_boot_accept(row["accept"]))
    side = os_side(boot(options, replace(files, kernel=named)))
    assert side is not None
    modelled = {step.who: step.accepted_bytes for step in side.steps}
    assert modelled["memblock"] == int(row["memblock"])
    assert modelled["eager"] == int(row["eager"])
    assert abs(modelled.get("page allocator", 0) - int(row["page allocator"])) <= ONE_BLOCK
    assert abs(side.left_bytes - int(row["left"])) <= ONE_BLOCK
    assert modelled["EFI stub"] == modelled["decompressor"] == modelled["initramfs"] == 0


def test_every_kernel_whose_count_is_used_has_a_row() -> None:
    seen = {row["kernel"] for row in ROWS}
    assert {early_count(release).seen_with for release in seen} == seen
    assert len(ROWS) == 11
