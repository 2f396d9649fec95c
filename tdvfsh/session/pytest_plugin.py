"""A pytest plugin: transcripts (``*.tdt``) are tests.

Each is run again and fails where a byte differs, with a unified diff. ``--tdt-update`` rewrites those that differ. A
transcript reads its own folder and what lies below; ``--tdt-outside`` lets it read the folders that its header names.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from tdvfsh.session.replay import Replay

SUFFIX: Final = ".tdt"
_OPTION: Final = "tdt_update"
_OUTSIDE: Final = "tdt_outside"


class TranscriptDiffers(Exception):
    """A transcript that replays to something else."""

    def __init__(self, found: Replay) -> None:
        super().__init__(str(found.path))
        self.found = found


class TranscriptFile(pytest.File):
    """A transcript."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test."""
        yield TranscriptItem.from_parent(self, name="replay")


class TranscriptItem(pytest.Item):
    """Test item that replays a transcript."""

    def runtest(self) -> None:
        """Fails with :class:`TranscriptDiffers`, or with what is wrong with the file."""
        from tdvfsh.session.replay import replay

        # A transcript that others wrote writes nowhere but into a folder of this run's own.
        factory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # what the tmp_path fixture is made from
        outside = bool(self.config.getoption(_OUTSIDE))
        found = replay(self.path, outside=outside, scratch=factory.mktemp("replay"))
        if found.agrees:
            return
        if self.config.getoption(_OPTION):
            found.update()
            return
        raise TranscriptDiffers(found)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The diff, or one line."""
        from tdvfsh.errors import TdvfshError

        if isinstance(excinfo.value, TranscriptDiffers):
            return "\n".join(excinfo.value.found.diff_lines())
        if isinstance(excinfo.value, TdvfshError):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """What pytest calls it."""
        return self.path, None, f"transcript {self.path.name}"


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--tdt-update``, ``--tdt-outside``."""
    group = parser.getgroup("tdvfsh")
    group.addoption("--tdt-update", dest=_OPTION, action="store_true", help="rewrite transcripts that differ")
    group.addoption(
        "--tdt-outside", dest=_OUTSIDE, action="store_true", help="let transcripts read folders outside their own"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Transcripts are collected wherever tests are."""
    return TranscriptFile.from_parent(parent, path=file_path) if file_path.suffix == SUFFIX else None
