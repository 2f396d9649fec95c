"""Running a transcript again, and where it differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

from tdvfsh.session.header import shell_of
from tdvfsh.session.recorder import Recorder, read_text, write_text
from tdvfsh.session.transcript import INPUT, Step, parse_transcript

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@dataclass(frozen=True, slots=True)
class Replay:
    """A transcript that was run again.

    Attributes:
        path: The file.
        recorded: Its text.
        text: What it would be now.
        steps: How many commands and scripts ran.
    """

    path: Path
    recorded: str
    text: str
    steps: int

    @property
    def agrees(self) -> bool:
        """Whether every byte is as recorded."""
        return self.recorded == self.text

    def diff_lines(self) -> list[str]:
        """A unified diff from what was recorded to what is now; empty where they agree."""
        then, now = self.recorded.split("\n"), self.text.split("\n")
        return list(unified_diff(then, now, str(self.path), f"{self.path} (now)", lineterm=""))

    def update(self) -> None:
        """Let the file say what is now."""
        write_text(self.path, self.text)


def replay(path: Path) -> Replay:
    """Run a transcript again, in a shell that begins as its own did.

    The version that wrote it is no difference.

    Raises:
        HostError, FormatError, UsageError: It cannot be read, is none, or names what is not here.
    """
    recorded = read_text(path)
    transcript = parse_transcript(recorded, str(path))
    shell = shell_of(transcript, path)
    now = Recorder(shell, path.parent)
    # The session began so: what stands in the header is what it was made from.
    now.transcript.header = [pair for pair in transcript.header if pair[0] != "image"]
    _run(shell, transcript.steps)
    result = now.stop()
    return Replay(path, recorded, result.text(), len(result.steps))


def _run(shell: Shell, steps: Iterable[Step]) -> None:
    for step in steps:
        answers = iter(step.answers)
        shell.ask = lambda prompt, left=answers: next(left, "")  # type: ignore[misc]
        if not step.kind:
            shell.run_line(step.line)
        else:
            shell.interpreter.echo = step.kind != INPUT
            shell.run_text(step.words[0], step.line, step.words[1:])
        if shell.exiting:
            return
