"""Results as HTML for notebooks: a heading and a table, without styles or scripts of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MOST_ROWS = 200
"""Longer tables are cut, with a line that says so."""


def table_html(heading: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A heading and a table; every text is escaped.

    Args:
        heading: One line.
        columns: Names of the columns.
        rows: The cells; numbers are aligned to the right.
    """
    from html import escape

    cells = list(rows)
    left_out = len(cells) - MOST_ROWS
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in cells[:MOST_ROWS])
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if cells else ""
    more = f"<p>and {left_out:,} more rows</p>" if left_out > 0 else ""
    return f"<p><b>{escape(heading)}</b></p>{table}{more}"


def _cell(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td style="text-align: right">{value:,}</td>'
    from html import escape

    return f"<td>{escape(str(value))}</td>"
