"""A pytest plugin: transcripts (``*.tdt``) are tests.

Each is run again and fails where a byte differs, with a unified diff. ``--tdt-update`` rewrites those that differ. A
transcript reads its own folder and what lies below; ``--tdt-outside`` lets it read the folders that its header names.

Fixtures: ``tdvfsh_machine`` makes machines, ``tdvfsh_boot`` boots a user's images::

    def test_our_image_boots_in_a_small_td(tdvfsh_boot):
        result = tdvfsh_boot("vmlinuz", "initrd.img", memory="1G", accept="256M", on_demand="service")
        assert result.booted, result.failure.why
        assert result.on_demand_bytes <= 64 << 20
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tdvfsh.boots.modelled_boot import BootResult
    from tdvfsh.machine.machine import Machine
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


@pytest.fixture
def tdvfsh_machine() -> Callable[..., Machine]:
    """A function that makes a machine: it takes the TD options, as :func:`tdvfsh.td_options` does."""

    def make(**options: Any) -> Machine:
        from tdvfsh.machine.asking import td_options
        from tdvfsh.machine.machine import Machine

        return Machine(td_options(**options))

    return make


@pytest.fixture
def tdvfsh_boot() -> Iterator[Callable[..., BootResult]]:
    """A function that boots a kernel and its initrds; their files are open until the test has ended.

    It takes the kernel and any number of initrds, as paths or as names of images that have been fetched, the kernel's
    command line as ``cmdline``, and the TD options. It returns a :class:`tdvfsh.BootResult`; errors of files are
    exceptions, a boot that fails is a result.
    """
    with ExitStack() as files:

        def boot(kernel: str | Path, *initrds: str | Path, cmdline: str = "", **options: Any) -> BootResult:
            from tdvfsh.boots.modelled_boot import boot as boot_files
            from tdvfsh.boots.open_files import open_boot_files
            from tdvfsh.images.named import fetched_or_refused, files_named
            from tdvfsh.machine.asking import td_options

            chosen = td_options(**options)
            first, rest = files_named(str(kernel), [str(initrd) for initrd in initrds], fetched_or_refused)
            opened = files.enter_context(
                open_boot_files(
                    first.path, [each.path for each in rest], cmdline, names=[each.shown for each in (first, *rest)]
                )
            )
            return boot_files(chosen, opened.boot)

        yield boot
