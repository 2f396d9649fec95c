"""Standard streams that are closed, full, or left by their reader: a line where it can be read, and the status."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.images.make import make_kernel

PROGRAM = f"'{sys.executable}' -m tdvfsh"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    make_kernel(folder / "kernel", 0x10000, 0x900000)
    (folder / "script.nsh").write_text("echo one\necho two\n")
    return folder


def shell(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=60, env=environment, check=False)  # fmt: skip


WRITERS = (
    "-c ver", "boot kernel", "boot kernel --json", "inspect kernel", "images list", "run script.nsh", "--version",
    "compare kernel --accept 256M",
)  # fmt: skip


@pytest.mark.parametrize("words", WRITERS)
@pytest.mark.parametrize(("where", "why"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")])
def test_output_that_goes_nowhere_is_one_line_and_status_1(folder: Path, words: str, where: str, why: str) -> None:
    done = shell(folder, f"{PROGRAM} {words} {where}")
    assert done.returncode == 1
    assert done.stderr.startswith("tdvfsh: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", ["-c nosuchcommand 2>&-", "boot nosuch 2>&-", "boot nosuch 2>/dev/full"])
def test_an_error_that_nobody_can_read_keeps_its_status(folder: Path, words: str) -> None:
    done = shell(folder, f"{PROGRAM} {words}")
    assert done.returncode == (14 if "-c" in words else 2)
    assert "Traceback" not in done.stdout + done.stderr


def test_with_all_streams_closed_the_status_still_tells(folder: Path) -> None:
    assert shell(folder, f"{PROGRAM} boot nosuch <&- >&- 2>&-").returncode == 2
    assert shell(folder, f"{PROGRAM} lint script.nsh <&- 2>&-").returncode == 0


def test_a_closed_standard_input_is_a_script_without_lines(folder: Path) -> None:
    done = shell(folder, f"{PROGRAM} <&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_opened_later_never_takes_the_place_of_a_closed_stream(folder: Path) -> None:
    shell(folder, f"{PROGRAM} --fs0-write -c 'echo mine > kept.txt' -c 'ls' >&-")
    shell(folder, f"{PROGRAM} inspect kernel >&- 2>&-")
    assert (folder / "kernel").stat().st_size == 0x10000


@pytest.mark.parametrize("words", ["boot kernel --json", "--help", "-c 'for %i run (1 20000)' -c 'memmap'"])
def test_a_reader_that_leaves_ends_the_program_quietly(folder: Path, words: str) -> None:
    done = shell(folder, f"{PROGRAM} {words} | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}")
    assert done.returncode in (0, 141)  # 0 where all of it stood in the pipe before the reader left
    assert done.stderr == ""


def test_a_reader_that_leaves_long_before_the_end_stops_the_script(folder: Path) -> None:
    (folder / "long.nsh").write_text("for %i run (1 20000)\necho " + "x" * 200 + "\nendfor\n")
    done = shell(folder, f"{PROGRAM} run long.nsh | head -n 1 >/dev/null; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (141, "")
