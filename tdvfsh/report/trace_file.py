"""A journal as a file: JSON Lines, a header first, then one record a line as :meth:`TraceRecord.as_dict` gives it.

The header's keys:

- ``tdvfsh_trace``: the form's number, 1;
- ``version``: the tool's;
- ``td``: the TD options, as in ``tdvfsh boot --json``;
- ``ram``: spans of RAM, ``{"start", "end"}`` in bytes;
- ``memory_map``: the map that firmware's first caller found, ``{"type", "start", "pages", "attribute"}``;
- ``boot``: what ``tdvfsh boot --json`` prints, or null where the journal is not one boot's.

A record's keys:

- ``number``: position in the journal, from 0;
- ``parent``: number of the call that made this one, -1 for none;
- ``time_ns``: virtual time at entry, in modelled nanoseconds;
- ``caller``: ``shell``, ``firmware``, ``bds``, ``dxe``, ``sec``, a loader's name, ``stub`` and so on;
- ``service``: the specification's name: ``AllocatePages``, ``TDG.MEM.PAGE.ACCEPT`` and so on;
- ``arguments``, ``results``: names and values as the specification names them; addresses and sizes are numbers of
  bytes, ``pages`` counts 4 KiB pages, null stands for a NULL pointer;
- ``status``: name of the EFI_STATUS; null for a call that did not return.

Later versions may add keys and keep the number. A file with a selection of the records (``trace -status error -o
FILE``) keeps their numbers; it is for other tools, for a map cannot be rebuilt from it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tdvfsh import __version__
from tdvfsh.boots.modelled_boot import BootResult, fw_cfg_bytes
from tdvfsh.errors import FormatError, HostError, TdvfshError
from tdvfsh.formats.initrd import Initrd
from tdvfsh.formats.mapped import require_file
from tdvfsh.machine.machine import Machine
from tdvfsh.report.boot_json import boot_dict
from tdvfsh.trace import NO_PARENT, TraceRecord
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor, memory_type_name
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.whole_file import whole_file

TRACE_FORM: Final = 1
_MARK: Final = "tdvfsh_trace"
_TYPES: Final = {kind.name: int(kind) for kind in EfiMemoryType}


@dataclass(frozen=True)
class TraceFile:
    """A journal with what it takes to understand it alone.

    Attributes:
        td: The TD options as plain values.
        ram: Spans of RAM, half-open, in bytes.
        memory_map: The map before the first record that a caller of firmware made.
        records: The journal.
        boot: The boot that it is the journal of, as plain values, or None.
        version: Version of the tool that wrote it.
    """

    td: dict[str, Any]
    ram: tuple[tuple[int, int], ...]
    memory_map: tuple[MemoryDescriptor, ...]
    records: Sequence[TraceRecord]
    boot: dict[str, Any] | None = None
    version: str = __version__


def trace_of_machine(machine: Machine, image_bytes: int = 0, boot: dict[str, Any] | None = None) -> TraceFile:
    """The journal of a machine; the first map is that of a twin, which starts as the machine did.

    Args:
        machine: The machine as it is now.
        image_bytes: Sizes of the boot blobs, as the machine was made with.
        boot: The boot as plain values.
    """
    twin = Machine(machine.options, image_bytes)
    return TraceFile(
        machine.options.as_dict(),
        tuple((span.start, span.end) for span in machine.td.ram.spans),
        twin.services.memory_map_view().descriptors,
        machine.trace.records,
        boot,
    )


def trace_of_boot(result: BootResult, initrds: Sequence[Initrd] = ()) -> TraceFile:
    """The journal of one boot, and how it ended."""
    return trace_of_machine(result.machine, fw_cfg_bytes(result.files), boot_dict(result, initrds))


def trace_file_lines(file: TraceFile) -> Iterator[str]:
    """The file's lines, without their ends."""
    header = {
        _MARK: TRACE_FORM,
        "version": file.version,
        "td": file.td,
        "ram": [{"start": start, "end": end} for start, end in file.ram],
        "memory_map": [
            {
                "type": memory_type_name(entry.memory_type),
                "start": entry.physical_start,
                "pages": entry.number_of_pages,
                "attribute": entry.attribute,
            }
            for entry in file.memory_map
        ],
        "boot": file.boot,
    }
    yield json.dumps(header)
    for record in file.records:
        yield json.dumps(record.as_dict())


def write_trace_file(path: str | Path, file: TraceFile) -> None:
    """Write a journal, whole or not at all.

    Raises:
        HostError: The file cannot be written.
    """
    with whole_file(path) as out:
        out.writelines(f"{line}\n".encode() for line in trace_file_lines(file))


def is_trace_file(path: str | Path) -> bool:
    """Whether a host file begins as a journal does; False for what cannot be read, too."""
    try:
        require_file(path)
        with open(path, "rb") as file:
            return file.read(len(_MARK) + 3).startswith(b'{"' + _MARK.encode())
    except (OSError, TdvfshError):
        return False


def read_trace_file(path: str | Path) -> TraceFile:
    """Read a journal back.

    Raises:
        HostError: The file cannot be read.
        FormatError: It is no journal, or one of another form.
    """
    name = str(path)
    require_file(path)
    try:
        with open(path, encoding="utf-8") as file:
            header = _header(name, file.readline())
            try:
                records = tuple(
                    _record(name, number, json.loads(line)) for number, line in enumerate(file) if line.strip()
                )
                return TraceFile(
                    dict(header["td"]),
                    tuple((int(span["start"]), int(span["end"])) for span in header["ram"]),
                    tuple(_descriptor(entry) for entry in header["memory_map"]),
                    records,
                    header.get("boot"),
                    str(header["version"]),
                )
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
                raise FormatError(name, f"a damaged trace ({type(error).__name__}: {error})") from None
    except UnicodeDecodeError:
        raise FormatError(name, "not a trace: it is not text") from None
    except OSError as error:
        raise HostError(f"{name}: {error.strerror or error}") from None


def _header(name: str, line: str) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or _MARK not in header:
        raise FormatError(name, "not a trace: its first line is no header ('tdvfsh boot --trace FILE' writes one)")
    if header[_MARK] != TRACE_FORM:
        raise FormatError(name, f"a trace of form {header[_MARK]!r}; this version reads form {TRACE_FORM}")
    return header


def _record(name: str, number: int, values: dict[str, Any]) -> TraceRecord:
    if values["number"] != number:
        raise FormatError(name, f"record {number} is numbered {values['number']!r}")
    parent = int(values["parent"])
    if not (parent == NO_PARENT or 0 <= parent < number):
        raise FormatError(name, f"record {number} was caused by {parent}, which does not stand before it")
    record = TraceRecord(
        number,
        parent,
        int(values["time_ns"]),
        str(values["caller"]),
        str(values["service"]),
        dict(values["arguments"]),
    )
    record.status = None if values["status"] is None else EfiStatus[values["status"]]
    record.results = dict(values["results"])
    return record


def _descriptor(entry: dict[str, Any]) -> MemoryDescriptor:
    named = str(entry["type"])
    memory_type = _TYPES[named] if named in _TYPES else int(named, 16)
    return MemoryDescriptor(memory_type, int(entry["start"]), int(entry["pages"]), int(entry["attribute"]))
