"""Files that the command line names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tdvfsh.cli import files
from tdvfsh.cli.files import opened_files
from tdvfsh.images.make import make_kernel
from tdvfsh.units import MIB


class _Line:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def __call__(self, label: str, done: int, total: int) -> None:
        self.shown.append(label)

    count = __call__

    def clear(self) -> None:
        self.shown.clear()


def test_how_far_reading_has_come_is_off_the_terminal_when_results_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = _Line()

    @contextmanager
    def progress() -> Iterator[_Line]:
        line("the bar", 1, 2)
        yield line

    monkeypatch.setattr(files, "unpack_progress", progress)
    make_kernel(tmp_path / "vmlinuz", 1 * MIB, 8 * MIB)
    with opened_files(str(tmp_path / "vmlinuz"), [], "") as (told, _):
        assert told is line
        assert line.shown == []
