"""A journal as a file: JSON Lines, a header first, then one record a line as :meth:`TraceRecord.as_dict` returns it.

The header's keys:

- ``tdvfsh_trace``: the form's number, 2;
- ``version``: the tool's;
- ``td``: the TD options, as in ``tdvfsh boot --json``;
- ``ram``: spans of RAM, ``{"start", "end"}`` in bytes;
- ``memory_map``: the map that firmware's first caller found, ``{"type", "start", "pages", "attribute"}``;
- ``command``: the command line that made it, a list of words; empty where no command line did;
- ``boot``: what ``tdvfsh boot --json`` prints, or null where the journal is not one boot's.

A record's keys:

- ``kind``: ``call`` for a service without a kind of its own, else the kind: ``allocate_pages``, ``free_pages``,
  ``allocate_pool``, ``free_pool``, ``get_memory_map``, ``accept_memory``, ``load_image``, ``protocol_accept``,
  ``accept_at_boot``, ``accept`` (TDG.MEM.PAGE.ACCEPT), ``dma_accept``, ``placement``, ``placement_gone``; it decides
  which ``arguments`` and ``results`` there are;
- ``number``: position in the journal, from 0;
- ``parent``: number of the record that caused this one, -1 for none;
- ``time_ns``: virtual time at entry, in modelled nanoseconds;
- ``caller``: ``shell``, ``firmware``, ``bds``, ``dxe``, ``sec``, a loader's name, ``stub`` and so on;
- ``service``: the specification's name: ``AllocatePages``, ``TDG.MEM.PAGE.ACCEPT`` and so on;
- ``arguments``, ``results``: names and values as the specification names them; addresses and sizes are numbers of
  bytes, ``pages`` counts 4 KiB pages, ``duration_ns`` modelled nanoseconds, null stands for a NULL pointer;
- ``status``: name of the EFI_STATUS; null for a call that did not return.

Later versions may add keys and keep the number. Form 1 (tdvfsh 0.1.0) is read too. A file with a selection of the
records (``trace -status error -o FILE``) keeps their numbers; it is for other tools, for a map cannot be rebuilt from
it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tdvfsh import __version__
from tdvfsh.documents import read_json
from tdvfsh.errors import FormatError, TdvfshError, host_error
from tdvfsh.formats.mapped import require_file
from tdvfsh.formats.typed_json import FieldError, JsonObject, wrong
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.trace.fields import memory_type_of
from tdvfsh.trace.reading import OLDEST_FORM, TRACE_FORM, read_record
from tdvfsh.trace.records import TraceRecord
from tdvfsh.uefi.memory import MemoryDescriptor, memory_type_name
from tdvfsh.whole_file import whole_file

_LONGEST_LINE: Final = 16 << 20
_MARK: Final = "tdvfsh_trace"
_TD_TEXTS: Final = ("firmware_model", "loader", "accept", "on_demand")


@dataclass(frozen=True)
class TraceFile:
    """A journal with all that is needed to understand it alone.

    Attributes:
        td: The TD options as plain values.
        ram: Spans of RAM, half-open, in bytes.
        memory_map: The map before the first record that a caller of firmware made.
        records: The journal.
        boot: The boot that it is the journal of, as plain values, or None.
        version: Version of the tool that wrote it.
        command: The command line that made it, word by word; empty where no command line did.
    """

    td: dict[str, Any]
    ram: tuple[tuple[int, int], ...]
    memory_map: tuple[MemoryDescriptor, ...]
    records: Sequence[TraceRecord]
    boot: dict[str, Any] | None = None
    version: str = __version__
    command: tuple[str, ...] = ()


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
        "command": list(file.command),
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
        FormatError: It is not a journal, or one of another form, or a field of it is wrong: the line is named.
    """
    name = str(path)
    require_file(path)
    line_number = 1
    try:
        with open(path, encoding="utf-8") as file:
            header = _header(name, file.readline(_LONGEST_LINE))
            form = header.number(_MARK)
            facts = _read_header(header)
            records: list[TraceRecord] = []
            for line_number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), ""), 2):
                if len(line) == _LONGEST_LINE:
                    raise FormatError(name, f"a damaged trace: line {line_number} is longer than any of a trace")
                if line.strip():
                    what = f"a damaged trace: line {line_number}"
                    records.append(read_record(read_json(line, name, what), records, form))
            return TraceFile(records=records, **facts)
    except FieldError as error:
        raise FormatError(name, f"a damaged trace: line {line_number}: {error}") from None
    except UnicodeDecodeError:
        raise FormatError(name, "not a trace: it is not text") from None
    except OSError as error:
        raise host_error(name, error) from None


def _header(name: str, line: str) -> JsonObject:
    try:
        header = read_json(line, name, "not a trace")
    except FormatError:
        header = None
    if not isinstance(header, dict) or _MARK not in header:
        raise FormatError(name, "not a trace: its first line is not a header ('tdvfsh boot --trace FILE' writes one)")
    form = header[_MARK]
    if type(form) is not int or not OLDEST_FORM <= form <= TRACE_FORM:
        raise FormatError(name, f"a trace of form {ascii(form)[:40]}; this version reads forms 1 and {TRACE_FORM}")
    return JsonObject(header)


def _read_header(header: JsonObject) -> dict[str, Any]:
    td = header.child("td")
    td.number("memory")
    td.number("vcpus", 1)
    td.flag("td")
    for name in _TD_TEXTS:
        td.text(name)
    boot = header.optional_child("boot")
    if boot is not None:
        _check_boot(boot)
    return {
        "td": td.as_dict(),
        "ram": tuple(_span(span) for span in header.children("ram")),
        "memory_map": tuple(_descriptor(entry) for entry in header.children("memory_map")),
        "boot": None if boot is None else boot.as_dict(),
        "version": header.text("version"),
        "command": _command(header),
    }


def _command(header: JsonObject) -> tuple[str, ...]:
    """The command line; traces of earlier versions do not have it."""
    words = header.items("command") if "command" in header.as_dict() else []
    for index, word in enumerate(words):
        if not isinstance(word, str):
            raise wrong(header.field(f"command[{index}]"), "a text", word)
    return tuple(map(str, words))


def _span(span: JsonObject) -> tuple[int, int]:
    start = span.number("start")
    return start, span.number("end", start)


def _descriptor(entry: JsonObject) -> MemoryDescriptor:
    name = entry.text("type")
    try:
        memory_type = memory_type_of(name)
    except ValueError:
        raise wrong(entry.field("type"), "a memory type", name) from None
    return MemoryDescriptor(memory_type, entry.number("start"), entry.number("pages"), entry.number("attribute"))


def _check_boot(boot: JsonObject) -> None:
    """What views read of the boot is there and of its type."""
    boot.text("status")
    boot.text("stage")
    boot.child("accept").number("on_demand_bytes")
    failure = boot.optional_child("failure")
    if failure is not None:
        failure.text("why")
    images = boot.child("images")
    for image in (images.child("kernel"), *images.children("initrd")):
        image.text("path")
    for index, note in enumerate(boot.items("notes")):
        if not isinstance(note, str):
            raise wrong(boot.field(f"notes[{index}]"), "a text", note)
    for placement in boot.children("placements"):
        placement.text("what")
        placement.text("memory_type")
        start = placement.number("start")
        placement.number("end", start)
        placement.flag("freed")
