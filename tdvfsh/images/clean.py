"""Getting rid of fetched images, and of what interrupted fetches have left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import rmtree

from tdvfsh.images import cache
from tdvfsh.images.cache import DamagedEntryError
from tdvfsh.images.catalogue import catalogue, find_entry
from tdvfsh.images.files import host_errors


def clean(names: Sequence[str], everything: bool, waiting: Callable[[], None]) -> list[tuple[str, int]]:
    """Delete images of the catalogue, or only what is of no use.

    Args:
        names: Images to delete; without any, those that are damaged, and what downloads have left.
        everything: Delete every image, and what downloads have left.
        waiting: Called where another process holds the cache.

    Returns:
        What was deleted, and its size in bytes.

    Raises:
        UsageError: No image has such a name.
        HostError: Something cannot be deleted.
    """
    wanted = [find_entry(name).name for name in names]
    if not cache.work_dir().parent.is_dir():
        return []
    removed = []
    with cache.locked(waiting):
        if not names:
            wanted = [name for name in catalogue() if everything or _is_damaged(name)]
            removed += list(_remove(cache.work_dir() / "apt", "indexes of the archives"))
            removed += list(_remove(cache.work_dir() / "downloads", "unfinished downloads"))
        for name in wanted:
            removed += list(_remove(cache.cache_dir() / name, name))
    return removed


def _is_damaged(name: str) -> bool:
    try:
        cache.load(name)
    except DamagedEntryError:
        return True
    return False


def _remove(folder: Path, what: str) -> Iterator[tuple[str, int]]:
    if not folder.is_dir():
        return
    with host_errors(folder):
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
        rmtree(folder)
    if size:
        yield what, size
