"""What the language needs from the shell around it: interfaces for the type checker, never imported at run time."""

from __future__ import annotations

from collections.abc import Iterable

from tdvfsh.lazy_typing import Protocol
from tdvfsh.script.redirection import Target
from tdvfsh.script.streams import TextSource
from tdvfsh.uefi.status import EfiStatus


class TextSink(Protocol):
    """A stream for text."""

    def write(self, text: str) -> None:
        """Print text."""

    def close(self) -> None:
        """Nothing more will come."""


class ConditionHost(Protocol):
    """What conditions ask of the shell."""

    def file_exists(self, pattern: str) -> bool:
        """Whether a path or pattern names something."""

    def file_in_path(self, name: str) -> bool:
        """Whether a file is here or on the path."""

    def has_profile(self, name: str) -> bool:
        """Whether the shell has a profile."""

    def print(self, text: str) -> None:
        """Print to standard output."""


class ScriptHost(Protocol):
    """Commands, files, variables and streams, as the interpreter sees them."""

    stdin: TextSource | None
    stdout: TextSink
    stderr: TextSink

    def print(self, text: str) -> None:
        """Print to standard output."""

    def begin_line(self, text: str) -> None:
        """A line of a script is about to run."""

    def end_line(self) -> None:
        """It has run."""

    def checkpoint(self) -> None:
        """Called once a line; raises KeyboardInterrupt where the user stops the script."""

    # commands
    def is_command(self, name: str) -> bool:
        """Whether a name, in any case, is a command that is not a word of the language."""

    def takes_operators(self, name: str) -> bool:
        """Whether ``<`` and ``>`` belong to a command's own words and redirect nothing."""

    def unknown_name(self, name: str) -> None:
        """Called where a first word was neither a command nor a file, so that the shell can offer help."""

    def run_command(self, name: str, words: list[str]) -> tuple[int, bool]:
        """Run a command; its status, and whether ``lasterror`` takes it."""

    def start_image(self, path: str, command_line: str) -> tuple[EfiStatus, int]:
        """Load and start an EFI program: status of loading, and the program's own exit status."""

    # variables and aliases
    def variables(self) -> Iterable[tuple[str, str]]:
        """All variables in the shell's order."""

    def get_variable(self, name: str) -> str | None:
        """One variable's value."""

    def set_internal_variable(self, name: str, value: str) -> None:
        """Set a volatile variable that commands may not."""

    def is_volatile(self, name: str) -> bool | None:
        """Whether a variable is volatile, None where there is no such variable."""

    def alias_of(self, name: str) -> str | None:
        """What an alias stands for."""

    def has_profile(self, name: str) -> bool:
        """Whether the shell has a profile."""

    # files
    def change_drive(self, name: str) -> bool:
        """Make ``fs0:`` the current drive; False where there is no such mapping."""

    def find_executable(self, name: str) -> str | None:
        """Path of a script or program, here or on the path, with or without extension."""

    def full_path(self, path: str) -> str:
        """A path with its drive and folders."""

    def read_file(self, path: str) -> bytes | None:
        """Contents of a file, None where it cannot be read."""

    def file_exists(self, pattern: str) -> bool:
        """Whether a path or pattern names something."""

    def file_in_path(self, name: str) -> bool:
        """Whether a file is here or on the path."""

    def expand_wildcards(self, pattern: str) -> list[str]:
        """Full names for a pattern, empty where none matches."""

    def open_output(self, target: Target) -> TextSink:
        """A stream into a file or variable; raises RedirectionError."""

    def open_input(self, target: Target) -> TextSource:
        """The text of a file or variable; raises RedirectionError."""
