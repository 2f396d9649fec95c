"""Signals end the program with the status that shells expect, and what was written before them is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest


def _endless(folder: Path, *words: str, hangup_ignored: bool = False) -> subprocess.Popen[str]:
    """The program in an endless script that has said ``ready``."""

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    before: Callable[[], None] | None = ignore if hangup_ignored else None
    (folder / "endless.nsh").write_text("@echo -off\necho ready\n:again\necho more\ngoto again\n")
    child = subprocess.Popen([sys.executable, "-m", "tdvfsh", *words, "run", "endless.nsh"], cwd=folder, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=before)  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


# Ctrl-C stops the script: whoever started the process sees a signal's status, as from every subcommand.
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_a_script_soon_and_without_a_traceback(tmp_path: Path, number: int, status: int) -> None:
    child = _endless(tmp_path)
    child.send_signal(number)
    _, errors = child.communicate(timeout=30)
    assert child.returncode == status
    assert "Traceback" not in errors
    assert errors.count("\n") <= 1


def test_a_hangup_that_the_parent_ignores_is_ignored(tmp_path: Path) -> None:
    child = _endless(tmp_path, hangup_ignored=True)
    child.send_signal(signal.SIGHUP)
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(2000)][-1] == "more\n"
    child.terminate()
    child.communicate(timeout=30)
    assert child.returncode == 143


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_recording_keeps_what_had_happened_before_the_end(tmp_path: Path, number: int) -> None:
    script = "echo one\necho two\n"
    child = subprocess.Popen([sys.executable, "-m", "tdvfsh", "--record", "session"], cwd=tmp_path, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    child.communicate(script, timeout=60)
    whole = (tmp_path / "session").read_text()
    assert "one" in whole
    endless = _endless(tmp_path, "--record", "cut")
    endless.send_signal(number)
    endless.communicate(timeout=30)
    assert (tmp_path / "cut").exists()
    assert (tmp_path / "cut").read_text().startswith(whole.split("\n")[0])


@pytest.mark.terminal
@pytest.mark.parametrize("end", ["terminate", "hang up", "kill"])
def test_lines_typed_at_the_prompt_are_kept_however_it_ends(tmp_path: Path, end: str) -> None:
    environment = os.environ | {"TERM": "dumb", "XDG_STATE_HOME": str(tmp_path), "PROMPT_TOOLKIT_NO_CPR": "1"}
    child = pexpect.spawn(sys.executable, ["-m", "tdvfsh"], cwd=tmp_path, env=environment, timeout=30, encoding="utf-8",
                          dimensions=(40, 100))  # fmt: skip
    child.expect("> ")
    child.send("echo kept\r")
    child.expect("\nkept")
    child.expect("> ")
    if end == "hang up":
        child.close(force=False)
    else:
        child.kill(signal.SIGTERM if end == "terminate" else signal.SIGKILL)
        child.expect(pexpect.EOF)
        child.close()
        assert "Traceback" not in (child.before or "")
    assert not child.isalive()
    assert (tmp_path / "tdvfsh" / "history").read_text() == "echo kept\n"
