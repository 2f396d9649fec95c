"""Errors of the host and of the user's input.

::

    TdvfshError
    ├── UsageError      the request makes no sense (exit status 2)
    ├── FormatError     a file is not what it should be: which, where, why
    ├── ScriptError     a script cannot continue: which line, why
    └── HostError       the host refused: a file, a tool, a permission
        └── MissingError  a file or an optional part that is not there (exit status 2)

What firmware itself answers is never an exception but an :class:`tdvfsh.uefi.status.EfiStatus` value.
"""

from __future__ import annotations


class TdvfshError(Exception):
    """Base class of all errors that a user may see; ``str()`` is one line that says what and why."""

    exit_status = 1


class UsageError(TdvfshError):
    """Error for a request for something that does not exist or is invalid."""

    exit_status = 2


class HostError(TdvfshError):
    """Error of the host: a file that cannot be read, a missing tool."""


class MissingError(HostError):
    """Error for what the request needs and the host does not have: a file, or an optional part of tdvfsh."""

    exit_status = 2


def host_error(what: object, error: OSError) -> HostError:
    """The one line for what the host refused; ``what`` names the file or folder concerned."""
    kind = MissingError if isinstance(error, (FileNotFoundError, NotADirectoryError)) else HostError
    return kind(f"{what}: {(error.strerror or str(error)).lower()}")


class FormatError(TdvfshError):
    """Error for a file that does not have the format it claims.

    Args:
        path: The file, as the user named it.
        why: One sentence fragment without a full stop.
        offset: Byte offset at which reading failed, where one is known.
    """

    def __init__(self, path: str, why: str, offset: int | None = None) -> None:
        self.path = path
        self.why = why
        self.offset = offset
        at = f" at offset {offset:#x}" if offset is not None else ""
        super().__init__(f"{path}: {why}{at}")


class ScriptError(TdvfshError):
    """Error that ends a script.

    Args:
        path: The script, as the user named it.
        line: Line number, from 1.
        why: One sentence fragment.
    """

    def __init__(self, path: str, line: int, why: str) -> None:
        self.path = path
        self.line = line
        self.why = why
        super().__init__(f"{path}:{line}: {why}")
