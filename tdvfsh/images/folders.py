"""Where fetched images are on this machine; cheap to import, since the shell shows that folder as a file system."""

from __future__ import annotations

import os
from pathlib import Path

from tdvfsh.errors import HostError


def cache_dir() -> Path:
    """Folder of the fetched images: ``$XDG_CACHE_HOME/tdvfsh/images``, or the same below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "tdvfsh" / "images"
    try:
        return Path.home() / ".cache" / "tdvfsh" / "images"
    except RuntimeError as error:
        raise HostError("no home folder to keep images in; set XDG_CACHE_HOME") from error


def work_dir() -> Path:
    """Folder of everything that is not a finished image."""
    return cache_dir().parent / "work"
