"""Writing a sweep's plots into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tdvfsh.errors import HostError, UsageError
from tdvfsh.sweep.html import plots_html
from tdvfsh.sweep.panels import success_panels, time_panels
from tdvfsh.sweep.row import Row
from tdvfsh.sweep.svg import success_svg, time_svg

PLOT_FORMATS: Final = ("svg", "html")


def write_plots(folder: Path, rows: Sequence[Row], formats: Sequence[str]) -> list[Path]:
    """Write ``success.svg`` and ``time.svg``, or ``plots.html``; gives the files.

    Raises:
        UsageError: A format that there is not.
        HostError: The folder cannot be written to, or plotly is missing where HTML is wanted.
    """
    success, time = success_panels(rows), time_panels(rows)
    files: dict[str, str] = {}
    for wanted in formats:
        if wanted == "svg":
            files |= {"success.svg": success_svg(success), "time.svg": time_svg(time)}
        elif wanted == "html":
            files["plots.html"] = plots_html(success, time)
        else:
            raise UsageError(f"--plot {wanted}: unknown; choose one of {', '.join(PLOT_FORMATS)}")
    written = []
    for name, text in files.items():
        path = folder / name
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise HostError(f"{path}: {(error.strerror or str(error)).lower()}") from None
        written.append(path)
    return written
