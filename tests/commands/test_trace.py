"""``trace``: the journal in columns."""

from __future__ import annotations

import pytest

from tdvfsh.commands.machine import machine_of
from tests.commands.conftest import ShellUnderTest


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
        "shell   AllocatePages(allocate_type=AllocateAddress, memory_type=EfiLoaderData, pages=10, memory=1000000)"
        in lines[2]
    )
    assert lines[2].endswith("Success           memory=1000000")
    assert len({line.find("AllocatePages(") for line in lines[2:]}) == 1


def test_the_last_forty_are_shown_with_a_line_that_says_how_many_there_are(busy: ShellUnderTest) -> None:
    busy.run(*(["bs Stall 1", "bs GetMemoryMap"] * 50))
    lines = busy.run("trace").splitlines()
    total = len(machine_of(busy.shell).trace)
    assert lines[0] == f"40 of {total} records, {total} in all"
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
    assert "AcceptMemory at boot(end_address=20000000)" in text
    assert busy.run("trace -caller nobody").startswith("0 of 0 records, ")


def test_a_tree_shows_what_caused_what(busy: ShellUnderTest) -> None:
    lines = busy.run("trace -tree -n 0").splitlines()
    column = lines[1].index("Call ", lines[1].index("Caller") + 6)
    accept = next(line for line in lines if line[column:].startswith("AcceptMemory(start_address=20000000"))
    below = lines[lines.index(accept) + 1 :]
    assert any(line[column:].startswith("    TDG.MEM.PAGE.ACCEPT(start=20000000") for line in below)


def test_sfo_rows_can_be_parsed(busy: ShellUnderTest) -> None:
    assert busy.run("trace -service AllocatePages -sfo | parse Call 8") == "EFI_SUCCESS\nEFI_OUT_OF_RESOURCES\n"
    assert busy.run("trace -service AllocatePages -sfo | parse Call 9 -i 1") == "memory=1000000\n"


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
