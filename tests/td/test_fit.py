"""Fitting the cost model: constants are found again from data made with them, and what data cannot tell is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.errors import UsageError
from tdvfsh.td.accept import AcceptOutcome
from tdvfsh.td.cost import CostModel, cost_model
from tdvfsh.td.cost.fit import FITTED, Measured, fit

SMALL = AcceptOutcome(pages_4k=2_000_000, calls=2_004_000, td_exits=2_000_000)
LARGE = AcceptOutcome(pages_2m=4_000, calls=4_000, td_exits=4_000)
BACKED = AcceptOutcome(pages_4k=1_000_000, calls=1_000_000)
"""Pages that the VMM had added before: no exits."""


def measured(truth: CostModel, *work: tuple[AcceptOutcome, int, float], fixed: float = 0.0) -> Measured:
    seconds = sum(truth.time(counts, vcpus, share).likely for counts, vcpus, share in work) / 1e9
    return Measured(f"{seconds:.3f}", work, seconds + fixed, fixed)


def data(truth: CostModel) -> list[Measured]:
    return [
        measured(truth, (SMALL, 1, 1.0)),
        measured(truth, (SMALL, 4, 0.25), fixed=5.5),
        measured(truth, (SMALL, 1, 1.0), (SMALL, 32, 1 / 32)),
        measured(truth, (LARGE, 1, 1.0)),
        measured(truth, (LARGE, 8, 0.125)),
        measured(truth, (BACKED, 1, 1.0)),
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(1000, 15_000), st.integers(20_000, 400_000), st.integers(2000, 15_000), st.integers(1, 60))
def test_constants_are_found_again_from_data_made_with_them(small: int, large: int, exit_: int, share: int) -> None:
    words = (f"accept_4k={small}ns", f"accept_2m={large}ns", f"td_exit={exit_}ns", f"serial_share={share}%")
    truth = cost_model(words)
    found = fit(cost_model(), data(truth))
    for name in ("accept_4k", "accept_2m", "td_exit", "serial_share"):
        assert found.model.constants[name].likely == pytest.approx(truth.constants[name].likely, rel=0.01), name
    assert found.together == ()
    assert found.deviation < 1e-3
    assert found.absent == ("rejected_call",)


def test_what_only_appears_together_is_said_to_and_its_sum_is_right() -> None:
    truth = cost_model(("accept_4k=7us", "td_exit=6us"))
    one = measured(truth, (SMALL, 1, 1.0))
    found = fit(cost_model(), [one, replace(one, name="again")])
    assert found.together == (("accept_4k", "td_exit"),)
    assert set(found.absent) == {"accept_2m", "rejected_call"}
    constants = found.model.constants
    assert constants["accept_4k"].likely + constants["td_exit"].likely == pytest.approx(13_000, rel=1e-3)
    assert constants["accept_2m"] == cost_model().constants["accept_2m"]


def test_a_constant_that_is_held_lets_the_others_be_told_apart() -> None:
    truth = cost_model(("accept_4k=7us", "td_exit=6us"))
    found = fit(cost_model(("td_exit=6us",)), [measured(truth, (SMALL, 1, 1.0))], ("td_exit",))
    assert found.together == ()
    assert found.model.constants["accept_4k"].likely == pytest.approx(7000, rel=1e-3)
    assert found.model.constants["td_exit"].likely == 6000


def test_residuals_make_the_range_and_too_few_data_leave_it_as_wide_as_it_was() -> None:
    truth = cost_model(("accept_4k=7us",))
    exact = measured(truth, (SMALL, 1, 1.0))
    found = fit(cost_model(), [replace(exact, seconds=exact.seconds * factor) for factor in (0.9, 1.0, 1.1)])
    assert found.is_determined
    assert found.deviation == pytest.approx(0.1, rel=0.05)
    constant = found.model.constants["accept_4k"]
    assert constant.low == pytest.approx(constant.likely * 0.8, rel=0.05)
    alone = fit(cost_model(), [exact])
    assert not alone.is_determined
    before = cost_model().constants["accept_4k"]
    after = alone.model.constants["accept_4k"]
    assert after.high / after.likely == pytest.approx(before.high / before.likely)


def test_no_constant_becomes_less_than_nothing() -> None:
    quick = Measured("quicker than its exits", ((BACKED, 1, 1.0),), 1e-6)
    found = fit(cost_model(), [measured(cost_model(), (SMALL, 1, 1.0)), quick])
    assert all(constant.likely >= 0 for constant in found.model.constants.values())


def test_nothing_to_fit_is_one_line() -> None:
    with pytest.raises(UsageError, match="no measurements"):
        fit(cost_model(), [])
    with pytest.raises(UsageError, match="not above its fixed part"):
        fit(cost_model(), [Measured("it", ((SMALL, 1, 1.0),), 5.0, 5.0)])
    with pytest.raises(UsageError, match="all constants are given"):
        fit(cost_model(), [Measured("it", ((SMALL, 1, 1.0),), 5.0)], FITTED)
