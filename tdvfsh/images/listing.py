"""What images there are, and which to take for a demonstration."""

from __future__ import annotations

import os
from pathlib import Path

from tdvfsh.errors import TdvfshError
from tdvfsh.images import cache
from tdvfsh.images.apt import ETC_APT, Progress
from tdvfsh.images.cache import DamagedEntryError
from tdvfsh.images.catalogue import catalogue
from tdvfsh.images.fetch import FetchedImage, fetch, fetched, is_complete
from tdvfsh.images.versions import version_key
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

DEMO_IMAGE: Final = "installer-13"
BOOT: Final = Path("/boot")


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A line of ``tdvfsh images list``.

    Attributes:
        name: As in the catalogue.
        description: One line.
        roles: What it provides, such as ``kernel`` and ``initrd``.
        state: ``fetched``, ``damaged`` (the cache holds something else than was fetched) or ``not fetched``.
        version: The package's version, empty unless fetched.
        size: Bytes of its files in the cache, 0 unless fetched.
        download_megabytes: Approximate size of the download in 10^6 bytes; 0 for what is made on this machine.
        also: Other names of it.
        package: The package that it comes from, as a glob; empty for what is made.
    """

    name: str
    description: str
    roles: tuple[str, ...]
    state: str
    version: str
    size: int
    download_megabytes: float
    also: tuple[str, ...]
    package: str


@dataclass(frozen=True, slots=True)
class ImagePair:
    """A kernel and an initrd that belong together.

    Attributes:
        kernel: The kernel's path.
        initrd: The initrd's path.
        source: A sentence that says where they come from.
        image: The name of the image that they are, by which commands take them; empty where they are none.
    """

    kernel: Path
    initrd: Path
    source: str
    image: str = ""


def list_images() -> list[ListedImage]:
    """All images of the catalogue, in its order, with what the cache holds of them."""
    listed = []
    for entry in catalogue().values():
        state, version, size = "not fetched", "", 0
        try:
            manifest = cache.load(entry.name)
        except DamagedEntryError:
            manifest, state = None, "damaged"
        if manifest is not None and is_complete(entry, manifest):
            state, version = "fetched", manifest.version
            size = sum(file.size for file in manifest.files.values())
        roles = tuple(member.role for member in entry.members)
        listed.append(
            ListedImage(
                name=entry.name,
                description=entry.description,
                roles=roles,
                state=state,
                version=version,
                size=size,
                download_megabytes=entry.megabytes,
                also=entry.also,
                package=entry.package,
            )
        )
    return listed


def find_pair(
    progress: Progress | None = None, allow_fetch: bool = True, etc_apt: Path = ETC_APT, boot: Path = BOOT
) -> ImagePair | None:
    """A real pair: the installer's if it is or can be fetched, else the host's own newest, else None.

    Args:
        progress: Progress callback of a download.
        allow_fetch: Whether the network may be used.
        etc_apt: Where the machine's apt sources are.
        boot: Where the host keeps its kernels.
    """
    why = "not fetched yet"
    image: FetchedImage | None = None
    try:
        image = fetch(DEMO_IMAGE, progress, etc_apt=etc_apt) if allow_fetch else fetched(DEMO_IMAGE)
    except TdvfshError as error:
        why = str(error)
    if image is not None:
        source = f"the kernel and initrd of {image.package} {image.version}, from Debian's archive"
        return ImagePair(image.files["kernel"], image.files["initrd"], source, image.name)
    pair = _host_pair(boot)
    if pair is None:
        return None
    kernel, initrd = pair
    return ImagePair(kernel, initrd, f"this machine's own {kernel} and {initrd} ({DEMO_IMAGE}: {why})")


def _host_pair(boot: Path) -> tuple[Path, Path] | None:
    """The newest kernel with an initrd, both readable by this user."""
    kernels = sorted(boot.glob("vmlinuz-*"), key=lambda path: version_key(path.name), reverse=True)
    for kernel in kernels:
        release = kernel.name.removeprefix("vmlinuz-")
        for name in (f"initrd.img-{release}", f"initramfs-{release}.img", f"initrd-{release}"):
            initrd = boot / name
            if all(path.is_file() and os.access(path, os.R_OK) for path in (kernel, initrd)):
                return kernel, initrd
    return None
