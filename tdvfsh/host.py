"""What hosts have under different names or not at all: one place for the alternatives to POSIX calls.

macOS lacks ``sched_getaffinity``, Windows ``fcntl``, ``pread`` and most flags of ``open``.
"""

from __future__ import annotations

import os

from tdvfsh.lazy_typing import Final

O_CLOEXEC: Final[int] = getattr(os, "O_CLOEXEC", getattr(os, "O_NOINHERIT", 0))
O_NONBLOCK: Final[int] = getattr(os, "O_NONBLOCK", 0)
O_NOCTTY: Final[int] = getattr(os, "O_NOCTTY", 0)
O_NOFOLLOW: Final[int] = getattr(os, "O_NOFOLLOW", 0)
O_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
"""Windows' C library translates ends of line without it; 0 elsewhere."""


def pread(descriptor: int, size: int, offset: int) -> bytes:
    """Up to ``size`` bytes at ``offset``; where the host has no pread the file's position moves."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, size)


def pwrite(descriptor: int, data: bytes | memoryview, offset: int) -> int:
    """Write ``data`` at ``offset``; returns how many bytes were written."""
    if hasattr(os, "pwrite"):
        return os.pwrite(descriptor, data, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.write(descriptor, data)


def lock(descriptor: int, *, wait: bool = True) -> None:
    """Lock a file until its descriptor is closed; where the host has no such locks nothing happens.

    Raises:
        BlockingIOError: Another process holds it, and ``wait`` is false.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
