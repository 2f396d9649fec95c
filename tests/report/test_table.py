"""Columns that line up, and text that cannot act on a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.report.table import printable, table_lines


def test_columns_line_up_and_lines_have_no_blanks_at_their_end() -> None:
    assert table_lines([("a", "1"), ("long", "22"), ("", "")], " >") == ["a      1", "long  22", ""]


def test_no_rows_are_no_lines() -> None:
    assert table_lines([]) == []


@given(st.lists(st.lists(st.text(max_size=8), min_size=3, max_size=3), min_size=1, max_size=6))
def test_every_cell_starts_in_its_column(rows: list[list[str]]) -> None:
    lines = table_lines(rows)
    widths = [max(len(printable(row[column])) for row in rows) for column in range(3)]
    for row, line in zip(rows, lines, strict=True):
        padded = line.ljust(sum(widths) + 4)
        at = 0
        for cell, width in zip(row, widths, strict=True):
            assert padded[at : at + width] == printable(cell).ljust(width)
            at += width + 2


@given(st.text())
def test_printable_text_holds_no_control_character(text: str) -> None:
    assert printable(text).isprintable()


def test_printable_leaves_what_people_write_alone() -> None:
    assert printable("vmlinuz-6.12 ü 你") == "vmlinuz-6.12 ü 你"
    assert printable("a\x1b[31mb\n") == "a\\x1b[31mb\\n"
