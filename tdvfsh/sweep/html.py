"""Plots as one HTML page that works offline; needs plotly, from the ``report`` extra."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import import_module
from typing import Any, Final

from tdvfsh.errors import MissingError
from tdvfsh.report.modelled_text import range_text
from tdvfsh.sweep.panels import NO_RESULT, SuccessPanel, TimePanel
from tdvfsh.sweep.row import BOOTS, ERROR, FAILS, NOT_STARTED
from tdvfsh.sweep.success_drawing import COLOURS
from tdvfsh.sweep.time_drawing import LINE_COLOURS
from tdvfsh.units import MIB, format_size

_STYLE: Final = "body { margin: 1em; overflow-x: hidden; font-family: sans-serif } h1 { font-size: 1.2em }"
_OUTCOMES: Final = (NO_RESULT, NOT_STARTED, FAILS, ERROR, BOOTS)


def plots_html(success: Sequence[SuccessPanel], time: Sequence[TimePanel]) -> str:
    """One page with every panel, to be pointed at and zoomed into.

    Raises:
        HostError: plotly is not installed.
    """
    try:
        go: Any = import_module("plotly.graph_objects")
    except ImportError:
        raise MissingError("HTML plots need the 'report' extra: pip install 'tdvfsh[report]'") from None
    parts = []
    for number, figure in enumerate([*(_success(go, panel) for panel in success), *(_time(go, one) for one in time)]):
        parts.append(
            figure.to_html(
                full_html=False,
                include_plotlyjs=number == 0,
                div_id=f"plot-{number}",
                config={"responsive": True, "displaylogo": False},
            )
        )
    title = escape("Sweep: success over memory and accept, modelled boot time over accepted size")
    body = f"<h1>{title}</h1>\n" + "\n".join(parts)
    head = f'<head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style></head>'
    return f'<!doctype html>\n<html lang="en">{head}\n<body>{body}</body></html>\n'


def _success(go: Any, panel: SuccessPanel) -> Any:
    steps = len(_OUTCOMES)
    scale = [[edge / steps, COLOURS[name]] for at, name in enumerate(_OUTCOMES) for edge in (at, at + 1)]
    heat = go.Heatmap(
        x=list(panel.accepts),
        y=[format_size(memory) for memory in panel.memories],
        z=[[_OUTCOMES.index(cell) for cell in line] for line in panel.cells],
        zmin=-0.5,
        zmax=steps - 0.5,
        colorscale=scale,
        xgap=1,
        ygap=1,
        text=[list(line) for line in panel.notes],
        hovertemplate="%{y}, accept %{x}: %{text}<extra></extra>",
        colorbar={"tickvals": list(range(steps)), "ticktext": ["no result", *_OUTCOMES[1:]]},
    )
    figure = go.Figure(heat)
    axis = {"type": "category", "title": "accepted at boot"}
    figure.update_layout(title=escape(panel.title), xaxis=axis, yaxis={"type": "category", "title": "RAM"}, height=420)
    return figure


def _time(go: Any, panel: TimePanel) -> Any:
    figure = go.Figure()
    for number, (option, runs) in enumerate(panel.lines.items()):
        thickness = 2 + 1.5 * (len(panel.lines) - 1 - number)  # so that none hides another
        figure.add_scatter(
            x=[x for run in runs for x in (*(size / MIB for size, _ in run), None)],  # None is a gap
            y=[y for run in runs for y in (*(time.likely for _, time in run), None)],
            error_y={
                "type": "data",
                "symmetric": False,
                "thickness": 1,
                "array": [y for run in runs for y in (*(time.high - time.likely for _, time in run), None)],
                "arrayminus": [y for run in runs for y in (*(time.likely - time.low for _, time in run), None)],
            },
            text=[text for run in runs for text in (*(range_text(time) for _, time in run), None)],
            hovertemplate="%{x} MiB at boot: %{text}<extra>%{fullData.name}</extra>",
            name=option,
            mode="lines+markers",
            line={"color": LINE_COLOURS[option], "width": thickness},
            marker={"size": thickness + 3},
            connectgaps=False,
        )
    figure.update_layout(
        title=escape(panel.title),
        xaxis={"title": "accepted at boot, MiB"},
        yaxis={"title": "modelled seconds until the operating system", "rangemode": "tozero"},
        height=420,
    )
    return figure
