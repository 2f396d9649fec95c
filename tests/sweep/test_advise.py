"""Advice holds against trying every size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import HostError, UsageError
from tdvfsh.images.fetch import fetch
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.options import LOADER_NAMES, TdOptions
from tdvfsh.report.modelled_text import range_text
from tdvfsh.sweep.advice_text import advice_dict, advice_lines, fleet_lines
from tdvfsh.sweep.advise import Advice, Question, advise, kaslr_seeds
from tdvfsh.sweep.executors import local_workers
from tdvfsh.sweep.facts import ImageFacts, boot_files, facts_of, image_facts
from tdvfsh.sweep.search import AcceptSearch, run_trial
from tdvfsh.units import GIB, MIB, format_size
from tests.loaders.made import MadeImages

LOADERS = ("direct", "grub2.12")
STEP = 4 * MIB


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeImages:
    return MadeImages(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def image(made: MadeImages) -> Callable[..., ImageFacts]:
    """Facts of a made pair."""

    @cache
    def facts(initrd: int = 40_723_557, cmdline: str = "nokaslr", kernel: str = "6.12") -> ImageFacts:
        with open_boot_files(made.kernel(kernel), [], cmdline) as opened:
            plain = image_facts("pair", opened.boot)
        return facts_of("pair", plain.kernel, [("initrd", initrd)] if initrd else [], cmdline)

    return facts


def _brute_force(options: TdOptions, files: BootFiles) -> list[int]:
    """Every size in MiB with which the files boot."""
    sizes = range(1, options.memory // MIB + 1)
    return [size for size in sizes if run_trial(options, files, size * MIB).booted]


def _assert_agrees(options: TdOptions, files: BootFiles) -> None:
    booting = _brute_force(options, files)
    found = AcceptSearch(options, files, MIB).find()
    if not booting:
        assert found is None
        return
    assert found is not None
    failing = [size for size in range(booting[0], options.memory // MIB + 1) if size not in set(booting)]
    assert found.smallest.accept == booting[0] * MIB
    assert found.steady == (failing[-1] + 1 if failing else booting[0]) * MIB
    assert found.below is not None
    assert not found.below.booted


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("cmdline", ["nokaslr", "quiet"])
def test_the_search_agrees_with_trying_every_mib(image: Callable[..., ImageFacts], loader: str, cmdline: str) -> None:
    _assert_agrees(TdOptions(memory=320 * MIB, loader=loader), boot_files(image(cmdline=cmdline)))


@pytest.mark.parametrize("option", ["allocator", "service"])
def test_the_search_agrees_with_trying_every_mib_for_options_that_accept_on_demand(
    image: Callable[..., ImageFacts], option: str
) -> None:
    _assert_agrees(TdOptions(memory=256 * MIB, on_demand=option), boot_files(image()))


@pytest.mark.images
@pytest.mark.parametrize(
    ("loader", "cmdline"),
    [*((loader, "quiet") for loader in LOADER_NAMES), *((loader, "nokaslr") for loader in LOADERS)],
)
def test_the_search_agrees_with_trying_every_mib_on_the_real_installer(loader: str, cmdline: str) -> None:
    try:
        files = fetch("installer-13").files
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    with open_boot_files(files["kernel"], [files["initrd"]], cmdline) as opened:
        _assert_agrees(TdOptions(memory=384 * MIB, loader=loader), opened.boot)


def test_a_success_with_failures_above_it_is_found_and_not_trusted(image: Callable[..., ImageFacts]) -> None:
    # KASLR: the kernel's random place may be amid what the initrd needs, with one size and not with the next.
    files = boot_files(image(cmdline="quiet"))
    unsteady = []
    for seed in range(2):
        found = AcceptSearch(TdOptions(memory=512 * MIB, kaslr_seed=0x6A09E667 + seed), files, MIB).find()
        assert found is not None
        for size in found.fails_between:
            assert found.smallest.accept < size < found.steady
            unsteady.append(size)
    assert unsteady


def test_what_never_boots_has_no_answer(image: Callable[..., ImageFacts]) -> None:
    assert AcceptSearch(TdOptions(memory=256 * MIB), boot_files(image(300 * MIB)), MIB).find() is None


def test_every_size_below_the_first_success_is_tried_or_too_small_for_the_files(
    image: Callable[..., ImageFacts],
) -> None:
    options = TdOptions(memory=1 * GIB)
    found = AcceptSearch(options, boot_files(image()), MIB).find()
    assert found is not None
    held = found.smallest.held_bytes
    assert 2 * 40_723_557 < held < found.smallest.accept
    assert found.boots < 400


def _advise(questions: list[Question]) -> list[Advice]:
    with local_workers(1) as workers:
        return advise(questions, STEP, workers)


def test_what_is_recommended_boots_with_every_loader_and_nothing_that_boots_is_quicker(
    image: Callable[..., ImageFacts],
) -> None:
    options = TdOptions(memory=512 * MIB)
    (advice,) = _advise([Question(image(), options, LOADERS)])
    assert advice.recommended is not None
    files = boot_files(image())
    for choice in advice.choices:
        for loader in LOADERS:
            trial = run_trial(replace(options, loader=loader, on_demand=choice.on_demand), files, choice.accept)
            assert trial.booted
            assert trial.time.likely <= choice.time.likely
    assert advice.recommended.time.likely <= min(choice.time.likely for choice in advice.choices) * 1.05
    plain = next(choice for choice in advice.choices if choice.on_demand == "none")
    assert plain.accept == max(entry.found["none"].steady for entry in advice.loaders if entry.found["none"])


def test_with_kaslr_the_advice_holds_for_seeds_with_which_the_smallest_size_fails(
    image: Callable[..., ImageFacts],
) -> None:
    question = Question(image(cmdline="quiet"), TdOptions(memory=1 * GIB), ("direct",))
    (advice,) = _advise([question])
    files, seeds = boot_files(question.image), kaslr_seeds(question)
    assert len(seeds) == len(set(seeds)) == 32

    def failures(accept: int) -> int:
        return sum(not run_trial(replace(question.options, kaslr_seed=seed), files, accept).booted for seed in seeds)

    found, plain = advice.loaders[0].found["none"], next(one for one in advice.choices if one.on_demand == "none")
    assert found is not None
    assert failures(found.smallest.accept) > 0
    assert failures(plain.accept) == 0 < failures(plain.accept - STEP)
    assert "with each of 32 KASLR seeds" in advice.reason


def test_where_accepting_on_demand_is_quicker_it_is_recommended_and_the_reason_says_what_the_other_way_costs(
    image: Callable[..., ImageFacts],
) -> None:
    # Firmware of 2021 accepts at boot in pages of 4 KiB, so what is not accepted then counts for more.
    (advice,) = _advise([Question(image(), TdOptions(memory=512 * MIB, profile="rfc2021"), ("grub2.12",))])
    plain = next(choice for choice in advice.choices if choice.on_demand == "none")
    assert advice.recommended is not None
    assert (advice.recommended.on_demand, advice.recommended.accept) == ("service", 72 * MIB)
    assert f"it takes {plain.accept // MIB} MiB at boot and {range_text(plain.time)}" in advice.reason


def test_an_image_that_boots_nowhere_is_said_to(image: Callable[..., ImageFacts]) -> None:
    (advice,) = _advise([Question(image(300 * MIB), TdOptions(memory=256 * MIB), ("direct",))])
    assert advice.recommended is None
    assert "with direct nothing boots in 256 MiB, whatever is accepted" in "\n".join(advice_lines(advice))
    assert advice_dict(advice)["recommended"] is None


def test_a_fleet_is_a_table_with_one_size_for_all(image: Callable[..., ImageFacts]) -> None:
    questions = [Question(image(size), TdOptions(memory=512 * MIB), ("direct",)) for size in (40_723_557, 64 * MIB)]
    advices = _advise(questions)
    lines = fleet_lines(advices)
    assert lines[0].split() == ["image", "RAM", "direct", "for", "all", "recommended", "modelled", "today,", "below-4g"]
    sizes = [
        entry.found["none"].smallest.accept // MIB for one in advices for entry in one.loaders if entry.found["none"]
    ]
    assert [line.split()[2] for line in lines[1:3]] == [f"{size}M" for size in sizes]
    assert f"--accept {max(sizes)}M boots every image here" in lines[-1]


@pytest.mark.parametrize(
    ("options", "step", "complaint"),
    [
        (TdOptions(td=False), MIB, "--no-td"),
        (TdOptions(), 1000, "multiple of 4 KiB"),
        (TdOptions(), 0, "and not 0"),
    ],
)
def test_what_cannot_be_varied_is_refused(
    image: Callable[..., ImageFacts], options: TdOptions, step: int, complaint: str
) -> None:
    with pytest.raises(UsageError, match=complaint):
        AcceptSearch(options, boot_files(image()), step)


def test_advice_tells_what_dma_costs_where_that_is_more_than_lazy_accept_could_save(
    image: Callable[..., ImageFacts],
) -> None:
    (advice,) = _advise([Question(image(), TdOptions(memory=512 * MIB, profile="lazy-v2", cost="kvm-2m"), ("direct",))])
    assert advice.recommended is not None
    assert f"{advice.recommended.dma_pages:,} pages that firmware shares for DMA" in advice.reason
    (plain,) = _advise([Question(image(), TdOptions(memory=512 * MIB, profile="upstream"), ("direct",))])
    assert plain.recommended is not None
    assert ("DMA" in plain.reason) == (plain.recommended.dma_time.likely > plain.recommended.time.likely / 2)
    assert advice_dict(advice)["choices"][0]["dma_pages"] == advice.choices[0].dma_pages > 10_000


def test_head_room_is_on_top_of_what_boots_and_boots_too(image: Callable[..., ImageFacts]) -> None:
    options = TdOptions(memory=512 * MIB)
    plain, roomy = (
        next(choice for choice in advice.choices if choice.on_demand == "none")
        for (advice,) in (
            _advise([Question(image(), options, ("direct",), headroom)]) for headroom in (0.0, 0.1)
        )
    )  # fmt: skip
    assert roomy.least == plain.least == plain.accept
    assert plain.accept * 1.1 <= roomy.accept < plain.accept * 1.1 + 4 * STEP
    assert run_trial(options, boot_files(image()), roomy.accept).booted


def test_advice_begins_with_what_firmware_does_today_and_says_what_another_host_makes_of_it(
    image: Callable[..., ImageFacts],
) -> None:
    (advice,) = _advise([Question(image(), TdOptions(memory=1 * GIB), LOADERS, 0.1)])
    assert advice.recommended is not None
    assert advice.today.failing is None
    assert advice.today.time.likely > 10 * advice.today.other_time.likely  # 4 KiB here, 2 MiB there
    assert advice.other_page == 2 * MIB
    assert advice.elsewhere is not None
    text = " ".join("\n".join(advice_lines(advice)).split())
    assert "today below-4g is what mainline firmware does" in text
    assert text.index("today below-4g") < text.index(f"advice --accept {format_size(advice.recommended.accept)}")
    assert f"needs {advice.recommended.change.value}" in text
    assert "10 % of head-room" in text
    assert "on a host that maps 2 MiB pages" in text
    data = advice_dict(advice)
    assert data["today"]["boots"] is True
    assert data["other_host"]["host_page_size"] == 2 * MIB
    assert all(choice["needs"] != "today" for choice in data["choices"])


def test_what_does_not_boot_today_is_said_to(image: Callable[..., ImageFacts]) -> None:
    (advice,) = _advise([Question(image(300 * MIB), TdOptions(memory=256 * MIB), ("direct",))])
    assert advice.today.failing is not None
    assert "does not boot with direct" in " ".join("\n".join(advice_lines(advice)).split())
