"""Sessions as asciicasts, version 2: terminal recordings that players show.

A script's timing is made up, and always the same: typing, output line by line, a pause to read. At a prompt it is what
it was.

Source: the asciicast v2 format of asciinema: a JSON header line, then ``[seconds, "o", text]`` lines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.session.recorder import append_text, write_text
from tdvfsh.session.tee import Listening

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

WIDTH: Final = 110
HEIGHT: Final = 32
_KEY: Final = 0.05
_BEFORE_TYPING: Final = 0.6
_BEFORE_ENTER: Final = 0.4
_LINE: Final = 0.03
_TO_READ: Final = 1.2


class CastRecorder:
    """Observer of a shell; see :class:`tdvfsh.shell.interfaces.LineWatcher`.

    Args:
        shell: What to show.
        path: The cast; each step is added as it ends.
        now: Seconds that pass; made-up timing where None.
        title: The cast's title.
    """

    def __init__(self, shell: Shell, path: str, now: Callable[[], float] | None = None, title: str = "tdvfsh") -> None:
        self._shell = shell
        self._path = Path(path)
        self._now = now
        self._began = now() if now is not None else 0.0
        self._time = 0.0
        self._events: list[tuple[float, str]] = []
        self._listening: Listening | None = None
        header = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": title}
        write_text(self._path, json.dumps(header) + "\n")
        shell.watchers.append(self)

    def begins(self, shell: Shell, line: str, script: str | None, arguments: list[str]) -> None:
        """A line or script is about to run."""
        if script is None:
            self._typed(shell.prompt(), line)
        self._listening = Listening(shell, self._printed)

    def ends(self, shell: Shell) -> None:
        """It has run."""
        if self._listening is not None:
            self._listening.stop()
            self._listening = None
        self._wait(_TO_READ)
        self._write()

    def stop(self) -> None:
        """Watch no longer.

        Raises:
            HostError: The file cannot be written.
        """
        if self._listening is not None:
            self.ends(self._shell)
        if self in self._shell.watchers:
            self._shell.watchers.remove(self)

    def _typed(self, prompt: str, line: str) -> None:
        self._show(prompt)
        if self._now is not None:
            self._show(f"{line}\r\n")
            return
        self._wait(_BEFORE_TYPING)
        for character in line:
            self._show(character)
            self._wait(_KEY)
        self._wait(_BEFORE_ENTER)
        self._show("\r\n")

    def _printed(self, text: str) -> None:
        for line in text.splitlines(keepends=True):
            self._show(line.replace("\n", "\r\n"))
            if line.endswith("\n"):
                self._wait(_LINE)

    def _wait(self, seconds: float) -> None:
        self._time += seconds

    def _show(self, text: str) -> None:
        at = self._time if self._now is None else self._now() - self._began
        self._events.append((round(at, 6), text))

    def _write(self) -> None:
        """Add what was shown since the last time."""
        lines = "".join(json.dumps([at, "o", text]) + "\n" for at, text in self._events)
        self._events = []
        if lines:
            append_text(self._path, lines)


def write_cast(path: str | Path, command: str, output: str) -> None:
    """Write a cast of one command of the host's shell and what it printed, with made-up timing.

    Raises:
        HostError: The file cannot be written.
    """
    events: list[tuple[float, str]] = [(0.0, "$ ")]
    now = _BEFORE_TYPING
    for character in command:
        events.append((now, character))
        now += _KEY
    now += _BEFORE_ENTER
    for line in ("", *output.splitlines()):
        events.append((now, f"{line}\r\n"))
        now += _LINE
    header = {"version": 2, "width": WIDTH, "height": HEIGHT, "title": command}
    lines = [json.dumps(header), *(json.dumps([round(at, 6), "o", text]) for at, text in events)]
    write_text(Path(path), "\n".join(lines) + "\n")
