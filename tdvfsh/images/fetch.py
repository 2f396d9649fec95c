"""Fetch an image by name: from the cache, from Debian's archive, or from a package file of the user's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from shutil import rmtree

from tdvfsh.errors import UsageError
from tdvfsh.images import cache
from tdvfsh.images.apt import ETC_APT, Package, PrivateApt, Progress
from tdvfsh.images.cache import DamagedEntryError, Manifest
from tdvfsh.images.catalogue import CatalogueEntry, find_entry
from tdvfsh.images.files import host_errors, sha256_of
from tdvfsh.images.made import MADE_BY, RECIPE_VERSION, make_entry, parts_of
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.units import GIB


@dataclass(frozen=True, slots=True)
class FetchedImage:
    """An image in the cache.

    Attributes:
        name: As in the catalogue.
        package: Full name of the package it came from.
        version: The package's version.
        deb_sha256: SHA-256 of the package, in hex.
        files: Paths by role: ``kernel``, ``initrd``, ``efi``, ``firmware``, or these with a suffix.
        sizes: Bytes by role.
        sha256: SHA-256 in hex by role.
    """

    name: str
    package: str
    version: str
    deb_sha256: str
    files: Mapping[str, Path]
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]


def fetch(
    name: str,
    progress: Progress | None = None,
    deb: Path | None = None,
    refresh: bool = False,
    etc_apt: Path = ETC_APT,
    most: int = GIB,
) -> FetchedImage:
    """Bring an image into the cache, unless it is there.

    Args:
        name: As in the catalogue.
        progress: Progress callback (what is being done, bytes done, bytes total).
        deb: A package file of the user's; no network is used then.
        refresh: Ask the archive for a newer version even if there is one in the cache.
        etc_apt: Where the machine's apt sources are.
        most: Upper limit of the bytes of all files of the image; ten times the largest of the catalogue is the default.

    Raises:
        UsageError: No image has that name, or the package is another one.
        HostError: Network, disk or permissions refused.
        FormatError: The package is damaged or lacks a file.
    """
    entry = find_entry(name)
    name = entry.name
    report = progress or _silent
    if entry.made:
        return _made(entry, report, deb, refresh)
    if deb is None and not refresh:
        cached = fetched(name)
        if cached is not None:
            return cached
    with cache.locked(lambda: report("waiting for another fetch", 0, 0)) as lock:
        cached = fetched(name)  # another process may just have done it
        if cached is not None and deb is None and not refresh:
            return cached
        if deb is not None:
            return _store(entry, deb, _described(entry, deb), report, most)
        apt = PrivateApt(cache.work_dir() / "apt" / entry.suite, entry.suite, etc_apt, keep_open=(lock,))
        try:
            package = apt.newest(entry.package, report)
            if cached is not None and cached.deb_sha256 == package.sha256:
                return cached
            with _download_folder(entry, package) as folder:
                return _store(entry, apt.download(package, folder, report), package, report, most)
        finally:
            apt.tidy()


def fetched(name: str) -> FetchedImage | None:
    """An image that is in the cache and intact; None where it is not, is damaged, or lacks a file."""
    entry = find_entry(name)
    try:
        manifest = cache.load(entry.name)
    except DamagedEntryError:
        return None
    if manifest is None or (entry.made and manifest.version != RECIPE_VERSION):
        return None
    if not is_complete(entry, manifest):
        return None
    return _image(entry.name, manifest)


def is_complete(entry: CatalogueEntry, manifest: Manifest) -> bool:
    """Whether the cache holds all files of an image; the catalogue of a later version may name more of them."""
    return all(member.role in manifest.files for member in entry.members)


def _made(entry: CatalogueEntry, report: Progress, deb: Path | None, refresh: bool) -> FetchedImage:
    """The image by its recipe; what it is made of is fetched first."""
    if deb is not None:
        raise UsageError(f"{entry.name} is made on this machine: no package holds it")
    cached = fetched(entry.name)
    if cached is not None and not refresh:
        return cached
    parts = {name: fetch(name, report).files for name in parts_of(entry)}
    with cache.locked(lambda: report("waiting for another fetch", 0, 0)), cache.new_entry(entry.name) as folder:
        report(f"make {entry.name}", 0, 0)
        make_entry(entry, folder, parts)
        with host_errors(folder):
            files = {m.role: cache.stamp(folder / m.name, sha256_of(folder / m.name)) for m in entry.members}
        manifest = Manifest(MADE_BY, RECIPE_VERSION, "", files)
        cache.publish(folder, entry.name, manifest)
    return _image(entry.name, manifest)


def _image(name: str, manifest: Manifest) -> FetchedImage:
    return FetchedImage(
        name=name,
        package=manifest.package,
        version=manifest.version,
        deb_sha256=manifest.deb_sha256,
        files={role: cache.cache_dir() / name / file.name for role, file in manifest.files.items()},
        sizes={role: file.size for role, file in manifest.files.items()},
        sha256={role: file.sha256 for role, file in manifest.files.items()},
    )


def _described(entry: CatalogueEntry, deb: Path) -> Package:
    """What a package of the user's says it is; refused if the catalogue means another one."""
    from tdvfsh.formats.deb import read_control

    control = read_control(deb)
    name, version = control.get("Package", ""), control.get("Version", "")
    if not fnmatchcase(name, entry.package):
        raise UsageError(f"{deb} is the package {name or '?'}; {entry.name} is made from {entry.package}")
    with host_errors(deb):
        return Package(name, version, deb.stat().st_size, sha256_of(deb))


@contextmanager
def _download_folder(entry: CatalogueEntry, package: Package) -> Iterator[Path]:
    """The folder that holds what has come of this very package; older attempts go, and it goes once it was used."""
    downloads = cache.work_dir() / "downloads"
    folder = downloads / f"{entry.name}@{package.sha256[:16]}"
    for other in downloads.glob(f"{entry.name}@*"):
        if other != folder:
            rmtree(other, ignore_errors=True)
    yield folder
    rmtree(folder, ignore_errors=True)


def _store(entry: CatalogueEntry, deb: Path, package: Package, report: Progress, most: int) -> FetchedImage:
    from tdvfsh.formats.deb import extract_members

    what = f"unpack {package.name}"
    with cache.new_entry(entry.name) as folder:
        found = extract_members(
            deb,
            {member.member: folder / member.name for member in entry.members},
            lambda done, total: report(what, done, total),
            most,
        )
        files = {m.role: cache.stamp(folder / m.name, found[m.member].sha256) for m in entry.members}
        manifest = Manifest(package.name, package.version, package.sha256, files)
        cache.publish(folder, entry.name, manifest)
    report(what, package.size, package.size)
    return _image(entry.name, manifest)


def _silent(what: str, done: int, total: int) -> None:
    """No one wants to know."""
