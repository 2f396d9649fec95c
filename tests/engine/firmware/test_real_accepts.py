"""What Debian's firmware accepts in SEC, held against recorded lists: every call, in order, by its vCPU."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tdvfsh.machine import TdOptions
from tdvfsh.units import parse_size
from tests.conformance.tdvf import accepts_of_engine, compare
from tests.engine.runs.test_real_programs import image

pytestmark = pytest.mark.images
RECORDINGS: Final = Path(__file__).resolve().parents[2] / "recordings" / "tdvf"
FIRMWARE: Final = {"t": "ovmf-2025.02", "b": "ovmf-2022.11", "s": "ovmf-inteltdx"}
LISTS: Final = sorted(RECORDINGS.glob("sec-*.accepts.tsv"))


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.name.partition(".")[0])
def test_sec_accepts_what_was_recorded(path: Path) -> None:
    _, firmware, memory, vcpus = path.name.partition(".")[0].split("-")
    options = TdOptions(memory=parse_size(memory), vcpus=int(vcpus))
    tally = compare(path, accepts_of_engine(options, str(image(FIRMWARE[firmware], "firmware"))))
    assert tally.differences == []
    assert tally.agree > 1500
