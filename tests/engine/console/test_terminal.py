"""``tdvfsh exec`` in a pseudo-terminal: a program's console is the user's screen and keyboard."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copyfile

import pytest

from tests.engine.assembler import SCRATCH, Program
from tests.engine.runs.test_program import hello, touch
from tests.engine.runs.test_real_programs import image
from tests.ui.screen import Terminal

pytestmark = pytest.mark.terminal
Execute = Callable[..., Terminal]

UP, DOWN, F2, ESCAPE = "\x1b[A", "\x1b[B", "\x1bOQ", "\x1b"
ENTER = "\r"
CON_IN, CON_OUT = 48, 64
SET_ATTRIBUTE, SET_CURSOR_POSITION, OUTPUT_STRING = 0x28, 0x38, 8
YELLOW_ON_BLUE = 0x1E


@pytest.fixture
def execute(tmp_path: Path) -> Iterator[Execute]:
    """Start ``tdvfsh exec`` with the test's folder as FS0:; ends what it started."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    started: list[Terminal] = []

    def begin(*words: str, columns: int = 100, lines: int = 30) -> Terminal:
        command = [sys.executable, "-m", "tdvfsh", "exec", "--fs0", str(tmp_path), *words]
        started.append(Terminal(command, environment, columns, lines))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


def echo() -> bytes:
    """Shows each key where it was told to, in colour: a letter as itself, another as '@' + scan code; 'q' ends it."""
    program = Program()
    program.load("rcx", "rbx", CON_OUT).mov("rdx", YELLOW_ON_BLUE).call_at("rcx", SET_ATTRIBUTE)
    program.load("rcx", "rbx", CON_OUT).mov("rdx", 10).mov("r8", 5).call_at("rcx", SET_CURSOR_POSITION)
    program.print("title").label("again")
    program.load("rax", "rbx", CON_IN).load("rax", "rax", 16).store("rsp", SCRATCH, "rax")  # ConIn->WaitForKey
    program.mov("rcx", 1).address("rdx", "rsp", SCRATCH).address("r8", "rsp", SCRATCH + 8).boot("WaitForEvent")
    program.load("rcx", "rbx", CON_IN).address("rdx", "rsp", SCRATCH + 16).call_at("rcx", 8)  # ReadKeyStroke
    program.raw("0FB7442452").jump_if_error("letter")  # movzx eax, word [rsp + 0x52]
    program.raw("0FB7442450 83C040").label("letter")  # movzx eax, word [rsp + 0x50]; add eax, '@'
    program.raw("89442460 83E871").jump_if_error("show")  # mov [rsp + 0x60], eax; sub eax, 'q'
    program.ret(0).label("show").load("rcx", "rbx", CON_OUT).address("rdx", "rsp", SCRATCH + 0x20)
    program.call_at("rcx", OUTPUT_STRING).jump("again")
    return program.text("title", "keys: ").image()


def test_keys_reach_a_program_and_what_it_shows_stands_where_it_put_it(execute: Execute, tmp_path: Path) -> None:
    (tmp_path / "echo.efi").write_bytes(echo())
    terminal = execute(str(tmp_path / "echo.efi"))
    terminal.until(r"^ {10}keys:$")
    terminal.send(f"a{UP}{DOWN}{F2}b")
    shown = terminal.until(r"^ {10}keys: aABLb$")
    assert shown.split("\n").index(" " * 10 + "keys: aABLb") == 5
    assert terminal.colours() == {"brown"}  # what pyte calls a terminal's yellow
    terminal.send("q")
    assert terminal.end() == 0


def test_ctrl_c_is_a_key_and_ctrl_backslash_ends_the_run(execute: Execute, tmp_path: Path) -> None:
    (tmp_path / "echo.efi").write_bytes(echo())
    terminal = execute(str(tmp_path / "echo.efi"))
    terminal.until("keys:")
    terminal.send("\x03z")
    terminal.until("keys: z")
    terminal.send("\x1c")
    assert terminal.end() == 130


def test_a_program_that_computes_without_end_is_ended_too(execute: Execute, tmp_path: Path) -> None:
    (tmp_path / "spin.efi").write_bytes(Program().print("on").label("again").jump("again").text("on", "spins").image())
    terminal = execute(str(tmp_path / "spin.efi"))
    terminal.until("spins")
    terminal.send("\x1c")
    assert terminal.end() == 130


def test_the_terminal_is_given_back_with_the_report_of_a_violation_on_it(execute: Execute, tmp_path: Path) -> None:
    (tmp_path / "touch.efi").write_bytes(touch().ret(0).image())
    terminal = execute(str(tmp_path / "touch.efi"))
    shown = terminal.until("at        touch.efi .text.*: mov rax")
    assert "stopped: read of memory that is not accepted, 0x40000000" in shown
    assert terminal.end() == 1
    assert b"\x1b[r\x1b[0m\x1b[?25h" in terminal.raw


@pytest.mark.images
def test_the_real_shell_is_a_shell_at_a_terminal(execute: Execute, tmp_path: Path) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    terminal = execute(str(image("shell", "efi")), "-nostartup")
    terminal.until(r"^Shell> *$")
    terminal.send("fs0:\rver\r")
    terminal.until(r"^UEFI v2.70 \(tdvfsh, 0x00010000\)\n^FS0:\\> *$")
    terminal.send("hello.efi\r")
    terminal.until(r"Hello from the TD\n+FS0:\\> *$")
    terminal.send(UP)  # its history
    terminal.until(r"FS0:\\> hello.efi$")
    terminal.send("\x08" * len("hello.efi") + "memmap -b\r")
    terminal.until("Press ENTER to continue")
    terminal.send(ENTER * 4)
    terminal.until(r"^Total Memory: .*\n^FS0:\\> *$")
    terminal.send("exit\r")
    assert terminal.end() == 0


@pytest.mark.images
def test_real_grub_s_menu_is_drawn_and_moved_through(execute: Execute, tmp_path: Path) -> None:
    folder = tmp_path / "EFI" / "debian"
    folder.mkdir(parents=True)
    copyfile(image("grub-2.12", "efi"), folder / "grubx64.efi")
    (folder / "grub.cfg").write_text("set timeout=-1\nmenuentry 'one' { true\n}\nmenuentry 'two' { exit 0\n}\n")
    terminal = execute(str(folder / "grubx64.efi"))
    shown = terminal.until(r"\*one")
    assert "GNU GRUB  version 2.12" in shown
    assert max(len(line) for line in shown.split("\n")) <= 80
    terminal.send(DOWN)
    assert "*one" not in terminal.until(r"\*two")
    terminal.send(ENTER)
    assert terminal.end() == 0
