"""A headless browser, as a user without a network would have it, and what it complained about."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
)  # fmt: skip


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
