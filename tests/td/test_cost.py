"""The cost model: its constants, its presets, and the times that it makes of counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.errors import FormatError, HostError, UsageError
from tdvfsh.td.accept import AcceptOutcome, accept_memory_resource
from tdvfsh.td.clock import VirtualClock
from tdvfsh.td.cost import CONSTANTS, NO_TIME, PRESETS, CostModel, Modelled, Unit, cost_model
from tdvfsh.td.cost.constants import parse_value, value_text
from tdvfsh.td.cost.cost_file import cost_file_text
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, PAGE_SIZE

COUNTS = st.builds(
    AcceptOutcome,
    pages_4k=st.integers(0, 1 << 24),
    pages_2m=st.integers(0, 1 << 20),
    calls=st.just(1 << 25),
    td_exits=st.integers(0, 1 << 24),
)
PINNED = ("accept_4k=1ns", "accept_2m=10ns", "td_exit=100ns", "rejected_call=1us")


@pytest.mark.parametrize("name", PRESETS)
def test_every_constant_of_a_preset_has_ascending_values_and_a_source(name: str) -> None:
    model = cost_model((name,))
    assert list(model.constants) == list(CONSTANTS)
    for constant in model.constants.values():
        assert constant.low <= constant.likely <= constant.high
        assert len(constant.source) > 20
        assert constant.is_placeholder == constant.source.startswith("placeholder:")


def test_presets_differ_in_what_the_host_maps() -> None:
    assert [cost_model((name,)).host_page_size for name in PRESETS] == [PAGE_SIZE, LARGE_PAGE_SIZE]
    assert cost_model() == cost_model(("kvm-4k",))


def test_calls_that_accept_nothing_and_exits_have_their_price() -> None:
    work = AcceptOutcome(pages_4k=2, pages_2m=3, calls=9, td_exits=5)
    cost = cost_model(PINNED)
    assert cost.nanoseconds(work) == 2 * 1 + 3 * 10 + 5 * 100 + 4 * 1000
    assert cost.seconds(work) == cost.nanoseconds(work) / 1e9


@given(COUNTS, st.integers(1, 300))
def test_low_is_below_likely_and_likely_below_high(work: AcceptOutcome, vcpus: int) -> None:
    time = cost_model().time(work, vcpus)
    assert time.low <= time.likely <= time.high
    assert 0 <= time.placeholder <= time.likely + 1


@given(COUNTS, COUNTS)
def test_times_add_up(one: AcceptOutcome, other: AcceptOutcome) -> None:
    cost = cost_model()
    both, apart = cost.time(one + other), cost.time(one) + cost.time(other)
    assert abs(both.likely - apart.likely) <= 1
    assert apart - cost.time(other) == cost.time(one)


def test_more_vcpus_than_were_observed_are_extrapolated() -> None:
    work = AcceptOutcome(pages_4k=1000, calls=1000, td_exits=1000)
    assert [cost_model().time(work, vcpus).is_extrapolated for vcpus in (1, 32, 33)] == [False, False, True]


def test_a_time_rests_on_a_placeholder_where_that_makes_a_twentieth_of_it() -> None:
    cost = cost_model(("kvm-2m",))
    small = AcceptOutcome(pages_4k=10_000, calls=10_000, td_exits=10_000)
    assert not cost.time(small).rests_on_placeholder
    assert cost.time(small + AcceptOutcome(pages_2m=100, calls=100, td_exits=100)).rests_on_placeholder
    assert not cost_model(("kvm-2m", "accept_2m=200us")).time(AcceptOutcome(pages_2m=9, calls=9)).rests_on_placeholder


def test_exits_grow_with_online_vcpus_up_to_a_most() -> None:
    cost = cost_model()
    likely = [cost.exit_nanoseconds(online)[1] for online in (1, 2, 100, 248)]
    assert likely == pytest.approx([8_000, 9_300, 136_700, 153_000])


def test_bring_up_costs_nothing_on_one_vcpu_and_no_more_than_there_is_to_accept() -> None:
    cost = cost_model(("smp_blocks=2",))
    block = AcceptOutcome(pages_4k=1024, calls=1026, td_exits=1024)
    assert cost.bring_up(block, 1, 100) == (0, NO_TIME)
    few, many = cost.bring_up(block, 9, 7), cost.bring_up(block, 9, 100)
    assert (few[0], many[0]) == (7, 16)
    flat = cost_model(("smp_blocks=2", "td_exit_per_vcpu=0ns")).bring_up(block, 9, 100)[1]
    assert flat.likely == pytest.approx(16 * cost.time(block).likely, rel=1e-6)
    assert many[1].likely - flat.likely == pytest.approx(16 * 1024 * 1_300 * 4.5, rel=1e-6)  # 1 to 8 others


def test_words_of_any_order_are_one_model() -> None:
    assert cost_model(("accept_4k=9us", "kvm-2m", "accept_4k=5us")) == cost_model(("kvm-2m", "accept_4k=5us"))
    given_range = cost_model(("accept_4k=5us/6us/8us",)).constants["accept_4k"]
    assert (given_range.low, given_range.likely, given_range.high) == (5000, 6000, 8000)
    assert given_range.source == "given with --cost"


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("kvm-1g", "unknown; choose one of kvm-4k, kvm-2m, FILE.toml"),
        ("accept_8k=9us", "unknown; choose one of accept_4k"),
        ("accept_4k=9", r"not a time \(example: accept_4k=9us\)"),
        ("accept_4k=-9us", "not a time"),
        ("accept_4k=9us/8us/7us", "ascending"),
        ("accept_4k=1us/2us", "LOW/LIKELY/HIGH"),
        ("serial_share=1.5", "at most 1"),
        ("smp_blocks=5us", "not a count"),
        ("td_exit=99999s", "at most 3600 s"),
    ],
)
def test_an_invalid_word_is_one_line(word: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        cost_model((word,))


@given(st.sampled_from(list(CONSTANTS)), st.integers(0, 10**9))
def test_a_value_is_read_as_it_is_written(name: str, value: int) -> None:
    value = value % 1000 if CONSTANTS[name].unit is not Unit.TIME else value
    wanted = value / 1000 if CONSTANTS[name].unit is Unit.SHARE else float(value)
    assert parse_value(name, value_text(name, wanted)) == pytest.approx(wanted, rel=1e-4, abs=0.01)


def test_a_file_is_a_model_and_is_written_as_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "kvm-2m"\naccept_2m = "90us"\n[td_exit]\nlikely = "5us"\nhigh = "7us"\nsource = "lab"\n')
    model = cost_model((str(path),))
    assert (model.host_page_size, model.constants["accept_2m"].likely) == (LARGE_PAGE_SIZE, 90_000)
    assert (model.constants["td_exit"].low, model.constants["td_exit"].source) == (5_000, "lab")
    assert model.constants["map_gpa"] == cost_model().constants["map_gpa"]
    path.write_text(cost_file_text(model, {}, "a head"))
    assert replace(cost_model((str(path),)), name=model.name) == model


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[", "not TOML"),
        ('host_page_size = "1G"', "host_page_size: give"),
        ('base = "mine"', "base: give kvm-4k or kvm-2m"),
        ('accept_1g = "9us"', "'accept_1g': not a constant"),
        ('accept_4k = "9"', "accept_4k=9: not a time"),
        ("accept_4k = 9", "accept_4k: give low, likely, high"),
        ('[accept_4k]\nlikely = "9us"\nlow = "10us"', "must ascend"),
        ('[accept_4k]\nlikely = "9us"\nobserved_vcpus = "many"', "observed_vcpus"),
    ],
)
def test_what_is_not_a_cost_file_is_one_line(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(FormatError, match=why):
        cost_model((str(path),))


def test_a_file_that_is_not_there_is_an_error_of_the_host(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        cost_model((str(tmp_path / "none.toml"),))


def test_a_td_spends_what_its_clock_shows() -> None:
    td = TrustDomain(RamLayout.q35(4 * GIB), host_page_size=PAGE_SIZE)
    outcome = accept_memory_resource(td, 0, GIB)
    assert td.spent == td.cost.time(outcome)
    assert td.spent.likely == td.clock.now_ns
    assert td.copy().spent == td.spent


def test_what_is_taken_from_a_sum_never_goes_below_nothing() -> None:
    assert Modelled(1, 2, 3) - Modelled(5, 5, 5) == NO_TIME


def test_the_clock_moves_only_forwards_and_only_when_told() -> None:
    clock = VirtualClock()
    clock.advance(1_500_000_000)
    twin = clock.copy()
    clock.advance(1)
    assert (twin.now_ns, twin.seconds, clock.now_ns) == (1_500_000_000, 1.5, 1_500_000_001)
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)


def test_a_model_is_a_value() -> None:
    assert isinstance(cost_model(), CostModel)
    assert replace(cost_model(), name="other") != cost_model()
