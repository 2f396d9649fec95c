"""A user at the prompt: keys through a pipe, or a real pseudo-terminal with a screen."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from prompt_toolkit.application import get_app
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from tdvfsh.shell.drives.memoryfiles import MemoryFileSystem
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.repl import run_repl
from tests.ui.screen import Terminal


class When:
    """Wait at the prompt until the shell's output ends so, the line reads so, a suggestion or the menu is there."""

    def __init__(self, printed: str = "", *, line: str = "", suggests: str = "", menu: bool = False) -> None:
        self.printed = printed
        self.line = line
        self.suggests = suggests
        self.menu = menu

    def holds(self, printed: str) -> bool:
        app = get_app()
        buffer = app.current_buffer
        suggestion = buffer.suggestion.text if buffer.suggestion is not None else ""
        return (
            app.is_running
            and not app.is_done
            and printed.endswith(self.printed)
            and buffer.text == self.line
            and suggestion == self.suggests
            and (buffer.complete_state is not None) == self.menu
        )


class _Watch(DummyOutput):
    """A screen that presses the next keys when what they wait for has been drawn."""

    def __init__(self, steps: tuple[str | When, ...], pipe: PipeInput, printed: StringIO) -> None:
        self._steps = deque(steps)
        self._pipe = pipe
        self._printed = printed

    def press(self) -> None:
        """Press keys up to the next wait."""
        while self._steps and isinstance(step := self._steps[0], str):
            self._steps.popleft()
            self._pipe.send_text(step)

    def flush(self) -> None:
        if self._steps and isinstance(step := self._steps[0], When) and step.holds(self._printed.getvalue()):
            self._steps.popleft()
            asyncio.get_running_loop().call_soon(self.press)


class User:
    """Types at a shell whose FS0: is in memory."""

    def __init__(self, state: Path) -> None:
        self.history = state / "history"
        self.files = MemoryFileSystem("TEST")
        self.shell = Shell()
        self.shell.mount(self.files)
        self.status: int | None = None

    def put(self, path: str, text: str) -> None:
        """Write a file of text."""
        self.files.write_file(path, text.encode("latin-1"))

    def type(self, *steps: str | When) -> str:
        """Type keys, then leave with Ctrl-D; what the shell printed.

        Args:
            steps: Keys, and what to wait for between them.
        """
        printed = StringIO()
        with create_pipe_input() as pipe:
            screen = _Watch((*steps, "\x04"), pipe, printed)
            screen.press()
            self.status = run_repl(
                self.shell, history=self.history, banner=False, stdout=printed, input=pipe, output=screen
            )
        return printed.getvalue()


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


Start = Callable[..., Terminal]

_PROGRAM = """
import sys
from pathlib import Path
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell
from tdvfsh.ui.repl import run_repl
shell = Shell()
shell.mount(HostFolder(sys.argv[1]))
sys.exit(run_repl(shell))
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the shell over ``tmp_path / "disk"`` in a pseudo-terminal; ends what it started."""
    disk = tmp_path / "disk"
    disk.mkdir()
    started: list[Terminal] = []

    def begin(columns: int = 80, lines: int = 24, **environment: str) -> Terminal:
        own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        terminal = Terminal([sys.executable, "-c", _PROGRAM, str(disk)], {**own, **environment}, columns, lines)
        started.append(terminal)
        return terminal

    yield begin
    for terminal in started:
        terminal.close()
