"""The cost model in readable form and for programs: constants, their ranges and their sources."""

from __future__ import annotations

from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.boots.boot_text import labelled
from tdvfsh.report.modelled_text import PLACEHOLDER
from tdvfsh.report.table import table_lines
from tdvfsh.td.cost import CONSTANTS, CostModel, Unit
from tdvfsh.td.cost.constants import value_text
from tdvfsh.units import format_size

_UNITS: Final = {Unit.TIME: "nanoseconds", Unit.SHARE: "share", Unit.COUNT: "count"}


def cost_lines(model: CostModel) -> list[str]:
    """What the model is of, a table of the constants, and a source for each."""
    rows: list[tuple[str, ...]] = [("constant", "low", "likely", "high", "what it is")]
    for name, constant in model.constants.items():
        values = (value_text(name, value) for value in (constant.low, constant.likely, constant.high))
        marked = f", {PLACEHOLDER}" if constant.is_placeholder else ""
        rows.append((name, *values, CONSTANTS[name].summary + marked))
    lines = labelled("cost", f"{model.name}: {model.summary}" if model.summary else model.name)
    lines += labelled(
        "host", f"maps pages of at most {format_size(model.host_page_size)}, unless --host-page-size says"
    )
    lines += ["", *table_lines(rows, " >>>"), "", "All of it is modelled; nothing was measured here. Sources:", ""]
    for name, constant in model.constants.items():
        beyond = constant.observed_vcpus
        limit = f" (observed up to {beyond} vCPUs; what rests on more is extrapolated)" if beyond else ""
        lines += labelled(name, constant.source + limit, 18)
    return lines


def cost_object(model: CostModel) -> dict[str, Any]:
    """The same for programs; times in nanoseconds."""
    return {
        "name": model.name,
        "summary": model.summary,
        "host_page_size": model.host_page_size,
        "constants": {
            name: {
                "unit": _UNITS[CONSTANTS[name].unit],
                "low": constant.low,
                "likely": constant.likely,
                "high": constant.high,
                "what": CONSTANTS[name].summary,
                "source": constant.source,
                PLACEHOLDER: constant.is_placeholder,
                "observed_vcpus": constant.observed_vcpus or None,
            }
            for name, constant in model.constants.items()
        },
    }
