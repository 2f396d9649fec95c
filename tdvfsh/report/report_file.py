"""A report in the form that a file's name asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.report.boots.compare_text import ComparedRow
from tdvfsh.trace.file import TraceFile

_FORMS: Final = (".html", ".htm", ".svg")


def check_form(name: str) -> None:
    """Refuse a file name that names no form, before any work is done.

    Raises:
        UsageError: It ends neither in .html nor in .svg.
    """
    if not name.lower().endswith(_FORMS):
        raise UsageError(f"{name}: a report is an .html or an .svg file")


def wants_comparison(name: str) -> bool:
    """Whether the form shows how policies compare."""
    return not name.lower().endswith(".svg")


def report_text(
    name: str,
    file: TraceFile,
    compared: Sequence[ComparedRow] = (),
    measured: Mapping[str, Any] | None = None,
) -> str:
    """The text of the report ``name`` about a trace.

    Raises:
        UsageError: The name names no form.
        HostError: A page, but the ``report`` extra is not installed.
    """
    check_form(name)
    if name.lower().endswith(".svg"):
        from tdvfsh.report.map_svg import map_svg

        return map_svg(file)
    from tdvfsh.report.page.html import page_html

    return page_html(file, compared, measured)
