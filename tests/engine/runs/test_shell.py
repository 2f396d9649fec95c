"""Real programs started from our own shell."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tests.engine.assembler import SCRATCH, Program
from tests.engine.runs.test_program import hello, touch

SIMPLE_FILE_SYSTEM = bytes.fromhex("225b4e9659 64d2118e3900a0c969723b".replace(" ", ""))
LOADED_IMAGE = bytes.fromhex("a1311b5b62 95d2118e3f00a0c969723b".replace(" ", ""))
DEVICE_HANDLE = 24


def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *lines: str, engine: str | None = "cpu"
) -> tuple[int, str]:
    """Commands of our shell, on a drive that holds the test's programs."""
    words = ["--fs0", str(tmp_path), "-c", "fs0:"]
    if engine is not None:
        words += ["--engine", engine]
    for line in lines:
        words += ["-c", line]
    status = main(words)
    return status, capsys.readouterr().out


def test_a_program_of_a_drive_runs_and_its_output_is_the_shell_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    assert shell(tmp_path, capsys, "hello.efi", "echo %lasterror%") == (0, "Hello from the TD\n0x0\n")


def test_td_engine_makes_an_existing_machine_run_code_and_stop_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    lines = ("hello.efi", "td -engine cpu", "hello.efi", "td -engine model", "hello.efi", "td -engine fast")
    _, text = shell(tmp_path, capsys, *lines, engine=None)
    assert text.count("Hello from the TD") == 1
    assert text.count("not started: running real code needs the CPU engine: 'td -engine cpu'") == 2
    assert "choose one of model, cpu" in text


def test_a_violation_is_reported_and_the_shell_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "touch.efi").write_bytes(touch().ret(0).image())
    (tmp_path / "hello.efi").write_bytes(hello())
    _, text = shell(tmp_path, capsys, "touch.efi", "echo %lasterror%", "accept 0x40000000 2M", "touch.efi", "hello.efi")
    lines = text.splitlines()
    assert lines[0] == "stopped: read of memory that is not accepted, 0x40000000"
    assert "touch.efi .text+0x" in lines[2]
    assert lines[3] == "0x15"
    assert text.count("stopped") == 1
    assert lines[-1] == "Hello from the TD"


def test_a_program_can_open_the_drive_that_it_came_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = Program().copy("rcx", "rdi").lea("rdx", "loaded").address("r8", "rsp", SCRATCH).boot("HandleProtocol")
    program.jump_if_error("end").load("rcx", "rsp", SCRATCH).load("rcx", "rcx", DEVICE_HANDLE).lea("rdx", "volume")
    program.address("r8", "rsp", SCRATCH).boot("HandleProtocol").jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH).address("rdx", "rsp", SCRATCH + 8).call_at("rcx", 8).jump_if_error("end")
    program.load("rcx", "rsp", SCRATCH + 8).address("rdx", "rsp", SCRATCH).lea("r8", "name").mov("r9", 1)
    program.stack_argument(4, 0).call_at("rcx", 8).jump_if_error("end")
    program.mov("rax", 8).store("rsp", SCRATCH + 16, "rax")
    program.load("rcx", "rsp", SCRATCH).address("rdx", "rsp", SCRATCH + 16).address("r8", "rsp", SCRATCH + 24)
    program.call_at("rcx", 32).jump_if_error("end").address("rdx", "rsp", SCRATCH + 24)
    program.load("rcx", "rbx", 64).call_at("rcx", 8).label("end").ret()
    program.text("name", "note.txt").data("loaded", LOADED_IMAGE).data("volume", SIMPLE_FILE_SYSTEM)
    (tmp_path / "read.efi").write_bytes(program.image())
    (tmp_path / "note.txt").write_bytes("abc\0".encode("utf-16-le"))
    assert shell(tmp_path, capsys, "read.efi") == (0, "abc")


def test_programs_run_on_after_going_back_and_see_memory_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    (tmp_path / "touch.efi").write_bytes(touch().ret(0).image())
    lines = ("dh", "hello.efi", "snap save before", "accept 0x40000000 2M", "touch.efi", "snap restore before")
    _, text = shell(tmp_path, capsys, *lines, "hello.efi", "touch.efi", "undo", "undo", "hello.efi", "dh")
    assert text.count("Hello from the TD") == 3
    assert text.count("stopped: read of memory that is not accepted, 0x40000000") == 1
    first, last = (
        [line[4:] for line in part.splitlines() if line[2:4] == ": "] for part in text.split("Handle dump\n")[1:]
    )
    assert sorted(last) == sorted(first)


def test_the_engine_can_be_switched_off_and_on_without_a_second_set_of_devices(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    _, text = shell(tmp_path, capsys, "hello.efi", "td -engine model", "td -engine cpu", "hello.efi", "dh")
    assert text.count("Hello from the TD") == 2
    assert text.count("UnicodeCollation") == 1


def test_without_the_extra_asking_for_the_engine_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "unicorn", None)
    monkeypatch.setattr(sys, "stdin", StringIO())
    assert main(["--fs0", str(tmp_path), "--engine", "cpu", "-c", "ver"]) == 2
    assert capsys.readouterr().err == "tdvfsh: the CPU engine is not installed; pip install 'tdvfsh[cpu]'\n"
