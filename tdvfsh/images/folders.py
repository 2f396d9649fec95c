"""Where fetched images are on this machine; cheap to import, since the shell shows that folder as a file system."""

from __future__ import annotations

import os

from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def cache_path() -> str:
    """Folder of the fetched images: ``$XDG_CACHE_HOME/tdvfsh/images``, or the same below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            raise HostError("no home folder to keep images in; set XDG_CACHE_HOME")
        base = os.path.join(home, ".cache")
    return os.path.join(base, "tdvfsh", "images")


def cache_dir() -> Path:
    """:func:`cache_path` as a path object."""
    from pathlib import Path

    return Path(cache_path())


def work_dir() -> Path:
    """Folder of everything that is not a finished image."""
    return cache_dir().parent / "staging"
