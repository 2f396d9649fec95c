"""What fitting the cost model found, in readable form, for programs, and as a cost file."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_typing import Any
from tdvfsh.report.boots.boot_text import labelled
from tdvfsh.report.cost_text import cost_object
from tdvfsh.report.schema import document
from tdvfsh.report.table import table_lines
from tdvfsh.td.cost.constants import value_text
from tdvfsh.td.cost.cost_file import cost_file_text
from tdvfsh.td.cost.fit import Fit, Measured
from tdvfsh.units import human_seconds


def fit_lines(fit: Fit, measurements: Sequence[Measured]) -> list[str]:
    """Each measurement with its residual, the fitted constants, and what the data cannot tell."""
    rows: list[tuple[str, ...]] = [("measurement", "measured", "fitted", "residual")]
    rows += [(one.name, *_residual(one, seconds)) for one, seconds in zip(measurements, fit.fitted, strict=True)]
    constants: list[tuple[str, ...]] = [("constant", "low", "likely", "high", "")]
    for name in fit.free:
        constant = fit.model.constants[name]
        values = (value_text(name, value) for value in (constant.low, constant.likely, constant.high))
        constants.append((name, *values, "not in the data: as it was" if name in fit.absent else ""))
    lines = [*table_lines(rows, " >>>"), "", *table_lines(constants, " >>>"), ""]
    lines += labelled("deviation", f"{100 * fit.deviation:.2g} % of what was measured, root mean square", 12)
    for note in _notes(fit):
        lines += labelled("note", note, 12)
    return lines


def fit_object(fit: Fit, measurements: Sequence[Measured]) -> dict[str, Any]:
    """The same for programs."""
    members = {
        "measurements": [
            {"name": one.name, "measured": one.seconds, "fixed": one.fixed, "fitted": seconds,
             "residual": seconds - one.seconds}
            for one, seconds in zip(measurements, fit.fitted, strict=True)
        ],
        "free": list(fit.free),
        "not_in_the_data": list(fit.absent),
        "not_told_apart": [list(group) for group in fit.together],
        "relative_deviation": fit.deviation,
        "determined": fit.is_determined,
        "cost": cost_object(fit.model),
    }  # fmt: skip
    return document("cost-fit", members)


def fit_file(fit: Fit, measurements: Sequence[Measured]) -> str:
    """The fitted model as a cost file, with the measurements and their residuals as comments."""
    head = ["Fitted by 'tdvfsh cost fit' to:"]
    head += [
        f"  {one.name}: {', '.join(_residual(one, seconds))}"
        for one, seconds in zip(measurements, fit.fitted, strict=True)
    ]
    head += _notes(fit)
    return cost_file_text(fit.model, {}, "\n".join(head))


def _residual(one: Measured, seconds: float) -> tuple[str, str, str]:
    part = 100 * (seconds - one.seconds) / one.seconds
    return human_seconds(one.seconds), human_seconds(seconds), f"{part:+.1f} %".replace("-0.0", "+0.0")


def _notes(fit: Fit) -> list[str]:
    notes = [
        f"the data cannot tell apart {', '.join(group)}: only what they make together is known; in proportion they are "
        "as before (hold one with --cost NAME=VALUE)"
        for group in fit.together
    ]
    if fit.absent:
        notes.append(f"the data say nothing of {', '.join(fit.absent)}")
    if not fit.is_determined:
        notes.append("no more measurements than constants: residuals say nothing, and ranges are as wide as before")
    return notes
