"""Stops without gdb: ``--break``, ``--trace-instructions``, ``--on-stop prompt``."""

from __future__ import annotations

import re
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.session.stopped import LOOKS
from tests.engine.assembler import Program
from tests.engine.runs.test_program import hello, touch


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a program in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hello.efi").write_bytes(hello())
    (tmp_path / "touch.efi").write_bytes(touch().ret(0).image())
    stalls = Program().mov("rcx", 1).boot("Stall").mov("rcx", 2).boot("Stall").ret(0)
    (tmp_path / "stalls.efi").write_bytes(stalls.image())
    return tmp_path


def execute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, typed: str = ""
) -> tuple[int, str, list[str]]:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(typed.encode())))
    status = main(["exec", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err.splitlines()


def test_a_service_and_a_symbol_of_an_image_are_stops(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--break", "service:Stall", "--break", "stalls.efi+0x1000", "stalls.efi")
    status, _, lines = execute(monkeypatch, capsys, *words)
    assert status == 0
    stops = [line for line in lines if line.startswith("tdvfsh: stop: breakpoint")]
    assert len(stops) == 3
    assert "stalls.efi+0x1000, at stalls.efi .text+0x1000" in stops[0]
    assert "breakpoint: service:Stall, at" in stops[1]
    assert any(line.startswith("tdvfsh:   called by stalls.efi .text+0x") for line in lines)


def test_instructions_between_two_stops_are_written_one_a_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    execute(monkeypatch, capsys, "--break", "service:Stall", "--trace-instructions", "trace.txt", "stalls.efi")
    lines = (folder / "trace.txt").read_text().splitlines()
    assert lines[0].startswith("0 0x")
    assert "mov qword ptr [rsp + 8], rcx" in lines[0]  # the stub, which the first stop stood before
    assert any("movabs rcx, 2  ; stalls.efi .text+0x" in line for line in lines)
    assert lines[-1].split(" ", 2)[2].startswith("call rax")  # and the second stop comes after the second call


def test_the_prompt_looks_at_the_machine_and_steps(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = "regs\nbreak service:Stall\nstep\ndis\ncontinue\nbt\nmemmap\nsept 0x100000\ndmem 0x100000 0x10\ncontinue\n"
    status, _, lines = execute(monkeypatch, capsys, "--on-stop", "prompt", "stalls.efi", typed=typed)
    assert status == 0
    text = "\n".join(lines)
    assert "stop: before the first instruction, at stalls.efi .text+0x1000" in text
    assert "rax " in text
    assert "stop: one instruction is over, at stalls.efi .text+0x1001" in text
    assert "#1  stalls.efi .text+0x" in text
    assert "\nAvailable  0000000000000000-" in text
    assert "\nMAPPED          4K    0x0-0x1fffffff" in text


def test_the_prompt_is_the_shell_with_its_language_and_nothing_that_would_change_the_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = (
        "help\nset at 100000\nsept %at%\necho round %at%\n"
        "memmap -sfo | parse MemoryMap 2 -i 1\ndmem stalls.efi+0x1000 4\nls stalls.efi\n"
        "accept 40000000\ntd new\nmm 100000 5\nstalls.efi\nnonsense\nhelp dis\ntrace -n 1\ncontinue\n"
    )
    status, _, lines = execute(monkeypatch, capsys, "--on-stop", "prompt", "stalls.efi", typed=typed)
    assert status == 0
    text = "\n".join(lines)
    assert "\ndis [ADDR [COUNT]]    instructions\n" in text
    assert "\n  alias assert attrib cd " in text
    assert "MAPPED          4K    0x0-0x1fffffff" in text
    assert "round 100000\n" in text
    assert " stalls.efi\n" in text
    for name in ("accept", "td", "mm"):
        assert f"\n{name}: not while the guest stands still; 'help' lists what is there\n" in text
    assert "\nstalls.efi: no program runs while the guest stands still\n" in text
    assert "'nonsense' is not recognized as an internal or external command" in text
    assert "StartImage(handle=" in text


def test_the_machine_is_the_same_after_all_that_was_looked_at(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = "".join(f"{name}\n" for name in sorted(LOOKS - {"exit", "pause"}))
    runs = []
    for typed in ("continue\n", f"memmap\ndmem 0x100000\nregs\nbt\n{looks}continue\n"):
        words = ("--on-stop", "prompt", "--trace", "journal.json", "stalls.efi")
        assert execute(monkeypatch, capsys, *words, typed=typed)[0] == 0
        runs.append((folder / "journal.json").read_bytes())
    assert runs[0] == runs[1]


def test_the_prompt_opens_where_a_guest_was_stopped_and_quit_ends_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = "continue\nsept 0x40000000\nquit\n"
    status, _, lines = execute(monkeypatch, capsys, "--on-stop", "prompt", "touch.efi", typed=typed)
    assert status == 1
    assert any("the run is over: read of memory that is not accepted, 0x40000000" in line for line in lines)
    assert any(re.match(r"PENDING +4K +0x40000000-", line) for line in lines)
    status, _, lines = execute(monkeypatch, capsys, "--on-stop", "prompt", "hello.efi", typed="quit\n")
    assert (status, lines[-1]) == (1, "tdvfsh: ended at the prompt")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--break", "service:Nonsense"), "--break service:Nonsense: not a boot or runtime service"),
        (("--break", "accept:here"), "here: not an address"),
        (("--trace-instructions", "t"), "--trace-instructions: needs --break"),
        (("--gdb", "1234", "--break", "0x10"), "--gdb: gdb sets its own stops"),
        (("--gdb", "nowhere"), "--gdb nowhere: not a port"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    words: tuple[str, ...], why: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, lines = execute(monkeypatch, capsys, *words, "hello.efi")
    assert status == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"tdvfsh: {why}")


def test_a_place_that_never_was_is_told_of_at_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, lines = execute(monkeypatch, capsys, "--break", "reserve_unaccepted", "hello.efi")
    assert status == 0
    assert lines == ["tdvfsh: --break reserve_unaccepted: there was no symbol, image or service of that name"]


@pytest.mark.parametrize(
    "words", [("--gdb", "1234"), ("--break", "main"), ("--trace-instructions", "t"), ("--on-stop", "prompt")]
)
def test_the_model_has_no_instructions_to_stop_at(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", __file__, *words]) == 2
    assert capsys.readouterr().err == f"tdvfsh: {words[0]}: needs --engine cpu\n"


def test_accept_stops_where_a_page_is_accepted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Program().mov("rcx", 0x40100000).raw("B806000000 660F01CC").ret(0)  # TDG.MEM.PAGE.ACCEPT, 4 KiB
    (folder / "accept.efi").write_bytes(program.image())
    status, _, lines = execute(monkeypatch, capsys, "--break", "accept:0x40100000", "accept.efi")
    assert status == 0
    found = [line for line in lines if "event: accept of" in line]
    assert len(found) == 1
    assert "accept of 0x40100000-0x40101000: SUCCESS, vCPU 0, at accept.efi .text" in found[0]
