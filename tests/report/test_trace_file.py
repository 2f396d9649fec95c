"""A journal as a file, there and back; and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.errors import FormatError, HostError
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.trace_file import (
    TraceFile,
    is_trace_file,
    read_trace_file,
    trace_file_lines,
    trace_of_boot,
    trace_of_machine,
    write_trace_file,
)
from tdvfsh.units import GIB
from tests.boots.made_files import Opener


def _written(tmp_path: Path) -> tuple[Path, TraceFile]:
    machine = Machine(TdOptions(memory=4 * GIB))
    machine.services.accept_memory(GIB, GIB)
    machine.services.allocate_pool(0x80000001, 100)
    trace = trace_of_machine(machine)
    path = tmp_path / "a.trace"
    write_trace_file(path, trace)
    return path, trace


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    path, trace = _written(tmp_path)
    assert is_trace_file(path)
    again = read_trace_file(path)
    assert [*trace_file_lines(again)] == [*trace_file_lines(trace)]
    assert again.memory_map == trace.memory_map
    assert again.ram == ((0, 2 * GIB), (4 * GIB, 6 * GIB))
    assert [record.as_dict() for record in again.records] == [record.as_dict() for record in trace.records]


def test_the_file_is_one_object_a_line_behind_a_header(tmp_path: Path) -> None:
    path, trace = _written(tmp_path)
    header, *records = [json.loads(line) for line in path.read_text().splitlines()]
    assert header["tdvfsh_trace"] == 1
    assert header["td"]["memory"] == 4 * GIB
    assert header["boot"] is None
    assert header["memory_map"][0].keys() == {"type", "start", "pages", "attribute"}
    assert records == [record.as_dict() for record in trace.records]


def test_the_first_map_of_a_boot_is_the_one_before_its_first_call(opened: Opener) -> None:
    options = TdOptions(memory=2 * GIB, accept=parse_boot_accept("presize:256M"))
    files = opened()
    trace = trace_of_boot(boot(options, files.boot))
    unaccepted = sum(entry.number_of_pages << 12 for entry in trace.memory_map if entry.memory_type == 15)
    assert trace.boot is not None
    assert unaccepted == trace.boot["accept"]["left_to_os_bytes"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: "", "not a trace"),
        (lambda text: "MZ\n", "not a trace"),
        (lambda text: "[1]\n", "not a trace"),
        (lambda text: text.replace('"tdvfsh_trace": 1', '"tdvfsh_trace": 2', 1), "a trace of form 2"),
        (lambda text: text[:-20], "a damaged trace"),
        (lambda text: text.replace('"memory_map"', '"map"', 1), "a damaged trace"),
        (lambda text: text.replace('"EFI_SUCCESS"', '"EFI_NONSENSE"', 1), "a damaged trace"),
        (lambda text: text.replace('"number": 1,', '"number": 7,', 1), "record 1 is numbered 7"),
        (lambda text: text.replace('"parent": -1', '"parent": 12', 1), "record 0 was caused by 12"),
        (lambda text: "[" * 100_000, "not a trace"),
    ],
)
def test_a_file_that_is_no_trace_is_one_line(tmp_path: Path, change: object, why: str) -> None:
    path, _ = _written(tmp_path)
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(FormatError) as caught:
        read_trace_file(path)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_no_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(FormatError, match="not text"):
        read_trace_file(tmp_path / "binary")
    with pytest.raises(HostError, match="No such file"):
        read_trace_file(tmp_path / "missing")
    with pytest.raises(HostError, match="is a directory"):
        write_trace_file(tmp_path, _written(tmp_path)[1])
    assert not is_trace_file(tmp_path / "missing")
