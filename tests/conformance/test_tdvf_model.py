"""The model's accepts at boot against recordings of real firmware that ran as a TD."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import parse_size
from tests.conformance.tdvf import accepts_of_model, compare

RECORDINGS = Path(__file__).parents[1] / "recordings"
MODELS = {"t": ("trixie", "ovmf-2025.02"), "b": ("bookworm", "ovmf-2022.11"), "s": ("sid", "inteltdx")}


@pytest.mark.parametrize("path", sorted((RECORDINGS / "tdvf").glob("sec-*.tsv")), ids=lambda path: path.stem)
def test_each_release_s_accepts_at_boot_are_those_recorded(path: Path) -> None:
    _, firmware, memory, vcpus = path.name.split(".")[0].split("-")
    profile, model = MODELS[firmware]
    options = TdOptions(
        cost="kvm-2m",
        memory=parse_size(memory),
        vcpus=int(vcpus),
        accept=parse_boot_accept("below-4g"),
        profile=profile,
        firmware_model=model,
    )
    tally = compare(path, accepts_of_model(options), by_vcpu=True)
    assert tally.differences == []
    assert tally.agree > 1000


@pytest.mark.parametrize("path", sorted((RECORDINGS / "rfc").glob("sec-*.tsv")), ids=lambda path: path.stem)
def test_the_rfc_author_s_own_firmware_counts_unaccepted_memory_only_and_accepts_alone(path: Path) -> None:
    found = re.fullmatch(r"sec-pr3245-(\d+)-(\w+)-(\d+)\.accepts", path.stem)
    assert found is not None
    options = TdOptions(
        cost="kvm-2m",
        memory=parse_size(found[2]),
        vcpus=int(found[3]),
        accept=parse_boot_accept(f"{found[1]}M"),
        profile="lazy-v2",
    )
    tally = compare(path, accepts_of_model(options), by_vcpu=True)
    assert tally.differences == []
    assert tally.agree > 500
