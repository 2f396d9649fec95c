"""What CONTRIBUTING and SECURITY name is there."""

from __future__ import annotations

import re
from pathlib import Path

import tdvfsh

ROOT = Path(__file__).parents[1]
PACKAGE = Path(tdvfsh.__file__).parent


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def rooms(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("*/__init__.py")}


def named(document: str) -> set[str]:
    """What the first column of its tables names."""
    cells = re.findall(r"^\| (`[^|]*) \|", document, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`([a-z_0-9]+)`", cell)}


def test_the_map_names_every_package_and_every_room_of_the_engine() -> None:
    document = text("CONTRIBUTING.md")
    top, _, engine = document.partition("The rooms of `engine`")
    modules = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")}
    assert rooms(PACKAGE) | modules <= named(top)
    assert rooms(PACKAGE / "engine") <= named(engine)


def test_the_paths_that_documents_name_are_there() -> None:
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        for path in re.findall(r"`((?:tests|tdvfsh|scripts|docs|images)/[\w/.-]+)`", text(name)):
            assert (ROOT / path).exists(), f"{name}: {path}"


def test_no_folder_is_a_hall() -> None:
    for folder in [PACKAGE, *PACKAGE.rglob("*")]:
        if folder.is_dir():
            assert len(list(folder.glob("*.py"))) <= 25, folder
