"""A shell over a folder in memory."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tdvfsh.script.streams import MemorySink
from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.shell.shell import Shell

Run = Callable[..., str]


class ShellUnderTest:
    """A shell with FS0: in memory; ``run`` returns what its lines print."""

    def __init__(self) -> None:
        self.files = MemoryFileSystem("TEST")
        self.shell = Shell()
        self.shell.mount(self.files)
        self.shell.interpreter.echo = False

    def put(self, path: str, text: str) -> None:
        """Write a file of text with CR LF ends."""
        self.files.write_file(path, text.replace("\n", "\r\n").encode("latin-1"))

    def run(self, *lines: str) -> str:
        """Run lines at the prompt."""
        sink = MemorySink()
        self.shell.stdout = sink
        for line in lines:
            self.shell.run_line(line)
        return sink.text

    def script(self, text: str, *arguments: str) -> str:
        """Run a script's text."""
        sink = MemorySink()
        self.shell.stdout = sink
        self.put("test.nsh", text)
        self.shell.run_script("fs0:\\test.nsh", arguments)
        return sink.text


@pytest.fixture
def under_test() -> ShellUnderTest:
    return ShellUnderTest()
