"""How pages and drawings look in a real browser, wide and narrow: nothing covers anything, everything has a name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.compare import compare
from tdvfsh.boots.explanation import cures_of
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.boots.compare_text import compared_rows
from tdvfsh.report.map_svg import map_svg
from tdvfsh.report.page.html import page_html
from tdvfsh.report.trace_file import trace_of_boot
from tdvfsh.trace.file import TraceFile
from tdvfsh.units import GIB, TIB
from tests.boots.made_files import INSTALLER_INITRD, Opener
from tests.report.browser import Browser, start_browser
from tests.report.long_trace import os_trace

pytestmark = pytest.mark.browser

_OPTIONS = TdOptions(memory=2 * GIB, accept=parse_boot_accept("224M"), on_demand="service")
_FAILING = replace(_OPTIONS, on_demand="none")
_PAGES = {
    "failing": _FAILING,
    "huge": replace(_OPTIONS, memory=64 * TIB),
    "lazy": replace(_OPTIONS, profile="lazy-v2"),
}
_PAGE_BYTES = 15_000_000
_SECONDS = 2.0
_ROUNDS = 5
_OPENING = "return performance.timing.loadEventEnd - performance.timing.navigationStart"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from start_browser()


def _trace(opened: Opener, options: TdOptions) -> TraceFile:
    files = opened(INSTALLER_INITRD)
    result = boot(options, files.boot)
    return trace_of_boot(result, files.initrds, cures_of(result), ("tdvfsh", "report", "a file's name", "-o", "x.html"))


@pytest.fixture
def page(opened: Opener, tmp_path: Path) -> Callable[[str], Path]:
    def made(name: str) -> Path:
        path = tmp_path / f"{name}.html"
        if name == "compared":
            rows = compared_rows(compare(_OPTIONS, opened(INSTALLER_INITRD).boot, ("eager", "224M", "presize:512M")))
            path.write_text(page_html(_trace(opened, _OPTIONS), rows), encoding="utf-8")
        else:
            path.write_text(page_html(_trace(opened, _PAGES[name])), encoding="utf-8")
        return path

    return made


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["compared", "failing", "huge", "lazy"])
def test_labels_do_not_overlap_and_a_telephone_has_room(
    browser: Browser, page: Callable[[str], Path], tmp_path: Path, name: str, width: int
) -> None:
    browser.open(page(name), width=width)
    browser.draw_charts()
    assert browser.overlapping_labels() == []
    assert browser.clipped_labels() == []
    assert browser.unnamed_drawings() == []
    assert not browser.is_too_wide()
    for zoom in ("all", "ram", "low"):
        browser.run("document.querySelector(arguments[0]).click()", f"[data-zoom={zoom}]")
        assert browser.overlapping_labels() == [], zoom
    assert browser.complaints() == []


def test_a_boot_that_failed_opens_at_the_step_that_failed_and_names_its_cure(
    browser: Browser, page: Callable[[str], Path]
) -> None:
    browser.open(page("failing"))
    verdict = browser.text(".verdict")
    assert "EFI_OUT_OF_RESOURCES at load_initrd" in verdict
    assert "Cure: boots from --accept" in verdict
    assert "--on-demand service" in verdict
    assert "AllocatePages asked for 38." in verdict
    now = browser.find("#steps tr.now")
    assert "OUT_OF_RESOURCES" in now.text
    assert now.get_dom_attribute("aria-current") == "step"
    number = browser.text("#steps tr.now button")
    assert browser.text("#moment-text").startswith(f"record {number} ")
    assert "EFI_OUT_OF_RESOURCES" in browser.text("#moment-text")


def test_the_page_says_how_to_make_it_again_and_of_which_versions_it_tells(
    browser: Browser, page: Callable[[str], Path]
) -> None:
    browser.open(page("failing"))
    facts = browser.text(".made-of")
    assert "tdvfsh report 'a file'\"'\"'s name' -o x.html" in facts
    assert "Linux 6." in facts
    assert "ovmf-inteltdx 2026.08+ds-2 (edk2 2026.08)" in facts


def test_an_answer_that_its_caller_expects_is_not_red(browser: Browser, page: Callable[[str], Path]) -> None:
    browser.open(page("compared"))
    browser.find("#search").send_keys("getmemorymap too_small")
    (row, *_) = browser.find_all("#journal-table tbody tr")
    assert "BUFFER_TOO_SMALL" in row.text
    assert row.get_dom_attribute("class") is None
    assert browser.find_all("#steps tr.failed") == []


@pytest.mark.parametrize("width", [1280, 390])
def test_a_drawing_of_the_map_is_named_and_its_words_apart(
    browser: Browser, opened: Opener, tmp_path: Path, width: int
) -> None:
    drawing = tmp_path / "map.svg"
    drawing.write_text(map_svg(_trace(opened, _FAILING)), encoding="utf-8")
    browser.open(drawing, width=width)
    assert browser.overlapping_labels() == []
    assert browser.unnamed_drawings() == []
    assert not browser.is_too_wide()


def test_a_page_of_a_hundred_thousand_records_opens_in_two_seconds_and_is_under_15_mb(
    browser: Browser, tmp_path: Path
) -> None:
    trace = os_trace(100_000)
    page = tmp_path / "long.html"
    page.write_text(page_html(trace), encoding="utf-8")
    assert page.stat().st_size < _PAGE_BYTES
    took = []
    for _ in range(_ROUNDS):
        browser.open(page)
        took.append(float(browser.run(_OPENING)) / 1000)
        if took[-1] < _SECONDS:
            break  # others work on this machine, too: one round that is left alone is enough
    assert min(took) < _SECONDS, took
    assert f"of {len(trace.records) - 1}" in browser.text("#moment-text")
    browser.find("#search").send_keys("page_size_mismatch")
    assert browser.find_all("#journal-table tbody tr")
    browser.draw_charts()
    assert browser.overlapping_labels() == []
    assert browser.complaints() == []
