"""Plots: every scenario is in them, in its place and colour."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageColor

from tdvfsh.errors import HostError, UsageError
from tdvfsh.sweep.drawing import COLOURS
from tdvfsh.sweep.panels import success_panels, time_panels, total_seconds
from tdvfsh.sweep.plots import write_plots
from tdvfsh.sweep.row import Row
from tdvfsh.sweep.text import map_lines, summary_lines
from tdvfsh.units import GIB

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def rows(swept: Callable[..., list[Row]]) -> list[Row]:
    return swept()


def test_a_panel_for_each_image_loader_and_option_has_each_scenario_in_its_cell(rows: list[Row]) -> None:
    panels = success_panels(rows)
    assert len(panels) == 2 * 2 * 2
    first = panels[0]
    assert first.title == "cloud initrd_size=40M, on-demand none, direct"
    assert (first.memories, first.accepts) == ((1 * GIB, 2 * GIB), ("64M", "128M", "192M", "256M", "below-4g"))
    for panel in panels:
        for memory, cells in zip(panel.memories, panel.cells, strict=True):
            for accept, outcome in zip(panel.accepts, cells, strict=True):
                (row,) = [
                    row
                    for row in rows
                    if (row["memory"], row["accept"]) == (memory, accept)
                    and panel.title == f"{row['image']}, on-demand {row['on_demand']}, {row['loader']}"
                ]
                assert row["outcome"] == outcome


def test_lines_of_time_hold_the_boots_that_succeed_in_order_of_what_was_accepted(rows: list[Row]) -> None:
    panels = time_panels(rows)
    points = [
        (panel.title, option, point) for panel in panels for option, line in panel.lines.items() for point in line
    ]
    booted = {(row["boot_bytes"], total_seconds(row), row["on_demand"]) for row in rows if row["outcome"] == "boots"}
    assert {(size, seconds, option) for _, option, (size, seconds) in points} == booted
    for panel in panels:
        for line in panel.lines.values():
            assert list(line) == sorted(line)


def test_the_svg_has_a_rectangle_of_the_right_colour_for_each_scenario(rows: list[Row], tmp_path: Path) -> None:
    success, time = write_plots(tmp_path, rows, ["svg"])
    cells = [
        element for element in ElementTree.parse(success).iter(f"{SVG}rect") if element.find(f"{SVG}title") is not None
    ]
    assert len(cells) == len(rows)
    for outcome in ("boots", "fails", "not started"):
        expected = sum(row["outcome"] == outcome for row in rows)
        assert sum(cell.get("fill") == COLOURS[outcome] for cell in cells) == expected > 0
    circles = list(ElementTree.parse(time).iter(f"{SVG}circle"))
    assert len(circles) == len({(row["image"], row["loader"], row["on_demand"], row["memory"], row["boot_bytes"])
                                for row in rows if row["outcome"] == "boots"})  # fmt: skip


def test_the_png_shows_each_scenario_in_its_colour(rows: list[Row], tmp_path: Path) -> None:
    some = [row for row in rows if (row["image"], row["on_demand"]) == (rows[0]["image"], "none")]
    success, time = write_plots(tmp_path, some, ["png"])
    with Image.open(success) as picture:
        pixels = picture.convert("RGB").tobytes()
    legend = (12 * 2) ** 2
    for outcome in ("boots", "fails", "not started"):
        share = sum(row["outcome"] == outcome for row in some) / len(some)
        area = len(re.findall(re.escape(bytes(ImageColor.getrgb(COLOURS[outcome]))), pixels)) - legend
        assert area == pytest.approx(share * 2 * 2 * (750 * 2) * (18 * 2), rel=0.01)
    with Image.open(time) as picture:
        assert picture.format == "PNG"


def test_a_name_with_markup_in_it_stays_a_name(rows: list[Row], tmp_path: Path) -> None:
    named: list[Row] = [{**row, "image": "<b>&'\"x"} for row in rows if row["image"] == rows[0]["image"]]
    success, _ = write_plots(tmp_path, named, ["svg"])
    texts = [element.text for element in ElementTree.parse(success).iter(f"{SVG}text")]
    assert any(text and text.startswith("<b>&'\"x, ") for text in texts)


def test_the_page_holds_every_panel_and_works_offline(rows: list[Row], tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    (page,) = write_plots(tmp_path, rows, ["html"])
    text = page.read_text()
    panels = len(success_panels(rows)) + len(time_panels(rows))
    assert text.count('id="plot-') == panels
    assert "<script src=" not in text


def test_without_the_extra_html_and_png_are_refused_in_one_line(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(HostError, match=r"pip install 'tdvfsh\[report\]'"):
        write_plots(tmp_path, rows, ["html"])
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(HostError, match=r"pip install 'tdvfsh\[report\]'"):
        write_plots(tmp_path, rows, ["png"])
    with pytest.raises(UsageError, match="--plot gif: unknown"):
        write_plots(tmp_path, rows, ["gif"])


def test_the_terminal_shows_a_character_for_each_scenario(rows: list[Row]) -> None:
    assert summary_lines(rows) == ["80 scenarios: 44 boots, 20 fails, 16 not started"]
    lines = map_lines(rows)
    start = lines.index("cloud initrd_size=300M, on-demand none, direct")
    assert lines[start + 1 : start + 4] == [
        "  2G | ...#|",
        "  1G | ...#|",
        "      accept 64M to below-4g",
    ]
    drawn = "".join(line.split("|")[1] for line in lines if line.count("|") == 2)
    assert [drawn.count(mark) for mark in "#. "] == [44, 20, 16]


def test_a_wide_map_is_thinned_out_and_says_so(rows: list[Row]) -> None:
    wide: list[Row] = [{**rows[0], "accept": f"{size}M"} for size in range(64, 264)]
    lines = map_lines(wide)
    assert lines[3].endswith("accept 64M to 262M, one of 3 shown")
    assert max(len(line) for line in lines) < 100
