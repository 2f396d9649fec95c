"""Plots as one HTML page that works offline; needs plotly, from the ``report`` extra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module

from tdvfsh.errors import MissingError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.modelled_text import range_text
from tdvfsh.sweep.drawing.success_drawing import COLOURS
from tdvfsh.sweep.drawing.time_drawing import LINE_COLOURS
from tdvfsh.sweep.panels import NO_RESULT, SuccessPanel, TimePanel
from tdvfsh.sweep.row import BOOTS, ERROR, FAILS, NOT_STARTED
from tdvfsh.units import MIB, format_size

_STYLE: Final = """
body { margin: 0 auto; max-width: 1200px; padding: 1rem; overflow-x: hidden; font-family: system-ui, sans-serif; }
h1 { font-size: 1.3rem; } h2 { font-size: 1rem; margin: 1.2rem 0 0; overflow-wrap: anywhere; } figure { margin: 0; }
ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; font-size: .9rem; }
li i { display: inline-block; width: 12px; height: 12px; margin-right: .35rem; border: 1px solid #999; }
"""
_OUTCOMES: Final = (NO_RESULT, NOT_STARTED, FAILS, ERROR, BOOTS)
_SYMBOLS: Final = ("circle", "square-open", "diamond-open", "triangle-up-open", "x")
"""Of the lines in a panel: different ones, each seen through the next."""
_QUIET_SCRIPT: Final = (
    """<script>document.getElementById("js-plotly-tester")?.setAttribute("aria-hidden", "true")</script>"""
)
"""What plotly measures text with is nothing to read aloud."""
_DASH: Final = 10
"""Pixels."""
_MARGIN: Final = {"l": 10, "r": 16, "t": 16, "b": 10}
_TITLE: Final = "Sweep: success over memory and accept, modelled boot time over accepted size"


def plots_html(success: Sequence[SuccessPanel], time: Sequence[TimePanel]) -> str:
    """One page with every panel, to be pointed at and zoomed into.

    Raises:
        HostError: plotly is not installed.
    """
    try:
        go: Any = import_module("plotly.graph_objects")
    except ImportError:
        raise MissingError("HTML plots need the 'report' extra: pip install 'tdvfsh[report]'") from None
    parts = [f"<h1>{escape(_TITLE)}</h1>", _legend(COLOURS)]
    names = {option for panel in time for option in panel.lines}
    lines = _legend({name: colour for name, colour in LINE_COLOURS.items() if name in names})
    panels = [
        *((panel.title, _success(go, panel)) for panel in success),
        *((panel.title, _time(go, panel)) for panel in time),
    ]
    for number, (title, figure) in enumerate(panels):
        if number == len(success):
            parts.append(lines)
        what = "Where it boots" if number < len(success) else "Modelled seconds of accepting"
        plot = figure.to_html(
            full_html=False,
            include_plotlyjs=number == 0,
            div_id=f"plot-{number}",
            config={"responsive": True, "displayModeBar": False},
        )
        label = escape(f"{what}: {title}")
        parts.append(f'<h2>{escape(title)}</h2>\n<figure role="img" aria-label="{label}">{plot}</figure>')
    head = (
        '<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(_TITLE)}</title><style>{_STYLE}</style></head>"
    )
    body = "\n".join([*parts, _QUIET_SCRIPT])
    return f'<!doctype html>\n<html lang="en">{head}\n<body>{body}</body></html>\n'


def _legend(colours: Mapping[str, str]) -> str:
    words = ("no result" if name == NO_RESULT else name for name in colours)
    items = "".join(
        f'<li><i style="background: {colour}"></i>{escape(name)}</li>'
        for name, colour in zip(words, colours.values(), strict=True)
    )
    return f"<ul>{items}</ul>"


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
        showscale=False,
    )
    figure = go.Figure(heat)
    figure.update_layout(
        xaxis={"type": "category", "title": "accepted at boot", "automargin": True},
        yaxis={"type": "category", "title": "RAM", "automargin": True},
        height=130 + 34 * len(panel.memories),
        margin=_MARGIN,
    )
    return figure


def _dash(number: int, lines: int) -> str:
    """The first line is whole, and each dash of a later one is shorter: where lines lie on each other all are seen."""
    whole = _DASH * lines
    on = whole - _DASH * number
    return f"{on}px,{whole - on}px" if number else "solid"


def _time(go: Any, panel: TimePanel) -> Any:
    figure = go.Figure()
    for number, (option, runs) in enumerate(panel.lines.items()):
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
            line={"color": LINE_COLOURS[option], "width": 3, "dash": _dash(number, len(panel.lines))},
            marker={"size": 8, "symbol": _SYMBOLS[number % len(_SYMBOLS)]},
            connectgaps=False,
        )
    figure.update_layout(
        xaxis={"title": "accepted at boot, MiB", "automargin": True, "nticks": 8},
        yaxis={"title": "modelled s until the OS", "type": "log", "automargin": True, "dtick": "D2"},
        height=420,
        margin=_MARGIN,
        showlegend=False,
    )
    return figure
