"""A transcript that cannot be written leaves the one that was there."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tdvfsh.errors import HostError
from tdvfsh.session.recorder import FileRecorder, read_text, write_text
from tdvfsh.session.replay import replay
from tdvfsh.shell.shell import Shell


@contextmanager
def no_file_past(limit: int) -> Iterator[None]:
    """As on a full disk: no file grows past ``limit`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_transcript_that_does_not_fit_leaves_the_one_before_and_no_rubbish(tmp_path: Path) -> None:
    path = tmp_path / "a.tdt"
    write_text(path, "before\r\n")
    with no_file_past(4096), pytest.raises(HostError, match=r"a\.tdt: file too large"):
        write_text(path, "after\n" * 1000)
    assert (path.read_bytes(), names(tmp_path)) == (b"before\r\n", ["a.tdt"])


def test_at_the_end_of_a_recording_on_a_full_disk_its_steps_are_still_there(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.tdt"
    recorder = FileRecorder(shell, str(path))
    shell.run_line("echo one")
    step_by_step = read_text(path)
    assert step_by_step.endswith("echo one\none\n")
    with no_file_past(16), pytest.raises(HostError, match="file too large"):
        recorder.stop()
    assert read_text(path) == step_by_step
    assert names(tmp_path) == ["a.tdt"]
    assert replay(path, outside=True).steps == 1


def test_a_step_that_does_not_fit_is_one_line_to_the_person(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "a.tdt"
    recorder = FileRecorder(shell, str(path))
    size = path.stat().st_size
    with no_file_past(size), pytest.raises(HostError, match="file too large"):
        shell.run_line("echo one")
    assert path.stat().st_size == size
    recorder.stop()
    assert read_text(path).endswith("echo one\none\n")


def test_text_of_any_kind_comes_back_byte_by_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.tdt"
    text = "a\r\nb\n\udc80\ud800 ä"
    write_text(path, text)
    assert read_text(path) == text
