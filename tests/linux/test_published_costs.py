"""The model's range holds every published figure for accepting a TD's memory, each named by its source."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.linux.os_side import OsAccept
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.accept import AcceptOutcome
from tdvfsh.td.cost import Modelled, cost_model
from tdvfsh.units import GIB, PAGE_SIZE
from tests.boots.made_files import Opener

LKVS = "Intel LKVS BM/tdx-guest/tdx_mem_test.sh, baselines"
ASTERINAS = "asterinas PR 1691"
BOOTS = "asterinas issue 3640"
NOT_ACCEPTING = 5.5
"""Seconds of asterinas's boots that do not accept."""
KATA = "kata-containers issue 13535"
DSTACK = "dstack PR 1220"
SNP = "OHCL-Linux-Kernel issue 50, of AMD SEV-SNP"
EVERY_PAGE = ("smp_blocks=13.5",)
"""A kernel that has all memory in its zones while vCPUs come online, as dstack's."""


class Figure(NamedTuple):
    """Seconds that a source states for accepting ``gib``, shared by ``workers`` of as many vCPUs."""

    source: str
    gib: int
    workers: int
    seconds: float


EAGER = (
    Figure(LKVS, 8, 1, 24), Figure(LKVS, 8, 1, 19), Figure(LKVS, 32, 1, 119), Figure(LKVS, 32, 1, 95),
    Figure(LKVS, 96, 1, 398), Figure(LKVS, 96, 1, 321),
    Figure(f"{LKVS}, 32 vCPUs with 1 worker", 16, 1, 34), Figure(f"{LKVS}, 32 vCPUs with 1 worker", 32, 1, 80),
    Figure(f"{LKVS}, 32 vCPUs with 1 worker", 96, 1, 271),
    Figure(LKVS, 16, 32, 6), Figure(LKVS, 32, 32, 11), Figure(LKVS, 96, 32, 33),
    Figure(ASTERINAS, 8, 1, 30), Figure(f"{ASTERINAS}, 14 us a page", 1, 1, 14e-6 * GIB / PAGE_SIZE),
    Figure(BOOTS, 8, 1, 25 - NOT_ACCEPTING), Figure(BOOTS, 8, 4, 12 - NOT_ACCEPTING),
    Figure(BOOTS, 8, 8, 9 - NOT_ACCEPTING),
    Figure(SNP, 64, 64, 57),
)  # fmt: skip


def holds(time: Modelled, seconds: float) -> bool:
    low, high = time.range_seconds
    return low <= seconds <= high


@pytest.mark.parametrize("figure", EAGER, ids=lambda figure: f"{figure.source}-{figure.gib}G-{figure.workers}")
def test_accepting_in_pages_of_4_kib_takes_as_long_as_published(figure: Figure) -> None:
    pages = figure.gib * GIB // PAGE_SIZE
    work = AcceptOutcome(pages_4k=pages, calls=pages + pages // 512, td_exits=pages)
    assert holds(cost_model(("kvm-4k",)).time(work, figure.workers), figure.seconds)


@pytest.mark.parametrize(("workers", "least", "most"), [(1, 8e-6, 16e-6), (32, 0.34 / 262_144, 0.38 / 262_144)])
def test_a_page_takes_as_long_as_the_totals_make_it(workers: int, least: float, most: float) -> None:
    """8 to 16 us on one processor, and with 32 workers 0.34 to 0.38 s a GiB: all figures are within the range."""
    pages = 1 << 20
    low, high = cost_model().time(
        AcceptOutcome(pages_4k=pages, calls=pages, td_exits=pages), workers
    ).range_seconds  # fmt: skip
    assert low / pages <= least * 1.001
    assert most / 1.001 <= high / pages


def test_2_mib_pages_of_64_vcpus_take_under_a_second_where_the_placeholder_is_right() -> None:
    """SEV-SNP again, since nobody has published a 2 MiB accept of TDX; and the result says that it is a placeholder."""
    machine = Machine(TdOptions(memory="64G", vcpus=64, accept="eager", cost="kvm-2m"))
    assert machine.boot_accept is not None
    time = machine.boot_accept.time
    assert time.range_seconds[0] < time.seconds < 1
    assert time.rests_on_placeholder
    assert time.is_extrapolated


def test_64_gib_accepted_at_once_outlast_90_s_and_lazily_accepted_they_boot_in_15_s() -> None:
    """kata-containers issue 13535: eager firmware had not come to BDS after 90 s; lazy firmware boots in 15 s."""
    seconds = {}
    for accept in ("eager", "below-4g", "512M"):
        machine = Machine(TdOptions(memory="64G", accept=accept, cost="kvm-4k"))
        assert machine.boot_accept is not None
        seconds[accept] = machine.boot_accept.time.range_seconds
    assert 90 < seconds["eager"][0] < seconds["eager"][1] < 1200
    assert seconds["below-4g"][1] < 15
    assert seconds["512M"][1] < 15


def _to_init(opened: Opener, vcpus: int) -> BootResult:
    options = TdOptions(memory="32G", vcpus=vcpus, accept="below-4g", cost=EVERY_PAGE)
    return boot(options, opened(0, "nokaslr").boot)


def _step(result: BootResult, who: str) -> OsAccept:
    assert result.os_side is not None
    return next(step for step in result.os_side.steps if step.who == who)


@pytest.mark.parametrize(("vcpus", "least", "most"), [(64, 50, 50), (248, 575, 680)])
def test_many_vcpus_reach_init_when_they_did(opened: Opener, vcpus: int, least: float, most: float) -> None:
    """dstack PR 1220: 32 GiB in 4 KiB pages, about 50 s with 64 vCPUs, 575 to 680 s with 248."""
    result = _to_init(opened, vcpus)
    assert result.os_side is not None
    time = result.accept_time + result.os_side.time
    assert holds(time, least)
    assert holds(time, most)
    assert time.is_extrapolated


def test_the_boot_processor_accepts_13_gib_while_247_others_come_online(opened: Opener) -> None:
    """dstack PR 1220: about 13 GiB, and most of the time goes there."""
    result = _to_init(opened, 248)
    step = _step(result, "SMP bring-up")
    assert step.accepted_bytes == pytest.approx(13 * GIB, rel=0.05)
    assert result.os_side is not None
    assert step.time.likely > 0.6 * (result.accept_time + result.os_side.time).likely


def test_a_fault_takes_8_us_early_and_153_us_late() -> None:
    """dstack PR 1220, of 248 vCPUs."""
    for online, seconds in ((1, 8e-6), (248, 153e-6)):
        low, _, high = cost_model().exit_nanoseconds(online)
        assert low <= seconds * 1e9 <= high


def test_without_being_told_which_kernel_it_is_the_range_holds_both(opened: Opener) -> None:
    """Most kernels accept little while vCPUs come online, dstack's accepts 13 GiB: the range says so."""
    result = boot(TdOptions(memory="32G", vcpus=248, accept="below-4g"), opened(0, "nokaslr").boot)
    assert result.os_side is not None
    time = result.accept_time + result.os_side.time
    assert holds(time, 575)
    assert holds(time, 680)
    assert time.is_extrapolated
