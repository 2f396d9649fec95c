"""The cache of fetched images on the host.

::

    ~/.cache/tdvfsh/images/NAME/manifest.json     what the files are and where they came from
    ~/.cache/tdvfsh/images/NAME/linux …           the files
    ~/.cache/tdvfsh/staging/                      private apt roots, downloads under way, half-made entries, the lock

An entry appears by one rename, so that a half-made one is never seen. One that takes another's place does so by two;
where it was killed between them, the other comes back. What dead fetches left in ``staging`` goes with the next one. A
file whose size or times are not those of the manifest is hashed again; if its content changed, the entry is damaged and
counts as not fetched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tdvfsh import host
from tdvfsh.errors import HostError
from tdvfsh.images.files import host_errors, sha256_of
from tdvfsh.images.folders import cache_dir as cache_dir
from tdvfsh.images.folders import work_dir as work_dir
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.whole_file import write_whole

MANIFEST: Final = "manifest.json"
MANIFEST_VERSION: Final = 1
MANIFEST_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file of an entry: its name, size in bytes, SHA-256 in hex, and modification and change time in ns."""

    name: str
    size: int
    sha256: str
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an entry of the cache holds.

    Attributes:
        package: Full name of the Debian package.
        version: Its version.
        deb_sha256: SHA-256 of the ``.deb``, in hex.
        files: By role, such as ``kernel``.
    """

    package: str
    version: str
    deb_sha256: str
    files: Mapping[str, CachedFile]


class DamagedEntryError(HostError):
    """An entry of the cache is not what its manifest says."""


def load(name: str) -> Manifest | None:
    """The manifest of an entry whose files are as it says; None where there is no such entry.

    Raises:
        DamagedEntryError: The entry is incomplete or its content changed.
    """
    folder = cache_dir() / name
    try:
        manifest = _parse((folder / MANIFEST).read_bytes()[:MANIFEST_LIMIT])
        checked = {role: _check(folder / file.name, file) for role, file in manifest.files.items()}
    except (FileNotFoundError, NotADirectoryError) as error:
        if not folder.is_dir():
            return load(name) if _recover(name) else None
        raise DamagedEntryError(f"{folder}: the fetched image is incomplete; fetch it again") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedEntryError(f"{folder}: the fetched image is damaged; fetch it again") from error
    if checked != manifest.files:
        manifest = Manifest(manifest.package, manifest.version, manifest.deb_sha256, checked)
        with suppress(HostError):  # a cache that cannot be written only costs another check next time
            _write(folder, manifest)
    return manifest


def stamp(path: Path, sha256: str) -> CachedFile:
    """The facts by which a file is recognised later."""
    with host_errors(path):
        facts = path.stat()
    return CachedFile(path.name, facts.st_size, sha256, facts.st_mtime_ns, facts.st_ctime_ns)


@contextmanager
def locked(waiting: Callable[[], None]) -> Iterator[int]:
    """Hold the cache's lock; yields its file descriptor, which a child may inherit to hold it too.

    Args:
        waiting: Called once if another process holds the lock.

    Raises:
        HostError: The cache cannot be written.
    """
    work = work_dir()
    with host_errors(work):
        work.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(work / "lock", os.O_RDWR | os.O_CREAT | host.O_CLOEXEC, 0o644)
    try:
        with host_errors(work / "lock"):
            try:
                host.lock(descriptor, wait=False)
            except BlockingIOError:
                waiting()
                host.lock(descriptor)
            _clear_staging()
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def new_entry(name: str) -> Iterator[Path]:
    """An empty folder for the files of an entry; gone again unless :func:`publish` moved it. Needs the lock."""
    folder = work_dir() / f"new-{name}"
    with host_errors(folder):
        _remove(folder)
        folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        with suppress(OSError):
            _remove(folder)


def publish(folder: Path, name: str, manifest: Manifest) -> None:
    """Make a folder of files the entry of that name, in place of any other. Needs the lock.

    Raises:
        HostError: The cache cannot be written; an older entry is then still there.
    """
    final, old = cache_dir() / name, work_dir() / f"old-{name}"
    with host_errors(final):
        _write(folder, manifest)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists() or final.is_symlink():
            _remove(old)
            final.rename(old)
        try:
            folder.rename(final)
        except OSError:
            if old.exists():
                old.rename(final)
            raise
        _remove(old)


def _recover(name: str) -> bool:
    """Put an entry back whose replacement was killed between its two renames; returns whether there was one."""
    final, old = cache_dir() / name, work_dir() / f"old-{name}"
    with suppress(OSError):
        if not old.is_dir():
            return False
        descriptor = os.open(work_dir() / "lock", os.O_RDWR | os.O_CREAT | host.O_CLOEXEC, 0o644)
        try:
            host.lock(descriptor, wait=False)
            old.rename(final)
        finally:
            os.close(descriptor)
        return True
    return False


def _clear_staging() -> None:
    """Delete what dead fetches left: half-made entries, and replaced ones. Needs the lock."""
    for folder in work_dir().glob("new-*"):
        _remove(folder)
    for folder in work_dir().glob("old-*"):
        if (cache_dir() / folder.name.removeprefix("old-")).exists():
            _remove(folder)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check(path: Path, file: CachedFile) -> CachedFile:
    """The file's facts; its content is hashed only where size or times differ from the manifest."""
    facts = path.stat()
    if (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns) == (file.size, file.mtime_ns, file.ctime_ns):
        return file
    if facts.st_size != file.size or sha256_of(path) != file.sha256:
        raise ValueError(f"{path.name} changed")
    return CachedFile(file.name, file.size, file.sha256, facts.st_mtime_ns, facts.st_ctime_ns)


def _write(folder: Path, manifest: Manifest) -> None:
    data = {
        "manifest": MANIFEST_VERSION,
        "package": manifest.package,
        "version": manifest.version,
        "deb_sha256": manifest.deb_sha256,
        "files": {
            role: {
                "name": file.name, "size": file.size, "sha256": file.sha256,
                "mtime_ns": file.mtime_ns, "ctime_ns": file.ctime_ns,
            }
            for role, file in manifest.files.items()
        },
    }  # fmt: skip
    write_whole(folder / MANIFEST, f"{json.dumps(data, indent=1)}\n".encode())


def _parse(content: bytes) -> Manifest:
    data = json.loads(content)
    if data["manifest"] != MANIFEST_VERSION:
        raise ValueError("the manifest is of another version")
    return Manifest(
        package=str(data["package"]),
        version=str(data["version"]),
        deb_sha256=str(data["deb_sha256"]),
        files={str(role): _parse_file(file) for role, file in data["files"].items()},
    )


def _parse_file(file: Mapping[str, str | int]) -> CachedFile:
    name = str(file["name"])
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ValueError("a name in the manifest leads out of its folder")
    return CachedFile(name, int(file["size"]), str(file["sha256"]), int(file["mtime_ns"]), int(file["ctime_ns"]))
