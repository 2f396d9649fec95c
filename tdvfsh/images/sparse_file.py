"""Files that are mostly holes, written whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tdvfsh import host
from tdvfsh.errors import HostError, UsageError
from tdvfsh.whole_file import whole_file


def write_sparse(path: str | Path, size: int, pieces: Iterable[tuple[int, bytes]]) -> None:
    """Write ``pieces`` (offset, bytes) into a file of ``size`` bytes; everything between them stays a hole.

    The file appears under its name only once it is complete.

    Raises:
        UsageError: The name is that of something else than a file.
        HostError: The host refuses: no space, no permission, no such folder.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            raise UsageError(f"{target}: exists and is not a file")
        with whole_file(target) as file:
            file.truncate(size)
            for offset, data in pieces:
                if offset < 0 or offset + len(data) > size:
                    raise ValueError(f"{len(data)} bytes at {offset} do not fit into {size}")
                host.pwrite(file.fileno(), data, offset)
    except ValueError as error:
        raise HostError(f"{target}: {str(error).lower()}") from None
