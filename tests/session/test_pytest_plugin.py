"""Transcripts as tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tdvfsh.session.recorder import FileRecorder
from tdvfsh.shell.shell import Shell

ROOT = Path(__file__).parents[2]


@pytest.fixture
def transcript(shell: Shell, tmp_path: Path) -> Path:
    path = tmp_path / "demo.tdt"
    recorder = FileRecorder(shell, str(path))
    shell.run_line("echo one")
    shell.run_line("td")
    recorder.stop()
    return path


def _pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "tdvfsh.session.pytest_plugin", "-p", "no:cacheprovider", *words]
    command.append("--tdt-outside")
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


def test_a_transcript_is_a_test_that_passes(transcript: Path) -> None:
    done = _pytest(transcript.parent, "-v")
    assert done.returncode == 0, done.stdout
    assert "demo.tdt::replay PASSED" in done.stdout


def test_one_that_differs_fails_with_the_diff_and_can_be_rewritten(transcript: Path) -> None:
    right = transcript.read_text()
    transcript.write_text(right.replace("\none\n", "\nonce\n"))
    done = _pytest(transcript.parent)
    assert done.returncode == 1
    assert " FS0:\\> echo one\n-once\n+one\n FS0:\\> td\n" in done.stdout
    assert "Traceback" not in done.stdout
    assert _pytest(transcript.parent, "--tdt-update").returncode == 0
    assert transcript.read_text() == right


def test_one_that_is_none_fails_in_one_line(transcript: Path) -> None:
    transcript.write_text("nonsense\n")
    done = _pytest(transcript.parent)
    assert done.returncode == 1
    assert "demo.tdt: not a transcript: it does not begin with '# tdvfsh transcript 1'\n" in done.stdout


def test_the_package_offers_the_plugin_to_pytest() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        entry_points = tomllib.load(file)["project"]["entry-points"]
    assert entry_points["pytest11"] == {"tdvfsh": "tdvfsh.session.pytest_plugin"}
