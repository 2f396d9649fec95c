"""``trace``: the journal in columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.shell.shell import Shell
from tdvfsh.trace.file import read_trace_file
from tests.shell.under_test import ShellUnderTest


@pytest.fixture
def busy(under_test: ShellUnderTest) -> ShellUnderTest:
    """A TD in which a few calls were made."""
    under_test.run("td new -memory 1G -accept 512M")
    under_test.run("bs AllocatePages Address LoaderData 10 1000000", "bs AllocatePages any LoaderData FFFFF")
    under_test.run("accept 512M 2M")
    return under_test


def test_calls_stand_in_columns_with_arguments_and_results(busy: ShellUnderTest) -> None:
    lines = busy.run("trace -service allocatepages").splitlines()
    assert lines[0].startswith("2 of 2 records, ")
    assert lines[1].split() == ["No", "ms", "Caller", "Call", "Status", "Results"]
    assert (
        "shell   AllocatePages(allocate_type=AllocateAddress, memory_type=EfiLoaderData, pages=0x10, memory=0x1000000)"
        in lines[2]
    )
    assert lines[2].endswith("Success           memory=0x1000000")
    assert len({line.find("AllocatePages(") for line in lines[2:]}) == 1


def test_the_last_forty_are_shown_with_a_line_that_says_how_many_there_are(busy: ShellUnderTest) -> None:
    busy.run(*(["bs Stall 1", "bs GetMemoryMap"] * 50))
    lines = busy.run("trace").splitlines()
    total = len(machine_of(busy.shell).trace)
    assert lines[0] == f"40 of {total} records, {total} in total"
    assert len(lines) == 2 + 40
    assert lines[-1].split()[0] == str(total - 1)
    assert len(busy.run("trace -n 0").splitlines()) == 2 + total
    assert len(busy.run("trace -n 3").splitlines()) == 2 + 3


def test_failures_are_found_by_status(busy: ShellUnderTest) -> None:
    for status in ("OUT_OF_RESOURCES", "EFI_OUT_OF_RESOURCES", "outofresources", "error"):
        assert busy.run(f"trace -status {status}").startswith("1 of 1 records, ")
    assert busy.run("trace -status foo") == "trace: Bad value - 'foo' for flag - '-status'\n"
    assert busy.shell.last_error_code == 2


def test_who_called_can_be_asked_for(busy: ShellUnderTest) -> None:
    text = busy.run("trace -caller sec")
    assert text.startswith("1 of 1 records, ")
    assert "AcceptMemory at boot(end_address=0x20000000)" in text
    assert busy.run("trace -caller nobody").startswith("0 of 0 records, ")


def test_a_tree_shows_what_caused_what(busy: ShellUnderTest) -> None:
    lines = busy.run("trace -tree -n 0").splitlines()
    column = lines[1].index("Call ", lines[1].index("Caller") + 6)
    accept = next(line for line in lines if line[column:].startswith("AcceptMemory(start_address=0x20000000"))
    below = lines[lines.index(accept) + 1 :]
    assert any(line[column:].startswith("    TDG.MEM.PAGE.ACCEPT(start=0x20000000") for line in below)


def test_sfo_rows_can_be_parsed(busy: ShellUnderTest) -> None:
    assert busy.run("trace -service AllocatePages -sfo | parse Call 8") == "EFI_SUCCESS\nEFI_OUT_OF_RESOURCES\n"
    assert busy.run("trace -service AllocatePages -sfo | parse Call 9 -i 1") == "memory=0x1000000\n"


def test_no_terminal_escapes_come_through(busy: ShellUnderTest) -> None:
    trace = machine_of(busy.shell).trace
    trace.note("LoadImage", device_path="\x1b[31mred\x07")
    with trace.on_behalf_of("\x1b[2J"):
        trace.note("Exit")
    for line in ("trace", "trace -tree", "trace -sfo"):
        text = busy.run(line)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "\\x1b[31mred\\x07" in text


def test_calls_that_touch_a_range_are_found_by_what_they_gave_back(busy: ShellUnderTest) -> None:
    for words in ("1000000", "100F000-100FFFF", "16M+4K", "FFFFFF-1000000"):
        assert "memory=0x1000000" in busy.run(f"trace -address {words}")
    assert busy.run("trace -address 1010000+4K").startswith("0 of 0 records, ")
    assert "AcceptMemory(start_address=0x20000000" in busy.run("trace -address 513M")
    for words in ("2000-1000", "1M+0", "x"):
        assert busy.run(f"trace -address {words}") == f"trace: Bad value - '{words}' for flag - '-address'\n"


def test_filters_hold_together(busy: ShellUnderTest) -> None:
    assert busy.run("trace -service AllocatePages -status error -caller shell").startswith("1 of 1 records, ")
    assert busy.run("trace -service AllocatePages -status error -address 1000000").startswith("0 of 0 records, ")


def test_a_tree_holds_what_the_chosen_calls_caused(busy: ShellUnderTest) -> None:
    lines = busy.run("trace -service AcceptMemory -tree").splitlines()
    services = [line.split("(")[0].split()[-1] for line in lines[2:]]
    assert services == ["AcceptMemory", "EdkiiMemoryAcceptProtocol.AcceptMemory", "TDG.MEM.PAGE.ACCEPT"]
    assert busy.run("trace -service AcceptMemory").startswith("1 of 1 records, ")


def test_a_file_holds_the_journal_as_json_lines(busy: ShellUnderTest, tmp_path: Path) -> None:
    assert busy.run("trace -o t.jsonl").endswith(" records in t.jsonl\n")
    (tmp_path / "t").write_bytes(busy.files.read(["t.jsonl"]))
    found = read_trace_file(tmp_path / "t")
    assert found.td["memory"] == 1 << 30
    assert [record.as_dict() for record in found.records] == [
        record.as_dict() for record in machine_of(busy.shell).trace
    ]
    busy.run("trace -status error -o e.jsonl")
    assert len(busy.files.read(["e.jsonl"]).splitlines()) == 2
    assert "Cannot write" in busy.run("trace -o nowhere:\\t.jsonl")
    assert busy.shell.last_error_code == 7


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    make_kernel(tmp_path / "k", 12 << 20, 60 << 20)
    make_initrd(tmp_path / "i", 8 << 20, None)
    return tmp_path


def test_the_tree_of_a_boot_shows_what_the_stub_and_load_image_caused(pair: Path) -> None:
    shell = Shell(sink := MemorySink())
    shell.mount(HostFolder(str(pair)))
    shell.run_line("trace -boot")
    assert sink.text == "trace: Nothing has been booted yet.\n"
    shell.run_line("boot -q -memory 2G -accept 512M -on-demand service k i")

    def below(service: str) -> list[tuple[str, str]]:
        before = len(sink.text)
        shell.run_line(f"trace -boot -service {service} -tree -n 0")
        rows = sink.text[before:].splitlines()[2:]
        return [(line.split()[2], line.split("(")[0].split()[-1]) for line in rows]

    loading = below("LoadImage")
    assert loading[0][1] == "LoadImage"
    assert ("dxe", "AllocatePages") in loading
    running = below("StartImage")
    assert {caller for caller, _ in running[1:]} >= {"stub"}
    assert "ExitBootServices" in {service for _, service in running}


def test_boot_writes_its_trace(pair: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = pair / "boot.jsonl"
    words = ["boot", str(pair / "k"), "--initrd", str(pair / "i"), "--memory", "2G", "--trace", str(path), "--json"]
    assert main(words) == 0
    placements = json.loads(capfd.readouterr().out)["placements"]
    found = read_trace_file(path)
    kernel = next(one["start"] for one in placements if one["what"] == "kernel")
    assert any(record.results.get("memory") == kernel for record in found.records)
    assert found.boot is not None
    assert found.boot["placements"] == placements
    assert main([*words[:-3], "--trace", str(pair / "no" / "x")]) == 2
    assert "no such file or directory" in capfd.readouterr().err.lower()
