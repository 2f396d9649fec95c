"""Lines that are wider than the terminal, and sessions on terminals of several widths."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.ui.fit import fit, fit_line, width_of
from tests.ui.conftest import Start
from tests.ui.screen import Terminal

WIDTHS = (40, 60, 80, 200)


@given(st.text(alphabet="ab ,/:\u4e2d", max_size=300), st.integers(40, 120))
def test_no_line_is_wider_and_no_character_is_lost(line: str, columns: int) -> None:
    rows = fit_line(line, columns)
    assert all(width_of(row) <= columns for row in rows)
    assert "".join("".join(rows).split()) == "".join(line.split())


def test_lines_that_fit_are_left_alone() -> None:
    assert fit("  a   b\n\n" + "x" * 80, 80) == "  a   b\n\n" + "x" * 80


def test_prose_goes_on_below_its_second_column() -> None:
    assert fit_line("result    it boots: everything fitted into memory", 40) == [
        "result    it boots: everything fitted",
        "          into memory",
    ]


def test_cells_of_a_table_stay_whole() -> None:
    assert fit_line("512M      direct    any        512 MiB  1.50 GiB  0.060 s", 40) == [
        "512M      direct    any        512 MiB",
        "          1.50 GiB  0.060 s",
    ]


def test_rows_of_the_memory_map_stack() -> None:
    row = "Available  0000000000001000-000000000009FFFF 000000000000009F 000000000000000F"
    assert fit_line(row, 80) == [row]
    assert fit_line(row, 40) == [
        "Available",
        "       0000000000001000-000000000009FFFF",
        "       000000000000009F 000000000000000F",
    ]


def test_words_that_are_too_wide_break_behind_a_mark() -> None:
    path = "          PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0)"
    assert fit_line(path, 40) == ["    PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,", "    0xFFFF,0x0)"]


COMMANDS = (
    "help", "help ls -verbose", "map -v", "memmap", "memmap -sfo", "td", "sept", "accept 512M 2M", "accept 1 2", "bs",
    "trace -n 5", "dh", "dmem 1000 20", "dmpstore -all", "boot -memory 2G -accept 90M kernel initrd", "explain",
    "compare kernel -memory 2G", "ladder kernel initrd -memory 2G", "timezone -l", "inspect kernel", "fault", "nosuch",
    "diff", "bs AllocatePages any LoaderData 10", "unload -?", "snap save a", "snap", "td -?",
)  # fmt: skip


def run(folder: Path, columns: int, *words: str, **environment: str) -> Terminal:
    """The program over a folder, on a terminal, until it ends."""
    own = {"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}
    terminal = Terminal([sys.executable, "-m", "tdvfsh", "--fs0", str(folder), *words], own, columns, 50)
    terminal.end()
    return terminal


@pytest.mark.terminal
@pytest.mark.parametrize("columns", WIDTHS)
def test_no_row_of_a_session_is_split_by_the_terminal(tmp_path: Path, columns: int) -> None:
    make_kernel(tmp_path / "kernel", 12 << 20, 56 << 20)
    make_initrd(tmp_path / "initrd", 40 << 20)
    commands = [word for line in COMMANDS for word in ("-c", line)]
    terminal = run(tmp_path, columns, *commands)
    printed = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r[^\n]*\x1b\[K", "", terminal.raw.decode())
    wide = [row for row in printed.replace("\r\n", "\n").split("\n") if width_of(row) > columns]
    assert wide == []
    assert "MemoryMap" in printed


@pytest.mark.terminal
@pytest.mark.parametrize("columns", WIDTHS)
def test_a_prompt_fits_with_its_toolbar_and_its_menu(start: Start, columns: int) -> None:
    terminal = start(columns=columns, lines=40)
    terminal.until(r"FS0:\\> ?$")
    terminal.send("help m\t")
    terminal.until("memmap")
    terminal.send("\x1b\x1b")
    terminal.send("memmap\r")
    terminal.until(r"Total Memory(?s:.*)FS0:\\> ?$")
    assert all(len(row) <= columns for row in terminal.text.split("\n"))
    terminal.send("exit\r")
    assert terminal.end() == 0


@pytest.mark.terminal
def test_columns_in_the_environment_count_for_more_than_the_terminal(tmp_path: Path) -> None:
    terminal = run(tmp_path, 120, "-c", "memmap", COLUMNS="50")
    rows = terminal.raw.decode().replace("\r\n", "\n").split("\n")
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", row)) for row in rows) <= 50
