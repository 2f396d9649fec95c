"""The page of a kernel's run with 100,000 records: how large it is, and how long a browser takes to open it."""

from __future__ import annotations

import shutil
import statistics
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.measure import BYTES, Figure, Goal

GROUP: Final = "page"
_RECORDS: Final = 100_000
_ROUNDS: Final = 3
_OPENING: Final = "return performance.timing.loadEventEnd - performance.timing.navigationStart"
_SIZE: Final = "a page of 100,000 records"
_OPENED: Final = "the same, opened in a headless browser"


def figures() -> list[Figure]:
    """Bytes of the page; seconds from its request to its load event."""
    if find_spec("plotly") is None:
        return [Figure(GROUP, _SIZE, "", skipped="plotly is not installed: extra [report]")]
    from tdvfsh.report.page.html import page_html
    from tests.report.long_trace import os_trace

    with TemporaryDirectory() as folder:
        page = Path(folder, "long.html")
        page.write_text(page_html(os_trace(_RECORDS)), encoding="utf-8")
        size = Figure(GROUP, _SIZE, "", page.stat().st_size, unit=BYTES, goal=Goal(ours=15e6, unit=BYTES))
        if find_spec("selenium") is None or shutil.which("chromedriver") is None:
            return [size, Figure(GROUP, _OPENED, "", skipped="no browser")]
        return [size, Figure(GROUP, _OPENED, "", _opening(page), goal=Goal(ours=2))]


def _opening(page: Path) -> float:
    from tests.report.browser import start_browser

    with contextmanager(start_browser)() as browser:
        took = []
        for _ in range(_ROUNDS):
            browser.open(page)
            took.append(float(browser.run(_OPENING)) / 1000)
    return statistics.median(took)
