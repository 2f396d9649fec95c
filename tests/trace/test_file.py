"""A journal as a file, there and back; and files that are none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.cli.main import main
from tdvfsh.errors import FormatError, HostError
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.map_svg import map_svg
from tdvfsh.report.trace_file import trace_of_boot, trace_of_machine
from tdvfsh.trace import file as trace_file
from tdvfsh.trace.file import TraceFile, is_trace_file, read_trace_file, trace_file_lines, write_trace_file
from tdvfsh.trace.records import KINDS, BootAccept, PageAccept
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import Opener

OLD = Path(__file__).parent.parent / "recordings" / "trace" / "form-1.jsonl"
"""Written by tdvfsh 0.1.0."""


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
    assert header["tdvfsh_trace"] == 2
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
        (lambda text: text.replace('"tdvfsh_trace": 2', '"tdvfsh_trace": 3', 1), "a trace of form 3"),
        (lambda text: text.replace('"tdvfsh_trace": 2', '"tdvfsh_trace": true', 1), "a trace of form True"),
        (lambda text: text[:-20], "not JSON"),
        (lambda text: text.replace('"memory_map"', '"map"', 1), "line 1: 'memory_map' is missing"),
        (lambda text: text.replace('"EFI_SUCCESS"', '"EFI_NONSENSE"', 1), "line 2: 'status' is not an EFI status"),
        (lambda text: text.replace('"number": 1,', '"number": 7,', 1), "line 3: 'number' is 7, but the record is"),
        (lambda text: text.replace('"parent": -1', '"parent": 12', 1), "line 2: 'parent' is 12, which does not stand"),
        (lambda text: text.replace('"parent": -1', '"parent": 0', 1), "line 2: 'parent' is 0, which does not stand"),
        (lambda text: text.replace('"kind": "accept_at_boot"', '"kind": "x"', 1), "'kind' is not a kind of record"),
        (lambda text: text.replace('"kind": "allocate_pool"', '"kind": "free_pool"', 1), "'service' is not FreePool"),
        (lambda text: "[" * 100_000, "not a trace"),
    ],
)
def test_a_file_that_is_not_a_trace_is_one_line(tmp_path: Path, change: object, why: str) -> None:
    path, _ = _written(tmp_path)
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(FormatError) as caught:
        read_trace_file(path)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


HEADER, AT_BOOT, ALLOCATE, TDCALL = 1, 2, 3, 9


@pytest.mark.parametrize(
    ("line", "names", "value", "why"),
    [
        (HEADER, ("td", "memory"), "1G", "'td.memory' is not a number from 0 to 2^64: '1G'"),
        (HEADER, ("td", "vcpus"), 0, "'td.vcpus' is not a number from 1 to 2^64: 0"),
        (HEADER, ("td",), [], "'td' is not an object: []"),
        (HEADER, ("ram",), {}, "'ram' is not a list: {}"),
        (HEADER, ("ram", 0, "end"), -1, "'ram[0].end' is not a number from 0 to 2^64: -1"),
        (HEADER, ("memory_map", 3, "pages"), 1.5, "'memory_map[3].pages' is not a number"),
        (HEADER, ("memory_map", 3, "type"), "\x1b[31m", "'memory_map[3].type' is not a memory type: '\\x1b[31m'"),
        (HEADER, ("version",), None, "'version' is not a text: None"),
        (HEADER, ("boot",), 7, "'boot' is not an object: 7"),
        (HEADER, ("boot",), {"status": "EFI_SUCCESS"}, "'boot.stage' is missing"),
        (AT_BOOT, ("results", "calls"), None, "'results.calls' is not a number from 0 to 2^64: None"),
        (ALLOCATE, ("arguments", "pages"), "10", "'arguments.pages' is not a number from 0 to 2^64: '10'"),
        (ALLOCATE, ("arguments", "pages"), True, "'arguments.pages' is not a number from 0 to 2^64: True"),
        (ALLOCATE, ("arguments", "memory_type"), 2, "'arguments.memory_type' is not a memory type: 2"),
        (ALLOCATE, ("arguments", "allocate_type"), "", "'arguments.allocate_type' is not an allocate type: ''"),
        (ALLOCATE, ("results",), None, "'results' is not an object: None"),
        (ALLOCATE, ("time_ns",), float("inf"), "'time_ns' is not a number from 0 to"),
        (ALLOCATE, ("caller",), 3, "'caller' is not a text: 3"),
        (TDCALL, ("arguments", "rcx"), [1], "'arguments.rcx' is not a number from 0 to 2^64: [1]"),
        (TDCALL, ("results", "completion"), 0, "'results.completion' is not a text: 0"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_its_file_and_line(
    tmp_path: Path, line: int, names: tuple[str | int, ...], value: object, why: str
) -> None:
    lines = [json.loads(text) for text in OLD.read_text().splitlines()]
    holder = lines[line - 1]
    for name in names[:-1]:
        holder = holder[name]
    holder[names[-1]] = value
    path = tmp_path / "bad.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(FormatError) as caught:
        read_trace_file(path)
    assert str(caught.value).startswith(f"{path}: a damaged trace: line {line}: {why}")
    assert "\n" not in str(caught.value)


def test_a_field_of_the_wrong_type_ends_the_program_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(OLD.read_text().replace('"EfiLoaderCode"', '"Efi\\u001b[31mLoaderCode"'))
    assert main(["report", str(path), "-o", str(tmp_path / "x.svg")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "line 4: 'arguments.memory_type' is not a memory type" in said
    assert "\x1b" not in said


def test_a_trace_of_form_1_is_read_with_its_accepts_as_one_kind_and_their_durations() -> None:
    trace = read_trace_file(OLD)
    at_boot, *_ = trace.records
    assert isinstance(at_boot, BootAccept)
    assert (at_boot.accepted_bytes, at_boot.duration_ns) == (536764416, 59844000)
    accepts = [record for record in trace.records if isinstance(record, PageAccept)]
    assert [(one.start, one.size, one.calls, one.new_bytes, one.completion) for one in accepts] == [
        (512 * MIB, 8 * MIB, 4, 8 * MIB, "SUCCESS"),
        (768 * MIB, 2 * MIB, 1, 2 * MIB, "SUCCESS"),
        (768 * MIB, GIB, 1, 0, "OPERAND_INVALID"),
    ]
    assert (accepts[0].time_ns, accepts[0].duration_ns) == (59844000, 832000)
    assert "8 MiB" in map_svg(trace)


def test_a_trace_of_form_1_is_written_as_form_2(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    write_trace_file(path, read_trace_file(OLD))
    assert json.loads(path.read_text().splitlines()[0])["tdvfsh_trace"] == 2
    assert [*trace_file_lines(read_trace_file(path))] == path.read_text().splitlines()


def test_the_form_s_description_names_every_kind() -> None:
    assert trace_file.__doc__ is not None
    assert [kind for kind in KINDS if f"``{kind}``" not in trace_file.__doc__] == []


def test_bytes_that_are_no_text_and_no_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(FormatError, match="not text"):
        read_trace_file(tmp_path / "binary")
    with pytest.raises(HostError, match="no such file"):
        read_trace_file(tmp_path / "missing")
    with pytest.raises(HostError, match="is a directory"):
        write_trace_file(tmp_path, _written(tmp_path)[1])
    assert not is_trace_file(tmp_path / "missing")
