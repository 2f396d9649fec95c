"""A footprint written as a file is read as the same footprint."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tdvfsh.errors import FormatError
from tdvfsh.td.footprint import FIRMWARE_MODEL_NAMES, firmware_model
from tdvfsh.td.footprint_text import footprint_text

_LAZY_V2 = footprint_text(firmware_model("lazy-v2"), [])


@pytest.mark.parametrize("td", [True, False])
@pytest.mark.parametrize("name", FIRMWARE_MODEL_NAMES)
def test_what_is_written_is_read_again(name: str, td: bool, tmp_path: Path) -> None:
    model = firmware_model(name, td)
    path = tmp_path / "own.toml"
    path.write_text(footprint_text(model, ["how       by hand"]), encoding="utf-8")
    again = firmware_model(str(path))
    outside = tuple(entry for entry in model.outside if entry.in_td)
    read = replace(again, source=name, outside=tuple(entry for entry in again.outside if entry in outside))
    assert asdict(read) == asdict(replace(model, outside=outside))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it lacks 'name'"),
        ("not = [toml", "not a footprint model"),
        ("a = " + "[" * 5000, "not a footprint model"),
        (footprint_text(firmware_model("lazy-v2"), []).replace("pages = 0x200,", "pages = 0x300,"), "overlaps"),
        (footprint_text(firmware_model("lazy-v2"), []).replace("[boot_loader]", "[other]"), "it has no [boot_loader]"),
        (footprint_text(firmware_model("lazy-v2"), []).replace("EfiACPIMemoryNVS", "EfiNothing"), "EfiNothing"),
        (
            re.sub(r"below = 0x1813000, pages = 0x1813,", "below = 0x1813000, pages = 0x1814,", _LAZY_V2),
            "[direct]: a piece lies outside of RAM",
        ),
        (
            re.sub(r"free = \d+", "free = 900", footprint_text(firmware_model("inteltdx"), []), count=1),
            "not a call before it",
        ),
    ],
)
def test_a_file_that_is_not_a_model_is_refused_in_one_line(text: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as refused:
        firmware_model(str(path))
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
