"""The journal in columns, one line per call, and for ``parse``."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.report.sfo import sfo_header, sfo_row
from tdvfsh.report.table import printable, table_lines

if TYPE_CHECKING:
    from tdvfsh.trace import Trace, TraceRecord, Value

_COUNTS: Final = frozenset(
    {"calls", "pages_4k", "pages_2m", "handle", "attempt", "vcpu", "duration_ns", "made_by", "freed_by", "placement"}
)
_INDENT: Final = "  "


def trace_lines(trace: Trace, records: Sequence[TraceRecord], *, tree: bool) -> list[str]:
    """Number, modelled milliseconds, caller, service with arguments, status and results of each record.

    Args:
        trace: The whole journal, which knows what caused what.
        records: What to show of it.
        tree: Indent a call below the one that made it.
    """
    rows = [("No", "ms", "Caller", "Call", "Status", "Results")]
    for record in records:
        indent = _INDENT * _depth(trace, record) if tree else ""
        rows.append(
            (
                str(record.number),
                f"{record.time_ns / 1e6:.3f}",
                record.caller,
                f"{indent}{record.service}({values_text(record.arguments)})",
                "..." if record.status is None else record.status.phrase,
                values_text(record.results),
            )
        )
    return table_lines(rows, ">>")


def trace_sfo(records: Sequence[TraceRecord]) -> list[str]:
    """The same as Standard-Format Output; the time in nanoseconds, the parent -1 where there is none."""
    return [
        sfo_header("trace"),
        *(
            sfo_row(
                "Call",
                record.number,
                record.parent,
                record.time_ns,
                printable(record.caller),
                record.service,
                printable(values_text(record.arguments)),
                "" if record.status is None else record.status.name,
                printable(values_text(record.results)),
            )
            for record in records
        ),
    ]


def values_text(values: dict[str, Value]) -> str:
    """``memory=0x1000000, pages=0x10``: numbers in hex, but what counts calls and pages accepted in decimal."""
    return ", ".join(f"{name}={value_text(name, value)}" for name, value in values.items() if value is not None)


def value_text(name: str, value: Value) -> str:
    """A value of a call."""
    if isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    return str(value) if is_count(name) else f"{value:#x}"


def is_count(name: str) -> bool:
    """Whether a number of that name is shown in decimal."""
    return name in _COUNTS


def _depth(trace: Trace, record: TraceRecord) -> int:
    depth = 0
    while record.parent >= 0:
        record = trace.records[record.parent]
        depth += 1
    return depth
