"""Files that are mostly holes, written whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from tdvfsh.errors import HostError, UsageError


def write_sparse(path: str | Path, size: int, pieces: Iterable[tuple[int, bytes]]) -> None:
    """Write ``pieces`` (offset, bytes) into a file of ``size`` bytes; everything between them stays a hole.

    The file appears under its name only once it is complete.

    Raises:
        UsageError: The name is that of something else than a file.
        HostError: The host refuses: no space, no permission, no such folder.
    """
    target = Path(path)
    part = target.with_name(f"{target.name}.part")
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            raise UsageError(f"{target}: exists and is not a file")
        try:
            with open(part, "wb") as file:
                file.truncate(size)
                for offset, data in pieces:
                    if offset < 0 or offset + len(data) > size:
                        raise ValueError(f"{len(data)} bytes at {offset} do not fit into {size}")
                    os.pwrite(file.fileno(), data, offset)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise HostError(f"{target}: {why.lower()}") from None
