"""Files of the host that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tdvfsh.errors import HostError


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write bytes to, which stands under its name once the block has ended well; else nothing changes.

    It is written beside its place and then put there, with the mode of what stood there. A pipe, a terminal or a device
    is not a place for a temporary file: it is written to as it is.

    Raises:
        HostError: The host refuses: no space, no permission, no such folder.
    """
    try:
        target = Path(os.path.realpath(path))
        before = target.stat() if target.exists() else None
        if before is not None and not stat.S_ISREG(before.st_mode):
            with open(target, "wb") as file:
                yield file
            return
        if before is not None and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        part = target.with_name(f".tdvfsh-{os.getpid()}.part")
        try:
            with open(part, "wb") as file:
                yield file
            if before is not None:
                part.chmod(stat.S_IMODE(before.st_mode))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def write_whole(path: str | Path, data: bytes) -> None:
    """Write ``data`` as :func:`whole_file` does.

    Raises:
        HostError: The host refuses.
    """
    with whole_file(path) as file:
        file.write(data)
