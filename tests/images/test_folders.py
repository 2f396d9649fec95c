from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.images.folders import cache_dir


def test_the_cache_is_where_the_person_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/tmp/c")
    assert cache_dir() == Path("/var/tmp/c/tdvfsh/images")


@pytest.mark.parametrize("value", ["", "relative/folder"])
def test_without_an_absolute_setting_it_is_below_the_home_folder(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache_dir() == Path("/home/someone/.cache/tdvfsh/images")
