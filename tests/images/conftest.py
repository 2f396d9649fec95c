from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.images.packages import make_archive


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test here has a cache of its own, in a folder whose name has a space."""
    home = tmp_path / "the cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "tdvfsh" / "images"


class LocalArchive:
    """A package archive in a folder, and apt settings that point at it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "archive" / "debian"
        self.root.mkdir(parents=True)
        self.etc_apt = folder / "etc-apt"
        (self.etc_apt / "sources.list.d").mkdir(parents=True)
        self.point_at(f"file:{self.root}")

    def point_at(self, uri: str) -> None:
        (self.etc_apt / "sources.list").write_text(f"deb [trusted=yes] {uri} trixie main\n")

    def publish(self, suite: str, debs: dict[tuple[str, str], bytes]) -> None:
        make_archive(self.root, suite, debs)


@pytest.fixture
def archive(tmp_path: Path) -> LocalArchive:
    if shutil.which("apt-get") is None:
        pytest.skip("no apt on this machine")
    return LocalArchive(tmp_path)
