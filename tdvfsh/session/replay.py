"""Running a transcript again, and where it differs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from difflib import unified_diff
from pathlib import Path
from tempfile import TemporaryDirectory

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.session.header import ReplayLimits, shell_of
from tdvfsh.session.recorder import Recorder, read_text, write_text
from tdvfsh.session.transcript import INPUT, Step, parse_transcript

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@dataclass(frozen=True, slots=True, repr=False)
class Replay:
    """Result of a replay.

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

    def __repr__(self) -> str:
        how = "as recorded" if self.agrees else "differs from the recording"
        return f"<Replay of {self.path.name}: {self.steps} steps, {how}>"

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


def replay(path: Path, *, outside: bool = False, write: bool = False, scratch: Path | None = None) -> Replay:
    """Run a transcript again, in a shell that begins as its own did.

    Its commands see the folders that its header names and write to a scratch folder over them. The version that wrote
    it is not a difference.

    Args:
        path: The transcript.
        outside: Let it read folders outside its own.
        write: Let its commands write to the folders that its header calls ``rw``.
        scratch: An empty folder for what its commands write; one that goes when the replay ends where None.

    Returns:
        What was printed this time, and how it differs.

    Raises:
        HostError, FormatError, UsageError: It cannot be read, is not a transcript, or names what is not here.
    """
    recorded = read_text(path)
    transcript = parse_transcript(recorded, str(path))
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="tdvfsh-replay-")) if scratch is None else str(scratch)
        shell = shell_of(transcript, path, ReplayLimits(folder, outside, write))
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
