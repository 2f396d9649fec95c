"""A sweep's plots in a real browser, wide and as narrow as a telephone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tdvfsh.sweep.plots import write_plots
from tdvfsh.sweep.row import Row
from tests.report.browser import Browser, start_browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from start_browser()


def test_words_do_not_overlap_and_every_drawing_has_a_name(
    browser: Browser, swept: Callable[..., list[Row]], tmp_path: Path
) -> None:
    rows = [row for row in swept() if row["image"] == "cloud initrd_size=40M"]
    for path in write_plots(tmp_path, rows, ["svg", "html"]):
        for width in (1280, 390):
            browser.open(path, width=width)
            assert browser.find_all("svg text")
            assert browser.overlapping_labels() == [], (path.name, width)
            assert browser.unnamed_drawings() == [], (path.name, width)
            assert not browser.is_too_wide(), (path.name, width)
            assert browser.complaints() == []
