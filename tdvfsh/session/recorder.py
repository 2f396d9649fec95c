"""Recording: a shell's lines and their output become a transcript."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tdvfsh import host
from tdvfsh.errors import FormatError, HostError, host_error
from tdvfsh.formats.mapped import require_file
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.session.header import describe, image_pair
from tdvfsh.session.tee import Listening
from tdvfsh.session.transcript import INPUT, RUN, Step, Transcript, step_text
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.units import human_size
from tdvfsh.whole_file import append_whole, write_whole

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_ENCODING: Final = "utf-8"
_MOST_READ: Final = 64 << 20
_ERRORS: Final = "surrogatepass"  # a host's file names may hold bytes that are not UTF-8


class Recorder:
    """Observer of a shell; see :class:`tdvfsh.shell.interfaces.LineWatcher`.

    Args:
        shell: What to record.
        folder: Where the transcript will stand: drives are named relative to it.
        done: Called with every finished step.
    """

    def __init__(self, shell: Shell, folder: Path, done: Callable[[Step], None] = lambda step: None) -> None:
        self.transcript = Transcript(describe(shell, folder))
        self._shell = shell
        self._done = done
        self._step: Step | None = None
        self._listening: Listening | None = None
        self._ask = shell.ask
        self._images: dict[str, str] = {}
        for drive in shell.drives.drives:
            if isinstance(drive.filesystem, HostFolder):
                drive.filesystem.used = self._note(drive.name, drive.filesystem)
        shell.watchers.append(self)

    def begins(self, shell: Shell, line: str, script: str | None, arguments: list[str]) -> None:
        """A line, or a script called ``line``, is about to run."""
        if script is None:
            if line.split()[:1] in (["record"], ["RECORD"]):
                return  # of the recording, not in it
            self._step = Step(shell.prompt(), line)
        else:
            kind = RUN if shell.interpreter.echo else INPUT
            self._step = Step("", script.replace("\r\n", "\n").removesuffix("\n"), kind, (line, *arguments))
        pieces: list[str] = []
        self._listening = Listening(shell, pieces.append)
        self._pieces = pieces
        self._ask = shell.ask
        shell.ask = self._answered

    def ends(self, shell: Shell) -> None:
        """It has run."""
        step, listening = self._step, self._listening
        if step is None or listening is None:
            return
        listening.stop()
        shell.ask = self._ask
        step.output = "".join(self._pieces)
        self._step = self._listening = None
        self.transcript.steps.append(step)
        self._done(step)

    def stop(self) -> Transcript:
        """Watch no longer; the whole transcript, its images named."""
        if self._step is not None:
            self.ends(self._shell)
        if self in self._shell.watchers:
            self._shell.watchers.remove(self)
        for drive in self._shell.drives.drives:
            if isinstance(drive.filesystem, HostFolder):
                drive.filesystem.used = None
        self.transcript.header += [image_pair(name, path) for name, path in sorted(self._images.items())]
        self._images = {}
        return self.transcript

    def _answered(self, prompt: str) -> str:
        answer = self._ask(prompt)
        if self._step is not None:
            self._step.answers.append(answer)
        return answer

    def _note(self, drive: str, folder: HostFolder) -> Callable[[str], None]:
        def note(path: str) -> None:
            if os.path.isfile(path):
                self._images["\\".join([drive, *folder.parts_of(path)])] = path

        return note


class FileRecorder:
    """Recorder to a file of the host: step by step, and whole, images named, at the end.

    Args:
        shell: What to record.
        path: The transcript.

    Raises:
        HostError: The file cannot be written.
    """

    def __init__(self, shell: Shell, path: str) -> None:
        self._path = Path(path)
        self._recorder = Recorder(shell, self._path.parent, self._append)
        write_text(self._path, self._recorder.transcript.text())

    @property
    def name(self) -> str:
        """The file."""
        return str(self._path)

    def stop(self) -> None:
        """Write the whole transcript and watch no longer."""
        write_text(self._path, self._recorder.stop().text())

    def _append(self, step: Step) -> None:
        append_text(self._path, step_text(step))


def write_text(path: Path, text: str) -> None:
    """Write a transcript, its ends of line as they are; the one before stays where the host does not take it.

    Raises:
        HostError: The host does not take it.
    """
    write_whole(path, text.encode(_ENCODING, _ERRORS))


def append_text(path: Path, text: str) -> None:
    """Add a step to a transcript, whole or not at all; a file that is gone begins anew.

    Raises:
        HostError: The host does not take it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | host.O_CLOEXEC, 0o666)
        try:
            append_whole(descriptor, text.encode(_ENCODING, _ERRORS))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise host_error(path, error) from None


def read_text(path: Path) -> str:
    """A transcript's text.

    Raises:
        HostError: It cannot be read, or is not text.
        FormatError: It is not a regular file, or larger than 64 MiB.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_READ + 1)
        if len(data) > _MOST_READ:
            raise FormatError(str(path), f"larger than {human_size(_MOST_READ)}")
        return data.decode(_ENCODING, _ERRORS)
    except UnicodeDecodeError:
        raise HostError(f"{path}: not a text file") from None
    except OSError as error:
        raise host_error(path, error) from None
