"""Plots: every scenario is in them, in its place and colour."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageColor

from tdvfsh.errors import HostError, UsageError
from tdvfsh.report.modelled_text import ModelledSeconds
from tdvfsh.sweep.drawing.png import to_png
from tdvfsh.sweep.drawing.shapes import Dot, Drawing, Line, Rectangle, Words
from tdvfsh.sweep.drawing.success_drawing import COLOURS, success_drawing
from tdvfsh.sweep.drawing.time_drawing import LINE_COLOURS, time_drawing
from tdvfsh.sweep.panels import TimePanel, success_panels, time_panels, total_time
from tdvfsh.sweep.plots import write_plots
from tdvfsh.sweep.row import Row
from tdvfsh.sweep.text import map_lines, summary_lines
from tdvfsh.units import GIB, MIB

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def rows(swept: Callable[..., list[Row]]) -> list[Row]:
    return swept()


def test_a_panel_for_each_image_loader_and_option_has_each_scenario_in_its_cell(rows: list[Row]) -> None:
    panels = success_panels(rows)
    assert len(panels) == 2 * 2 * 2
    first = panels[0]
    assert first.title == "cloud initrd_size=40M, on-demand none, direct"
    assert (first.memories, first.accepts) == ((1 * GIB, 2 * GIB), ("48M", "128M", "192M", "256M", "below-4g"))
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
        (panel.title, option, point)
        for panel in panels
        for option, runs in panel.lines.items()
        for run in runs
        for point in run
    ]
    booted = {(row["boot_bytes"], total_time(row), row["on_demand"]) for row in rows if row["outcome"] == "boots"}
    assert {(size, time, option) for _, option, (size, time) in points} == booted
    for panel in panels:
        for runs in panel.lines.values():
            line = [point for run in runs for point in run]
            assert line == sorted(line)


def test_a_line_of_time_has_a_gap_where_a_scenario_fails(rows: list[Row]) -> None:
    (first,) = [row for row in rows if (row["image"], row["on_demand"], row["loader"], row["memory"], row["accept"])
                == (rows[0]["image"], "service", "direct", GIB, "128M")]  # fmt: skip
    line: list[Row] = [
        {**first, "boot_bytes": size, "boot_accept_seconds": size / 10, "outcome": "fails" if size == 3 else "boots"}
        for size in (1, 2, 3, 4, 5)
    ]
    (panel,) = time_panels(line)
    (runs,) = panel.lines.values()
    assert [[size for size, _ in run] for run in runs] == [[1, 2], [4, 5]]


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
    cells = [shape for shape in success_drawing(success_panels(some)).shapes if isinstance(shape, Rectangle)]
    with Image.open(success) as picture:
        for cell in cells:
            middle = round(2 * (cell.x + cell.width / 2)), round(2 * (cell.y + cell.height / 2))
            assert picture.getpixel(middle) == ImageColor.getrgb(cell.colour)
    assert sum(bool(cell.hint) for cell in cells) == len(some)
    with Image.open(time) as picture:
        assert picture.format == "PNG"


def test_lines_of_time_that_lie_on_each_other_take_turns_and_none_is_hidden() -> None:
    time = [ModelledSeconds(seconds, seconds / 2, seconds * 2) for seconds in (0.03, 0.5, 4.0)]
    alike = tuple(zip((64 * MIB, 128 * MIB, 256 * MIB), time, strict=True))
    panel = TimePanel("three", {"none": (alike,), "loader": (alike,), "service": (alike[1:],)})
    shapes = time_drawing([panel]).shapes
    colours = {LINE_COLOURS[name] for name in panel.lines}
    lines = [shape for shape in shapes if isinstance(shape, Line) and shape.colour in colours and shape.thickness > 1]
    for left, right, options in ((0, 1, 2), (1, 2, 3)):
        dots = sorted({shape.x for shape in shapes if isinstance(shape, Dot)})
        between = [
            line for line in lines if dots[left] <= line.points[0][0] and line.points[1][0] <= dots[right] + 1e-6
        ]
        lengths = [sum(line.points[1][0] - line.points[0][0] for line in between if line.colour == colour)
                   for colour in colours]  # fmt: skip
        assert sum(lengths) == pytest.approx(dots[right] - dots[left])  # side by side: no part is drawn twice
        assert sorted(lengths)[-options] == pytest.approx((dots[right] - dots[left]) / options)
    at_one_place = [shape.radius for shape in shapes if isinstance(shape, Dot) and shape.x == dots[2]]
    assert at_one_place == sorted(set(at_one_place), reverse=True)  # rings: later ones are smaller
    labels = {shape.text for shape in shapes if isinstance(shape, Words)}
    assert {"0.01 s", "0.1 s", "1 s", "10 s"} <= labels


def test_many_panels_stand_side_by_side_and_none_covers_another(rows: list[Row]) -> None:
    many: list[Row] = [{**row, "image": f"image {number}"} for number in range(15) for row in rows]
    panels = success_panels(many)
    drawing = success_drawing(panels)
    assert len(panels) > 50
    assert 0.5 < drawing.height / drawing.width < 2
    cells = [shape for shape in drawing.shapes if isinstance(shape, Rectangle) and shape.hint]
    assert len({(cell.x, cell.y) for cell in cells}) == len(cells) == len(panels) * 10
    assert all(cell.x + cell.width <= drawing.width and cell.y + cell.height <= drawing.height for cell in cells)
    titles = [shape for shape in drawing.shapes if isinstance(shape, Words) and shape.bold]
    assert [title.text for title in titles[1:]] == [panel.title for panel in panels]


def test_labels_of_a_wide_panel_are_round_sizes_and_every_named_policy_and_do_not_touch(rows: list[Row]) -> None:
    accepts = [*(f"{size}M" for size in range(64, 1025, 16)), "presize:512M", "below-4g", "eager"]
    wide: list[Row] = [{**rows[0], "accept": accept} for accept in accepts]
    drawing = success_drawing(success_panels(wide))
    labels = [shape for shape in drawing.shapes if isinstance(shape, Words) and shape.anchor == "middle"]
    sizes = [f"{size}M" for size in range(128, 1024, 128)]
    named = ["presize:512M", "below-4g", "eager"]
    assert [label.text for label in labels] == [*sizes, "1024M", *named]
    for left, right in pairwise(labels):
        assert left.x + len(left.text) * 3.2 < right.x - len(right.text) * 3.2


def test_a_picture_that_would_be_huge_is_drawn_smaller_and_refused_only_then(rows: list[Row]) -> None:
    sizes = {to_png(Drawing(width, 100))[16:20] for width in (1000, 300_000)}
    assert sizes == {size.to_bytes(4, "big") for size in (2000, 300_000)}
    with pytest.raises(HostError, match="too many panels for one PNG"):
        to_png(Drawing(10_000, 10_000))


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
        "      accept 48M to below-4g",
    ]
    drawn = "".join(line.split("|")[1] for line in lines if line.count("|") == 2)
    assert [drawn.count(mark) for mark in "#. "] == [44, 20, 16]


def test_a_wide_map_is_thinned_out_and_says_so(rows: list[Row]) -> None:
    wide: list[Row] = [{**rows[0], "accept": f"{size}M"} for size in range(64, 264)]
    lines = map_lines(wide)
    assert lines[4].endswith("accept 64M to 262M, one of 3 shown")
    drawn, ruler = lines[2], lines[3]
    for label in ("|64M", "|100M", "|136M"):  # below the column that it names
        assert ruler.index(label) == drawn.index("|") + 1 + (int(label[1:-1]) - 64) // 3
    assert max(len(line) for line in lines) < 100
