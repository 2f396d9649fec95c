"""A headless browser, as a user without a network would have it, and what it complained about."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
)  # fmt: skip


_NARROWEST_WINDOW = 500
_IS_DRAWN = "return arguments[0].closest('figure').hidden || arguments[0].querySelector('svg.main-svg') !== null"
_WORDS = """
const isShown = (text) => text.textContent.trim() && text.getClientRects().length
  && getComputedStyle(text).visibility !== "hidden" && getComputedStyle(text).opacity !== "0";
const words = [...document.querySelectorAll("svg text")].filter(isShown);
const of = (text) => (text.closest(".chart, figure") || text.ownerSVGElement);
const boxes = words.map((text) => [text, of(text), text.getBoundingClientRect()]);
"""
_OVERLAPS = f"""{_WORDS}
const found = [];
boxes.forEach(([one, drawing, a], at) => {{
  for (const [other, same, b] of boxes.slice(at + 1)) {{
    if (drawing !== same) continue;
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && tall > 3) found.push([one.textContent, other.textContent]);
  }}
}});
return found.slice(0, 20);
"""
_CLIPPED = f"""{_WORDS}
return boxes.filter(([, , a]) => a.left < -1 || a.right > innerWidth + 1).map(([text]) => text.textContent);
"""
_UNNAMED = """
const inNamed = (svg) => svg.closest("[aria-hidden=true]") || svg.parentElement?.closest("[role=img][aria-label]");
const nameOf = (svg) => svg.getAttribute("aria-label") || svg.querySelector("title");
const isNamed = (svg) => svg.getAttribute("role") === "img" && nameOf(svg);
return [...document.querySelectorAll("svg")].filter((svg) => !inNamed(svg) && !isNamed(svg))
  .map((svg) => svg.outerHTML.slice(0, 200));
"""


class Browser:
    """One window.

    Args:
        driver: The browser.
    """

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, *, dark: bool = False, width: int = 1280, height: int = 1000) -> None:
        """Load a page in a fresh state, and forget what was logged before."""
        self.driver.set_window_size(width, height)
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        if width < _NARROWEST_WINDOW:  # a telephone's
            metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
            self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        self.driver.get("about:blank")
        self._log("browser")
        self._log("performance")
        self.driver.get(page.as_uri())

    def find(self, selector: str) -> WebElement:
        """The first element that fits."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector: str) -> list[WebElement]:
        """All elements that fit."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What an element says, shown or not."""
        return str(self.find(selector).get_property("textContent"))

    def run(self, script: str, *values: object) -> Any:
        """The value of a script."""
        return self.driver.execute_script(script, *values)

    def draw_charts(self) -> None:
        """Bring each chart of a page into view, which is when it is drawn."""
        for chart in self.find_all(".chart"):
            self.run("arguments[0].scrollIntoView({block: 'center'})", chart)
            WebDriverWait(self.driver, 20).until(partial(self._is_drawn, chart))

    def _is_drawn(self, chart: WebElement, _: object) -> bool:
        return bool(self.run(_IS_DRAWN, chart))

    def overlapping_labels(self) -> list[str]:
        """Words of drawings that lie on other words of the same drawing."""
        return [f"{one!r} on {other!r}" for one, other in self.run(_OVERLAPS)]

    def clipped_labels(self) -> list[str]:
        """Words of drawings that reach out of the page's left or right edge."""
        return [str(text) for text in self.run(_CLIPPED)]

    def unnamed_drawings(self) -> list[str]:
        """Drawings that screen readers meet and that have no role or no name."""
        return [str(markup) for markup in self.run(_UNNAMED)]

    def is_too_wide(self) -> bool:
        """Whether the page scrolls sideways."""
        return bool(self.run("return document.documentElement.scrollWidth > innerWidth"))

    @property
    def actions(self) -> ActionChains:
        """Mouse and keys, without pauses between them."""
        return ActionChains(self.driver, duration=0)

    def complaints(self) -> list[str]:
        """What the console has shown since the page was opened."""
        return [str(entry["message"]) for entry in self._log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the page was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        return [
            str(message["params"]["request"]["url"])
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]

    def _log(self, kind: str) -> list[dict[str, Any]]:
        untyped: Any = self.driver
        entries: list[dict[str, Any]] = untyped.get_log(kind)
        return entries

    def keep_screenshot(self, path: Path) -> None:
        """A picture of the whole page."""
        height = int(self.run("return document.documentElement.scrollHeight"))
        width = int(self.run("return window.outerWidth"))
        self.driver.set_window_size(width, min(height + 140, 12_000))
        assert self.driver.save_screenshot(str(path))


def start_browser() -> Iterator[Browser]:
    """A browser that ends with the generator; skips the test where the host has none."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        pytest.skip("no browser: needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver)")
    with TemporaryDirectory(prefix="tdvfsh-browser-") as profile:
        options = ChromeOptions()
        options.binary_location = program
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        chrome = Chrome(options=options, service=Service(driver))
        try:
            yield Browser(chrome)
        finally:
            chrome.quit()
