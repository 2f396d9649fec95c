"""The page in a real browser: it opens, is moved about in by mouse and keys, and makes no request."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.compare import compare
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.errors import HostError
from tdvfsh.history.map_changes import map_after, map_changes
from tdvfsh.history.painted_map import type_label
from tdvfsh.images.fetch import fetch
from tdvfsh.images.make import make_initrd
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.boots.compare_text import compared_rows
from tdvfsh.report.page.html import page_html
from tdvfsh.report.trace_file import trace_of_boot
from tdvfsh.trace.file import TraceFile
from tdvfsh.units import GIB, TIB
from tests.boots.made_files import INSTALLER_INITRD
from tests.report.browser import Browser, start_browser

pytestmark = pytest.mark.browser

_OPTIONS = TdOptions(memory=2 * GIB, accept=parse_boot_accept("224M"), on_demand="service")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    yield from start_browser()


class _Booted:
    """A boot as a page, and what it was made from."""

    def __init__(
        self,
        folder: Path,
        kernel: Path,
        options: TdOptions,
        accepts: tuple[str, ...] = (),
        real_initrd: Path | None = None,
    ) -> None:
        initrd = real_initrd or folder / "initrd.cpio"
        if not initrd.exists():
            make_initrd(initrd, INSTALLER_INITRD, None)
        with open_boot_files(kernel, [initrd], "nokaslr") as opened:
            self.trace: TraceFile = trace_of_boot(boot(options, opened.boot), opened.initrds)
            rows = compared_rows(compare(options, opened.boot, accepts)) if accepts else []
        self.page = folder / f"{options.memory}-{options.on_demand}.html"
        self.page.write_text(page_html(self.trace, rows), encoding="utf-8")

    def map_rows(self, moment: int) -> list[tuple[str, str, str]]:
        """The map's table at a moment of the slider, as Python has it."""
        changes = map_changes(self.trace.memory_map, self.trace.records)
        painted = map_after(self.trace.memory_map, changes, moment - 1)
        return [(type_label(piece.memory_type), f"{piece.start:#x}", f"{piece.end - 1:#x}") for piece in painted]


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory, cloud_kernel: Path) -> _Booted:
    return _Booted(tmp_path_factory.mktemp("page"), cloud_kernel, _OPTIONS, ("eager", "224M"))


def _set_slider(browser: Browser, moment: int) -> None:
    browser.run(
        "const s = document.getElementById('moment'); s.value = arguments[0]; s.dispatchEvent(new Event('input'));",
        moment,
    )


def _table(browser: Browser) -> list[tuple[str, ...]]:
    rows = browser.run(
        "const rows = [...document.querySelectorAll('#map-table tbody tr')];"
        "return rows.map(row => [...row.cells].slice(0, 3).map(cell => cell.textContent));"
    )
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_without_a_complaint_or_a_request(
    browser: Browser, booted: _Booted, tmp_path: Path, dark: bool
) -> None:
    browser.open(booted.page, dark=dark)
    assert "initrd.cpio in a 2 GiB TD" in browser.text("h1")
    assert len(browser.find_all("#detail svg rect")) > 20
    browser.draw_charts()
    assert len(browser.find_all(".chart svg.main-svg")) >= 3
    browser.keep_screenshot(tmp_path / f"page-{'dark' if dark else 'light'}.png")
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("data:", "blob:", booted.page.as_uri()))] == []
    red, green, blue = map(int, re.findall(r"\d+", browser.find("body").value_of_css_property("background-color"))[:3])
    assert (red + green + blue < 200) is dark


