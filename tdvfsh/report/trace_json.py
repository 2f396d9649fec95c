"""The journal as a file: JSON Lines, one record a line.

The first line is the header, every other one a call. Both are objects; keys may be added by later versions, which keep
the number; a reader skips keys that it does not know.

Header
    ==========  ====================================================================================
    key         value
    ==========  ====================================================================================
    format      ``tdvfsh-trace``
    version     1
    tdvfsh      the version that wrote it
    td          the TD's options, as ``tdvfsh boot --json`` has them under ``td``
    ram         ``[[start, end]...]``: where RAM lies, in bytes, half-open
    records     how many records the journal has, of which the file may hold a selection
    ==========  ====================================================================================

Record
    ==========  ====================================================================================
    key         value
    ==========  ====================================================================================
    number      position in the journal, from 0
    parent      number of the call that made this one, -1 for none; it may be missing from a selection
    time_ns     virtual time at entry, in modelled nanoseconds
    caller      ``shell``, ``firmware``, ``dxe``, ``sec``, a loader's name, ``stub`` ...
    service     the specification's name: ``AllocatePages``, ``TDG.MEM.PAGE.ACCEPT`` ...
    arguments   names and values as the specification names them; addresses and sizes are numbers of bytes,
                ``pages`` counts 4 KiB pages; null stands for a NULL pointer
    status      name of the EFI_STATUS, null for a call that never returned
    results     names and values of what it gave back
    ==========  ====================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from tdvfsh import __version__
from tdvfsh.errors import FormatError
from tdvfsh.trace import TraceRecord
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.machine import Machine

FORMAT: Final = "tdvfsh-trace"
VERSION: Final = 1


def trace_json_lines(machine: Machine, records: Iterable[TraceRecord] | None = None) -> Iterator[str]:
    """The file's lines without their ends.

    Args:
        machine: Whose journal it is.
        records: A selection of it; all where None.
    """
    ram = [[span.start, span.end] for span in machine.td.ram.spans]
    yield json.dumps(
        {
            "format": FORMAT,
            "version": VERSION,
            "tdvfsh": __version__,
            "td": machine.options.as_dict(),
            "ram": ram,
            "records": len(machine.trace),
        }
    )
    for record in machine.trace if records is None else records:
        yield json.dumps(record.as_dict())


def read_trace(lines: Iterable[str], path: str) -> tuple[dict[str, Any], list[TraceRecord]]:
    """The header and the records of such a file.

    Raises:
        FormatError: It is none, a newer one, or damaged; the message names the line.
    """
    header: dict[str, Any] | None = None
    records: list[TraceRecord] = []
    for number, line in enumerate(lines, start=1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            raise FormatError(path, f"line {number} is no JSON") from None
        if header is None:
            header = _header(values, path)
        elif line.strip():
            records.append(_record(values, path, number))
    if header is None:
        raise FormatError(path, "the file is empty")
    return header, records


def _header(values: object, path: str) -> dict[str, Any]:
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise FormatError(path, f"this is no trace: its first line has no format '{FORMAT}'")
    version = values.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise FormatError(path, f"a trace of version {version}; this tdvfsh reads up to {VERSION}")
    return values


def _record(values: object, path: str, number: int) -> TraceRecord:
    try:
        assert isinstance(values, dict)
        record = TraceRecord(
            values["number"], values["parent"], values["time_ns"], values["caller"], values["service"],
            dict(values["arguments"]),
        )  # fmt: skip
        record.status = None if values["status"] is None else EfiStatus[values["status"]]
        record.results = dict(values["results"])
    except (AssertionError, KeyError, TypeError, ValueError):
        raise FormatError(path, f"line {number} is no record of a trace") from None
    return record
