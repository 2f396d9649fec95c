"""A made kernel and initrd with the sizes of Debian 13's installer, for when no real pair is at hand."""

from __future__ import annotations

from pathlib import Path

from tdvfsh.images.listing import ImagePair
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.lazy_typing import Final

KERNEL_SIZE: Final = 12_142_528
KERNEL_INIT_SIZE: Final = 0x37EF000
KERNEL_SIZE_OF_IMAGE: Final = 0xBFA000
KERNEL_OUTPUT_LEN: Final = 0x36F96F8
INITRD_SIZE: Final = 40_723_557
SOURCE: Final = "made files with the sizes of Debian 13's installer: no real pair is at hand"


def stand_in_pair(folder: Path) -> ImagePair:
    """The pair in ``folder``, made where it is not there yet; always the same bytes.

    Raises:
        HostError: The folder cannot be written to.
    """
    kernel, initrd = folder / "vmlinuz", folder / "initrd.gz"
    folder.mkdir(parents=True, exist_ok=True)
    if not _has_size(kernel, KERNEL_SIZE):
        make_kernel(
            kernel,
            KERNEL_SIZE,
            KERNEL_INIT_SIZE,
            size_of_image=KERNEL_SIZE_OF_IMAGE,
            output_len=KERNEL_OUTPUT_LEN,
        )
    if not _has_size(initrd, INITRD_SIZE):
        make_initrd(initrd, INITRD_SIZE, "gzip")
    return ImagePair(kernel, initrd, SOURCE)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