def test_the_slider_shows_the_map_of_every_moment(browser: Browser, booted: _Booted, tmp_path: Path) -> None:
    browser.open(booted.page)
    browser.find("#map-details summary").click()
    last = len(booted.trace.records)
    for moment in (last, 0, 1, 3, 5, 108, 111, 125, 128, 110, last // 2):
        _set_slider(browser, moment)
        assert _table(browser) == booted.map_rows(moment), moment
    _set_slider(browser, 108)
    browser.keep_screenshot(tmp_path / "moment.png")
    assert browser.complaints() == []


@pytest.mark.images
def test_the_page_of_a_real_kernel_and_initrd_opens_and_its_slider_works(browser: Browser, tmp_path: Path) -> None:
    try:
        files = fetch("installer-13").files
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    real = _Booted(tmp_path, files["kernel"], _OPTIONS, real_initrd=files["initrd"])
    browser.open(real.page)
    browser.find("#map-details summary").click()
    for moment in (0, len(real.trace.records) // 2, len(real.trace.records)):
        _set_slider(browser, moment)
        assert _table(browser) == real.map_rows(moment), moment
    browser.keep_screenshot(tmp_path / "real-boot.png")
    assert browser.complaints() == []
    assert [url for url in browser.requests() if not url.startswith(("data:", "blob:", real.page.as_uri()))] == []


def test_the_slider_and_the_changes_go_by_keys(browser: Browser, booted: _Booted) -> None:
    browser.open(booted.page)
    slider = browser.find("#moment")
    slider.send_keys(Keys.HOME)
    assert browser.text("#moment-text") == "before the first record"
    slider.send_keys(Keys.ARROW_RIGHT)
    assert "AcceptMemory at boot" in str(slider.get_dom_attribute("aria-valuetext"))
    browser.find("#detail").send_keys(".")
    assert "changed: BS_Data" in browser.text("#moment-text")
    browser.find("#detail").send_keys(",")
    assert browser.text("#moment-text") == "before the first record"


def test_pointing_at_the_map_says_what_is_there(browser: Browser, booted: _Booted, tmp_path: Path) -> None:
    browser.open(booted.page)
    kernel = next(thing for thing in (booted.trace.boot or {})["placements"] if thing["what"] == "kernel")
    browser.run("document.querySelector('[data-zoom=ram]').click()")
    strip = browser.find("#detail rect.frame")
    middle = (kernel["start"] + kernel["end"]) / 2 / (2 * GIB)
    browser.actions.move_to_element_with_offset(strip, round(strip.rect["width"] * (middle - 0.5)), 10).perform()
    tip = browser.text("#tip")
    assert tip.startswith("LoaderCode\n")
    assert f"{kernel['start']:#x} – {kernel['end'] - 1:#x}" in tip
    assert "holds kernel" in tip
    assert "stub AllocatePages" in tip
    browser.keep_screenshot(tmp_path / "hover.png")
    browser.actions.move_to_element(browser.find("h1")).perform()
    assert browser.find("#tip").get_property("hidden") is True


def test_the_mouse_zooms_to_a_page_and_back(browser: Browser, booted: _Booted) -> None:
    browser.open(booted.page)
    detail = browser.find("#detail")
    browser.actions.drag_and_drop_by_offset(detail, 60, 0).perform()
    narrower = browser.text("#window-text")
    assert "MiB" in narrower
    browser.actions.double_click(detail).perform()
    assert browser.text("#window-text") != narrower
    for _ in range(30):
        browser.find("#zoom-in").click()
    assert "(4 KiB)" in browser.text("#window-text")
    browser.find("[data-zoom=all]").click()
    assert "0x0 – 0xffffffff" in browser.text("#window-text")


def test_the_map_is_walked_through_by_keys(browser: Browser, booted: _Booted) -> None:
    browser.open(booted.page)
    detail = browser.find("#detail")
    detail.send_keys(Keys.HOME)
    heard = []
    for _ in range(6):
        detail.send_keys(Keys.ARROW_RIGHT)
        heard.append(browser.text("#cursor-text"))
    rows = booted.map_rows(len(booted.trace.records))
    assert [text.split(", ")[:2] for text in heard] == [[row[0], f"{row[1]} – {row[2]}"] for row in rows[:6]]
    detail.send_keys(Keys.ARROW_LEFT)
    assert browser.text("#cursor-text") == heard[4]
    detail.send_keys(Keys.ENTER)
    assert "(4 GiB)" not in browser.text("#window-text")


def test_a_machine_of_64_tib_zooms_from_all_to_a_page(browser: Browser, tmp_path: Path, cloud_kernel: Path) -> None:
    huge = _Booted(tmp_path, cloud_kernel, replace(_OPTIONS, memory=64 * TIB))
    browser.open(huge.page)
    browser.find("[data-zoom=all]").click()
    assert "TiB)" in browser.text("#window-text")
    detail = browser.find("#detail")
    for _ in range(40):
        detail.send_keys("+")
    assert "(4 KiB)" in browser.text("#window-text")
    browser.find("[data-zoom=low]").click()
    assert "MiB)" in browser.text("#window-text")
    browser.keep_screenshot(tmp_path / "64T.png")
    assert browser.complaints() == []


def test_search_finds_words_addresses_and_failures(browser: Browser, booted: _Booted) -> None:
    browser.open(booted.page)
    field = browser.find("#search")
    field.send_keys("stub allocatepages")
    rows = browser.find_all("#journal-table tbody tr")
    assert rows
    assert all("stub" in row.text and "AllocatePages" in row.text for row in rows)
    field.clear()
    field.send_keys("0x1000000")
    assert "0x1000000 is LoaderCode" in browser.text("#search-text")
    assert any("AllocateAddress" in row.text for row in browser.find_all("#journal-table tbody tr"))
    field.clear()
    field.send_keys(" ")
    browser.find("#only-failed").click()
    assert browser.find_all("#journal-table tbody tr") == []  # it booted: what was not found had only been asked for


def test_failures_are_found_and_take_the_map_to_their_moment(
    browser: Browser, tmp_path: Path, cloud_kernel: Path
) -> None:
    browser.open(_Booted(tmp_path, cloud_kernel, replace(_OPTIONS, on_demand="none")).page)
    browser.find("#only-failed").click()
    failed = browser.find_all("#journal-table tbody tr")
    assert failed
    assert all("SUCCESS" not in row.text for row in failed)
    failed[0].find_element(By.TAG_NAME, "button").click()
    assert browser.text("#moment-text").startswith(f"record {failed[0].text.split()[0]} ")


def test_a_step_takes_the_map_to_its_moment(browser: Browser, booted: _Booted) -> None:
    browser.open(booted.page)
    button = browser.find("#steps tbody tr:nth-child(3) button.link")
    browser.run("arguments[0].click()", button)
    assert browser.text("#moment-text").startswith(f"record {button.text} ")
    assert len(browser.find_all("#steps tr.now")) == 1


def test_everything_that_can_be_used_has_a_name_for_screen_readers(browser: Browser, booted: _Booted) -> None:
    browser.open(booted.page)
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {"button", "slider", "searchbox", "checkbox", "combobox", "link", "table", "image", "region", "group"}
    nodes = [node for node in tree if not node["ignored"] and node["role"]["value"] in named]
    assert len({node["role"]["value"] for node in nodes}) >= 8
    nameless = [node["role"]["value"] for node in nodes if not node.get("name", {}).get("value")]
    assert nameless == []
    assert browser.find("html").get_dom_attribute("lang") == "en"


def test_tab_reaches_the_controls_and_shows_where_it_is(browser: Browser, booted: _Booted) -> None:
    browser.open(booted.page)
    reached = set()
    for _ in range(40):
        browser.actions.send_keys(Keys.TAB).perform()
        active = browser.driver.switch_to.active_element
        reached.add(active.get_dom_attribute("id") or active.text)
        assert active.value_of_css_property("outline-style") != "none"
        if active.get_dom_attribute("id") == "detail":
            break
    assert {"play", "earlier", "moment", "later", "zoom-in", "goto", "detail"} <= reached


@pytest.mark.parametrize("width", [500, 900])
def test_a_narrow_window_scrolls_only_downwards(browser: Browser, booted: _Booted, width: int, tmp_path: Path) -> None:
    browser.open(booted.page, width=width)
    inner, whole = browser.run("return [innerWidth, document.documentElement.scrollWidth]")
    browser.keep_screenshot(tmp_path / f"narrow-{width}.png")
    assert whole <= inner


def test_it_prints_on_a_few_pages(browser: Browser, booted: _Booted, tmp_path: Path) -> None:
    browser.open(booted.page, dark=True)
    printed = browser.driver.execute_cdp_cmd(
        "Page.printToPDF", {"printBackground": False, "paperWidth": 8.27, "paperHeight": 11.69}
    )
    data = b64decode(printed["data"])
    (tmp_path / "page.pdf").write_bytes(data)
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 20
    assert browser.complaints() == []
