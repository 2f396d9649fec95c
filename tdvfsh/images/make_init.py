"""An initrd that really runs: a plain archive with nothing in it but a console and ``/init``."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from tdvfsh.images.init_program import file_systems, init_program
from tdvfsh.images.newc import NewcMember, newc_archive
from tdvfsh.images.sparse_file import write_sparse
from tdvfsh.lazy_typing import Final

_CONSOLE_DEVICE: Final = (5, 1)


def make_init(
    path: str | Path, message: str = "tdvfsh: user space runs", then: str = "power-off", show: Sequence[str] = ()
) -> int:
    """Write an initrd whose ``/init`` says a line, shows files, and ends; the same arguments produce the same bytes.

    Args:
        path: The file to write.
        message: What ``/init`` writes to the console.
        then: How it ends: one of :data:`tdvfsh.images.init_program.ENDINGS`.
        show: Files that it writes to the console, such as ``/proc/meminfo``.

    Returns:
        Bytes of the file.

    Raises:
        UsageError: An unknown ending, too long a message, or a path that is not absolute.
        HostError: The file cannot be written.
    """
    archive = newc_archive(
        (
            NewcMember(b"dev", stat.S_IFDIR | 0o755),
            NewcMember(b"dev/console", stat.S_IFCHR | 0o600, device=_CONSOLE_DEVICE),
            *(NewcMember(point[1:].encode(), stat.S_IFDIR | 0o755) for point in file_systems(show)),
            NewcMember(b"init", stat.S_IFREG | 0o755, init_program(message, then, show)),
        )
    )
    write_sparse(path, len(archive), [(0, archive)])
    return len(archive)
