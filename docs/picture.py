"""An SVG screen of an asciicast: what README shows.

tdvfsh demo --cast demo.cast && python docs/picture.py demo.cast docs/demo.svg --rows 38
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

_COLOURS = {"red": "#ff7b72", "green": "#7ee787", "brown": "#e3b341", "default": "#d0d7de"}
_FONT, _LINE, _WIDTH, _BORDER = 13, 18, 7.83, 14
_NO_BREAK = "\N{NO-BREAK SPACE}"
_BACKGROUND, _BAR = "#0d1117", 30


def main() -> None:
    """Read a cast, write the picture of its last rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cast")
    parser.add_argument("svg")
    parser.add_argument("--rows", type=int, default=38)
    arguments = parser.parse_args()
    header, *events = map(json.loads, Path(arguments.cast).read_text(encoding="utf-8").splitlines())
    screen = pyte.Screen(header["width"], 1000)
    stream = pyte.Stream(screen)
    for _, _, text in events:
        stream.feed(text)
    rows = [list(_runs(screen.buffer[y][x] for x in range(screen.columns))) for y in range(screen.lines)]
    while rows and not any(text.strip() for text, _ in rows[-1]):
        rows.pop()
    rows = [rows[0], [], *rows[-arguments.rows + 2 :]] if len(rows) > arguments.rows else rows
    Path(arguments.svg).write_text(_svg(rows, header["width"], header["title"]), encoding="utf-8")


def _runs(cells: Iterator[pyte.screens.Char]) -> Iterator[tuple[str, tuple[str, bool]]]:
    for style, run in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
        yield "".join(cell.data for cell in run), style


def _svg(rows: list[list[tuple[str, tuple[str, bool]]]], columns: int, title: str) -> str:
    width, height = round(columns * _WIDTH + 2 * _BORDER), len(rows) * _LINE + 2 * _BORDER + _BAR
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t">',
        f'<title id="t">A terminal: {escape(title)} and the end of what it prints</title>',
        f'<rect width="{width}" height="{height}" rx="8" fill="{_BACKGROUND}"/>',
        *(
            f'<circle cx="{x}" cy="18" r="6" fill="{c}"/>'
            for x, c in ((20, "#ff5f56"), (40, "#ffbd2e"), (60, "#27c93f"))
        ),
        f'<g font-family="ui-monospace,Menlo,Consolas,monospace" font-size="{_FONT}" xml:space="preserve">',
    ]
    for number, row in enumerate(rows):
        column, y = 0, _BAR + _BORDER + number * _LINE + _FONT
        for text, (colour, bold) in row:
            if text.strip():
                shown = text.rstrip()
                words = escape(shown.lstrip()).replace(" ", _NO_BREAK)
                start = len(text) - len(text.lstrip())
                x, length = _BORDER + (column + start) * _WIDTH, (len(shown) - start) * _WIDTH
                style = f'fill="{_COLOURS.get(colour, _COLOURS["default"])}"' + (' font-weight="bold"' if bold else "")
                lines.append(f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}" {style}>{words}</text>')
            column += len(text)
    return "\n".join([*lines, "</g>", "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
