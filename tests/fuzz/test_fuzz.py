"""A short run over every target, the same each time, and tests of the fuzzer itself."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.formats.linux import parse_bzimage
from tdvfsh.formats.pe.parse import PeImage, PeRejection, parse_pe
from tdvfsh.formats.tdvf import guided_table
from tdvfsh.images.make import make_kernel
from tests.formats.pe_builder import Section, build_pe
from tests.fuzz import seeds
from tests.fuzz.mutate import mutate_bytes, mutate_pe
from tests.fuzz.naive_pe import judge_naively
from tests.fuzz.real import real_seeds
from tests.fuzz.run import fuzz
from tests.fuzz.targets import TARGETS, Target

RUNS = 40_000
SECONDS = 2.0
SLOWEST = 2.0


@pytest.mark.parametrize("name", TARGETS)
def test_every_parser_answers_a_short_run_of_broken_input_with_its_own_errors_only(name: str) -> None:
    share = TARGETS[name].share * RUNS // sum(target.share for target in TARGETS.values())
    outcome = fuzz(TARGETS[name], share, seed=20261123, seconds=SECONDS)
    assert outcome.finds == []
    assert outcome.runs >= 100
    assert outcome.slowest < SLOWEST


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_fit_for_its_target(name: str) -> None:
    found = TARGETS[name].seeds()
    assert len(found) >= 2
    for data in found:
        TARGETS[name].run(data)


@settings(max_examples=100, deadline=2000)
@given(st.sampled_from(sorted(TARGETS)), st.binary(max_size=300))
def test_noise_that_hypothesis_makes_is_refused_as_well(name: str, data: bytes) -> None:
    TARGETS[name].run(data)


def test_the_naive_rules_and_the_parser_reach_every_kind_of_verdict_on_mutated_images() -> None:
    random, pool = Random(7), seeds.images()
    reached = set()
    for _ in range(4000):
        data = mutate_pe(random, pool[int(random.random() * len(pool))], pool, ())
        verdict, naive = parse_pe(data), judge_naively(data)
        tag = verdict.image_error if isinstance(verdict, PeRejection) else None
        if naive is not None:
            assert tag == naive.image_error
        reached.add(tag)
    assert reached == {None, 0, 1, 3, 11}


def test_a_target_that_breaks_is_reported_with_the_input_that_broke_it() -> None:
    def fragile(data: bytes) -> None:
        assert b"\xff" not in data, "it broke"

    outcome = fuzz(Target(fragile, lambda: [bytes(20), b"some text"]), 2000, seed=1)
    assert outcome.finds
    assert all(b"\xff" in data and why.startswith("AssertionError: it broke") for data, why in outcome.finds)


def test_seeds_cut_from_images_keep_what_is_read_of_their_headers(tmp_path: Path) -> None:
    long = Section(b".long", 0x1000, 0x40000, 0x400, 0x40000)
    application = build_pe((long,), {4: (0x50000, 0x80), 6: (0x9000, 28)}, size=0x60000, size_of_image=0x41000)
    (tmp_path / "a.efi").write_bytes(application)
    make_kernel(tmp_path / "vmlinuz", 0x40000, 0x400000)
    (tmp_path / "some.fd").write_bytes(bytes(1 << 17) + seeds.firmwares()[2])
    (tmp_path / "manifest.json").write_text("{}")
    found = real_seeds(tmp_path)
    assert {target: len(inputs) for target, inputs in found.items()} == {"pe": 2, "inspect": 2, "bzimage": 1, "tdvf": 1}
    for name, inputs in found.items():
        for data in inputs:
            assert len(data) < 1 << 16
            TARGETS[name].run(data)
    image, whole = parse_pe(found["pe"][0]), parse_pe(application)
    assert isinstance(image, PeImage)
    assert isinstance(whole, PeImage)
    assert (image.size_of_image, len(image.sections)) == (whole.size_of_image, len(whole.sections))
    assert (
        parse_bzimage(found["bzimage"][0], "cut").version
        == parse_bzimage((tmp_path / "vmlinuz").read_bytes(), "whole").version
    )
    assert guided_table(found["tdvf"][0], "end") == guided_table(seeds.firmwares()[2], "whole")


def test_more_seeds_are_used() -> None:
    met = set()
    fuzz(Target(lambda data: met.add(data[:4]), lambda: [bytes(200), bytes(300)]), 300, 1, more_seeds=[b"real" * 50])
    assert b"real" in met


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_pe])
def test_a_seed_repeats_a_run(mutate: object) -> None:
    assert callable(mutate)
    pool = seeds.images()
    runs = [[mutate(random, pool[0], pool, (b"MZ",)) for _ in range(50)] for random in (Random(3), Random(3))]
    assert runs[0] == runs[1]
    assert len(set(runs[0])) > 30
