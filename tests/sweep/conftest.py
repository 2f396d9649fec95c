"""Made images and specs for sweeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tdvfsh.sweep.executors import local_workers
from tdvfsh.sweep.images import read_images
from tdvfsh.sweep.row import Row
from tdvfsh.sweep.run import run_sweep
from tdvfsh.sweep.spec import SweepSpec, read_spec
from tdvfsh.sweep.store import ResultStore

MADE = """
[[made]]
name = "cloud"
kernel_size = 11_708_352
size_of_image = 0xB90000
init_size = 0x37DD000
output_len = 0x36E802C
initrd_size = ["40M", "300M"]
cmdline = "nokaslr"
"""

GRID = """
[[grid]]
memory = ["1G", "2G"]
accept = ["48M", { from = "128M", to = "256M", step = "64M" }, "below-4g"]
on_demand = ["none", "service"]
loader = ["direct", "grub2.12"]
"""

SpecMaker = Callable[..., SweepSpec]
SpecFile = Callable[..., Path]


@pytest.fixture
def spec_file(tmp_path: Path) -> SpecFile:
    """Write a spec; by default two made images over 40 scenarios each."""

    def write(text: str = MADE + GRID, name: str = "spec.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def swept(spec_file: SpecFile, tmp_path: Path) -> Callable[..., list[Row]]:
    """The rows of a spec, run in this process."""

    def run(text: str = MADE + GRID, folder: str = "results") -> list[Row]:
        spec = read_spec(spec_file(text))
        with ResultStore(tmp_path / folder) as store, local_workers(1) as workers:
            return list(run_sweep(read_images(spec.images), spec.grids, store, workers))

    return run
