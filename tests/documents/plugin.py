"""The plugin's hooks: a page is a file of tests, a block is a test."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.documents.blocks import Block, Command, blocks_of
from tests.documents.run import ROOT, differs, environment, prepare, run, session_of, updated, without_prompts

_RUN = ("console", "python", "sh")


class PageDiffers(Exception):
    """A block whose output is not what stands in the page."""


class Page(pytest.File):
    """A Markdown page; its blocks share a folder."""

    folder: Path | None = None
    blocks: list[PageBlock] | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """A test for each block that can run."""
        self.blocks = []
        for block in blocks_of(self.path.read_text(encoding="utf-8")):
            if "no" in block.marks or not (block.language in _RUN or "file" in block.marks):
                continue
            name = f"{block.language or 'file'} at line {block.first}"
            item = PageBlock.from_parent(self, name=name, block=block)
            self.blocks.append(item)
            yield item

    def catch_up(self, block: PageBlock) -> None:
        """Run what stands before a block, where another process had it: a block may need what one before it made."""
        for other in self.blocks or ():
            if other is block:
                return
            if not other.has_run:
                with suppress(PageDiffers, pytest.skip.Exception):
                    other.run_block()

    def place(self) -> Path:
        """The folder in which the page's blocks run."""
        if self.folder is None:
            factory = self.config._tmp_path_factory  # type: ignore[attr-defined]  # what tmp_path is made from
            self.folder = factory.mktemp(self.path.stem)
            prepare(self.folder)
        return self.folder


class PageBlock(pytest.Item):
    """A block of a page."""

    def __init__(self, *, block: Block, **rest: object) -> None:
        super().__init__(**rest)  # type: ignore[arg-type]
        self.block = block
        self.has_run = False

    def runtest(self) -> None:
        """Run the block's commands; fails with :class:`PageDiffers`."""
        assert isinstance(self.parent, Page)
        self.parent.catch_up(self)
        self.run_block()

    def run_block(self) -> None:
        """Run it, once in this process."""
        self.has_run = True
        slow = self.config.getoption("docs_slow")
        if self.block.slow and not slow:
            pytest.skip("minutes, or a download: --docs-slow")
        missing = [] if slow else [name for name in self.block.needs if not _is_fetched(name)]
        if missing:
            pytest.skip(f"{', '.join(missing)} would be downloaded: --docs-slow")
        assert isinstance(self.parent, Page)
        folder = self.parent.place()
        if "clone" in self.block.marks:
            folder = _clone(folder)
        if "file" in self.block.marks:
            (folder / self.block.marks["file"]).write_text("\n".join(self.block.lines) + "\n", encoding="utf-8")
            return
        if self.block.language == "python":
            self._run_python(folder)
            return
        if self.block.language == "sh":
            status, actual = run("set -e\n" + "\n".join(self.block.lines), folder, stderr=True)
            if status != self.block.status:
                raise PageDiffers("\n".join([*self.block.lines, *actual, f"exit status {status}"]))
            return
        self._run_console(folder)

    def _run_python(self, folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", "\n".join(self.block.lines)],
            cwd=folder, env=environment(), capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        if done.returncode != self.block.status:
            raise PageDiffers(f"exit status {done.returncode}\n{done.stderr}")

    def _run_console(self, folder: Path) -> None:
        commands = self.block.commands()
        if not commands:
            raise PageDiffers("a console block without a command: lines that begin with '$ '")
        changes = []
        for command in commands:
            status, actual = run(session_of(command), folder, stderr="stderr" in self.block.marks)
            wanted = self.block.status if command is commands[-1] else 0
            if status != wanted:
                raise PageDiffers("\n".join([f"$ {command.text}", *actual, f"exit status {status}, not {wanted}"]))
            expected = without_prompts(command.output)
            if not differs(expected, actual, self.block):
                continue
            changes.append((command, actual))
            if not self.config.getoption("docs_update"):
                diff = difflib.unified_diff(expected, actual, "in the page", "printed", lineterm="")
                raise PageDiffers("\n".join([f"$ {command.text}", *diff]))
        if changes:
            _update(self.path, changes)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """What differs, or what is wrong."""
        if isinstance(excinfo.value, PageDiffers):
            return f"{self.path.name}:{self.block.first}: {excinfo.value}"
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the block stands."""
        return self.path, self.block.first, self.name


def _clone(folder: Path) -> Path:
    """A fresh clone of the repository, as a new user has it."""
    clone = folder / "clone"
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    return clone


def _update(path: Path, changes: list[tuple[Command, list[str]]]) -> None:
    """Put new outputs in the places of the old ones, found by their commands, since lines may have moved."""
    text = path.read_text(encoding="utf-8")
    for command, actual in changes:
        first = "$ " + command.text
        old = "\n".join([first, *command.output])
        new = "\n".join([first, *updated(command.output, actual, command)])
        if text.count(old) == 1:
            text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def _is_fetched(name: str) -> bool:
    from tdvfsh.images.catalogue import find_entry
    from tdvfsh.images.fetch import fetched
    from tdvfsh.images.made import parts_of

    entry = find_entry(name)
    return all(map(_is_fetched, parts_of(entry))) if entry.made else fetched(name) is not None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this plugin."""
    group = parser.getgroup("docs")
    group.addoption("--docs-slow", dest="docs_slow", action="store_true", help="run slow blocks of pages, too")
    group.addoption("--docs-update", dest="docs_update", action="store_true", help="rewrite outputs that differ")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Page | None:
    """README and the pages of docs."""
    if file_path.suffix != ".md" or (file_path != ROOT / "README.md" and ROOT / "docs" not in file_path.parents):
        return None
    return Page.from_parent(parent, path=file_path)
