"""Made images with the sizes of real ones."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.formats.linux import StubGeneration
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.loaders.flow import Placement
from tdvfsh.units import align_up
from tests.formats.pe_builder import Section, build_pe

_UKI_BASE: Final = 0x14DF90000
_PAGE: Final = 0x1000
_HEADERS: Final = 0x400
_CHUNK: Final = 1 << 16
_RELEASE_AT: Final = 0x4300


class KernelSizes(NamedTuple):
    """What a kernel is made of."""

    size: int
    size_of_image: int
    init_size: int
    output_len: int
    release: bytes = b"6.12.107+made"
    generation: StubGeneration = StubGeneration.DECOMPRESS
    unaccepted_memory: bool = True
    major_image_version: int = 3
    protocol: int = 0x20F


KERNELS: Final = {
    "6.12-cloud": KernelSizes(11_708_352, 0xB90000, 0x37DD000, 0x36E802C),
    "6.12": KernelSizes(0xB947C0, 0xBFA000, 0x37EF000, 0x36F96F8),
    "6.1": KernelSizes(
        0x7D77C0, 0x81C000, 0x3F97000, 0x3EDA1A4, b"6.1.176+made", unaccepted_memory=False, major_image_version=1
    ),
    "6.18-cloud": KernelSizes(13_612_672, 0xCFB000, 0x3A29000, 0x392B830, b"6.18.15+made"),
    "5.10": KernelSizes(0x6C0000, 0x700000, 0x2A00000, 0x2980000, b"5.10.0+made", StubGeneration.IN_PLACE, False, 1),
    "5.10-in-place": KernelSizes(
        0x6C0000, 0x2E00000, 0x2A00000, 0x2980000, b"5.10.0+made", StubGeneration.IN_PLACE, False, 1
    ),
    "4.19": KernelSizes(
        0x6C0000, 0x700000, 0x2A00000, 0x2980000, b"4.19.0+made", StubGeneration.IN_PLACE, False, 0, 0x20D
    ),
}
"""Sizes of Debian's kernels where their release is a real one (6.*), and of the older generations' kind."""


class MadeImages:
    """Images in one folder, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kernel(self, name: str) -> Path:
        """The kernel of that name in :data:`KERNELS`."""
        path = self._folder / f"vmlinuz-{name}"
        if not path.exists():
            sizes = KERNELS[name]
            make_kernel(
                path,
                sizes.size,
                sizes.init_size,
                sizes.size_of_image,
                sizes.output_len,
                protocol=sizes.protocol,
                unaccepted_memory=sizes.unaccepted_memory,
                stub_generation=sizes.generation,
                major_image_version=sizes.major_image_version,
            )
            with path.open("r+b") as file:
                file.seek(_RELEASE_AT)
                file.write(sizes.release.ljust(48, b"\0"))
        return path

    def initrd(self, size: int) -> Path:
        """An initrd of ``size`` bytes."""
        path = self._folder / f"initrd-{size}.cpio"
        if not path.exists():
            make_initrd(path, size)
        return path

    def uki(self, kernel: str, initrd_size: int = 0, cmdline: str = "", ucode_size: int = 0, sbat: bytes = b"") -> Path:
        """A unified kernel image of that kernel, an initrd and a command line; its image lies as systemd's does."""
        path = self._folder / f"uki-{kernel}-{initrd_size}-{ucode_size}-{len(cmdline)}-{len(sbat)}.efi"
        if path.exists():
            return path
        contents: list[tuple[bytes, bytes | Path]] = [(b".text", b"\xc3" * 16), (b".cmdline", cmdline.encode())]
        if sbat:
            contents.append((b".sbat", sbat))
        if ucode_size:
            contents.append((b".ucode", self.initrd(ucode_size)))
        contents.append((b".linux", self.kernel(kernel)))
        if initrd_size:
            contents.append((b".initrd", self.initrd(initrd_size)))
        sections: list[Section] = []
        address, pointer = _PAGE, _HEADERS
        for name, data in contents:
            size = data.stat().st_size if isinstance(data, Path) else len(data)
            raw = align_up(size, 0x200)
            sections.append(Section(name, address, size, pointer, raw))
            address += align_up(max(size, 1), _PAGE)
            pointer += raw
        headers = build_pe(tuple(sections), size=_HEADERS, size_of_image=address, image_base=_UKI_BASE)
        with path.open("wb") as file:
            file.truncate(pointer)
            file.write(headers)
            for section, (_, data) in zip(sections, contents, strict=True):
                file.seek(section.pointer)
                if isinstance(data, bytes):
                    file.write(data)
                else:
                    copy_with_holes(data, file)
        return path


def copy_with_holes(source: Path, target: BinaryIO) -> None:
    """Copy a file to the target's position; what is zero stays a hole."""
    with source.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if chunk.count(0) == len(chunk):
                target.seek(len(chunk), 1)
            else:
                target.write(chunk)


def where(result: BootResult, what: str) -> Placement:
    """The last placement of that name."""
    return next(placement for placement in reversed(result.placements) if placement.what == what)


def start(result: BootResult, what: str) -> int:
    """Where the last placement of that name begins."""
    return where(result, what).start


def names(result: BootResult) -> list[str]:
    """The placements that still stand, in order."""
    return [placement.what for placement in result.placements if not placement.freed]
