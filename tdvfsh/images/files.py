"""Host files, with refusals turned into one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tdvfsh.errors import host_error


@contextmanager
def host_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into a :class:`HostError` that names the file concerned, or ``path`` if none is known."""
    try:
        yield
    except OSError as error:
        raise host_error(error.filename or path, error) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex; reads it in pieces.

    Raises:
        OSError: The file cannot be read.
    """
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
