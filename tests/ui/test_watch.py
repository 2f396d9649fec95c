"""The live view in a pseudo-terminal: it follows commands, and leaves the terminal as it found it."""

from __future__ import annotations

import os
import re
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ui.screen import Terminal

pytestmark = pytest.mark.terminal

_PROMPT = r"FS0:\\> *$"
_F1, _F2, _F7, _F10 = "\x1bOP", "\x1bOQ", "\x1b[18~", "\x1b[21~"
_PAGE_UP = "\x1b[5~"

_PROGRAM = """
import sys
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.repl import run_repl

class Breaking(Shell):
    def run_line(self, text):
        if text == "crash":
            raise RuntimeError("on purpose")
        return super().run_line(text)

shell = Breaking()
shell.mount(HostFolder(sys.argv[1]))
sys.exit(run_repl(shell))
"""

Start = Callable[..., Terminal]


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Start]:
    """A shell in a pseudo-terminal, with the live view on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    started: list[Terminal] = []

    def begin(columns: int = 100, lines: int = 30, **environment: str) -> Terminal:
        own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        terminal = Terminal([sys.executable, "-c", _PROGRAM, str(disk)], {**own, **environment}, columns, lines)
        started.append(terminal)
        terminal.until(_PROMPT)
        terminal.send("watch\r")
        terminal.until(r"F1 keys \| F2 types")
        return terminal

    yield begin
    for terminal in started:
        terminal.close()


def _is_usable(terminal: Terminal) -> None:
    """At the plain prompt a command runs, and leaving puts the terminal back as it was."""
    terminal.until(r"> *\n.*lasterror 0x\w+ *$")
    terminal.send("echo usable\r")
    terminal.until("^usable$")
    raw = terminal.raw
    assert raw.rfind(b"\x1b[?1049l") > raw.rfind(b"\x1b[?1049h") > 0
    terminal.send("\x04")
    assert terminal.end() == 0
    assert terminal.raw.rfind(b"\x1b[?25l") <= terminal.raw.rfind(b"\x1b[?25h")
    flags = termios.tcgetattr(terminal.process.child_fd)[3]
    assert flags & termios.ECHO
    assert flags & termios.ICANON
    assert flags & termios.ISIG


def test_the_upper_part_follows_every_command(watching: Start) -> None:
    terminal = watching()
    shown = terminal.until(r"512 MiB at boot \+ 0 B on demand \| 3.50 GiB unaccepted of 4 GiB")
    assert "of Unaccepted up to" in shown
    terminal.send("accept 1G 256M\r")
    terminal.until(r"512 MiB at boot \+ 256 MiB on demand \| 3.25 GiB unaccepted")
    terminal.send("undo\r")
    terminal.until(r"512 MiB at boot \+ 0 B on demand")


def test_leaving_with_f10_ctrl_d_or_watch_brings_the_plain_prompt_back(watching: Start) -> None:
    for keys in (_F10, "\x04", "watch\r", "watch off\r"):
        terminal = watching()
        terminal.send(keys)
        _is_usable(terminal)


def test_exit_leaves_the_shell_from_inside(watching: Start) -> None:
    terminal = watching()
    terminal.send("exit 3\r")
    assert terminal.end() == 3
    assert terminal.raw.rfind(b"\x1b[?1049l") > terminal.raw.rfind(b"\x1b[?1049h")


def test_f2_goes_round_map_types_calls_and_bar(watching: Start) -> None:
    terminal = watching()
    terminal.send(_F2)
    terminal.until(r"Unaccepted +3.50 GiB +\d+\.\d %(?s:.*)F2 calls")
    terminal.send(_F2)
    terminal.until(r"AcceptMemory at boot(?s:.*)F2 bar")
    terminal.send(_F2)
    assert "AcceptMemory at boot" not in terminal.until("F2 map")
    terminal.send(_F2)
    terminal.until("F2 types")


def test_it_follows_the_window_from_large_to_tiny_and_back(watching: Start) -> None:
    terminal = watching()
    for columns, lines in ((60, 20), (30, 8), (20, 5), (140, 45)):
        terminal.resize(columns, lines)
        terminal.send("echo \x01\x0b")  # a key, and an empty line again
        terminal.until(r"\A[\s█▓░]*\S(?s:.*)F1 k" if lines > 6 else "F1 k")
        assert max(map(len, terminal.text.split("\n"))) <= columns
    terminal.send("accept 1G 256M\r")
    terminal.until(r"256 MiB on demand")
    terminal.send(_F10)
    _is_usable(terminal)


def test_a_command_that_crashes_is_one_line_and_the_view_goes_on(watching: Start) -> None:
    terminal = watching()
    terminal.send("crash\r")
    terminal.until("tdvfsh: internal error: RuntimeError: on purpose")
    terminal.send("echo still here\r")
    terminal.until("^still here$")
    terminal.send(_F10)
    _is_usable(terminal)


def test_ctrl_c_stops_a_command_and_drops_a_line(watching: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "loop.nsh").write_text("@echo -off\necho begun\n:again\ngoto again\n")
    terminal = watching()
    terminal.send("loop\r")
    terminal.until("^begun$")
    terminal.until("running, Ctrl-C stops it")
    terminal.send("\x03")
    terminal.until("Command Error Status: Aborted")
    terminal.send("half a line\x03")
    terminal.send("echo whole\r")
    terminal.until("^whole$")
    terminal.send(_F10)
    _is_usable(terminal)


def test_the_view_is_drawn_while_a_command_runs(watching: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "loop.nsh").write_text("@echo -off\naccept 1G 256M\n:again\ngoto again\n")
    terminal = watching()
    terminal.send("loop\r")
    shown = terminal.until("256 MiB on demand")
    assert "running, Ctrl-C stops it" in shown
    terminal.send("\x03")
    terminal.until("Aborted")


def test_output_scrolls_and_a_page_break_asks(watching: Start, tmp_path: Path) -> None:
    (tmp_path / "disk" / "long.txt").write_text("".join(f"line {number}\n" for number in range(200)))
    terminal = watching()
    terminal.send("type long.txt\r")
    assert "line 150" not in terminal.until("^line 199$")
    terminal.send(_PAGE_UP * 3)
    terminal.until(r"^line 167\n" + r"FS0:\\>")
    terminal.send("type -b long.txt\r")
    terminal.until(r"^line \d+\nPress ENTER to continue or 'Q' break:")
    terminal.send("q")
    terminal.until(r"break:\n" + _PROMPT)


def test_keys_help_history_completion_and_paste_work(watching: Start) -> None:
    terminal = watching()
    terminal.send(_F1)
    terminal.until("F10 or Ctrl-D back")
    terminal.send("echo one\r")
    terminal.until("^one$")
    terminal.send("\x1bOA")
    terminal.until(r"> echo one *$")
    terminal.send("\x03" + _F7)
    terminal.until("^  echo one$")
    terminal.send("memm\t")
    terminal.until(r"> memmap")
    terminal.send("\x03")
    terminal.paste("echo first\necho second\necho third")
    terminal.until("^first$(?s:.*)^second$(?s:.*)> echo third")


def test_without_colours_and_blocks_it_is_plain_text(watching: Start) -> None:
    terminal = watching(NO_COLOR="1", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    shown = terminal.until(r"#+=+\.+")
    assert shown.isascii()
    assert not terminal.colours()
    terminal.send("memmap\r")
    terminal.until("Total Memory")
    assert re.search(rb"\x1b\[[0-9;]*3[0-9]m", terminal.raw) is None


def test_a_script_and_a_dumb_terminal_are_told_that_it_cannot_be() -> None:
    from tdvfsh.shell.shell import Shell

    class Kept:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

        def close(self) -> None:
            pass

    shell, sink = Shell(), Kept()
    shell.stdout = sink
    assert shell.run_line("watch") != 0 or "only at a prompt" in sink.text
    assert sink.text == "watch: only at a prompt on a terminal\n"
