"""Writing a sweep's plots into its folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final
from tdvfsh.sweep.drawing.html import plots_html
from tdvfsh.sweep.drawing.png import to_png
from tdvfsh.sweep.drawing.success_drawing import success_drawing
from tdvfsh.sweep.drawing.svg import to_svg
from tdvfsh.sweep.drawing.time_drawing import time_drawing
from tdvfsh.sweep.panels import success_panels, time_panels
from tdvfsh.sweep.row import Row
from tdvfsh.whole_file import write_whole

PLOT_FORMATS: Final = ("svg", "html", "png")


def check_formats(formats: Sequence[str]) -> None:
    """Refuse a format that there is not, before any work is done.

    Raises:
        UsageError: The message names the formats that there are.
    """
    for wanted in formats:
        if wanted not in PLOT_FORMATS:
            raise UsageError(f"--plot {wanted}: unknown; choose one of {', '.join(PLOT_FORMATS)}")


def write_plots(folder: Path, rows: Collection[Row], formats: Sequence[str]) -> list[Path]:
    """Write ``success.svg`` and ``time.svg``, the same as ``.png``, or ``plots.html``; returns the files.

    Raises:
        UsageError: A format that there is not.
        HostError: The folder cannot be written to, or the library that a format needs is missing.
    """
    check_formats(formats)
    success, time = success_panels(rows), time_panels(rows)
    drawings = {"success": success_drawing(success), "time": time_drawing(time)}
    files: dict[str, bytes] = {}
    for wanted in formats:
        if wanted == "svg":
            files |= {f"{name}.svg": to_svg(drawing).encode() for name, drawing in drawings.items()}
        elif wanted == "png":
            files |= {f"{name}.png": to_png(drawing) for name, drawing in drawings.items()}
        else:
            files["plots.html"] = plots_html(success, time).encode()
    written = []
    for name, content in files.items():
        path = folder / name
        write_whole(path, content)
        written.append(path)
    return written
