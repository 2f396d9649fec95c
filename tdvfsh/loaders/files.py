"""What is to be booted: kernel, initrds and command line, with the facts that loaders read from the files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from tdvfsh.formats.linux import LinuxKernel, StubGeneration
from tdvfsh.formats.pe.findings import Overwrite, overwritten_code
from tdvfsh.formats.pe.parse import PeImage
from tdvfsh.formats.pe.prepared import PreparedPe
from tdvfsh.formats.pe.uki import Uki
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.units import PAGE_SIZE, align_up, human_size

INITRD_PADDING: Final = 4
"""Every initrd but the last is padded to this, as Linux's initramfs format wants it."""

Pieces = list[tuple[int, memoryview]]
"""``(offset, bytes)`` of the parts of one file."""


@dataclass(frozen=True)
class KernelFile:
    """A kernel: its bytes and headers.

    Attributes:
        path: What to call it.
        view: The file.
        pe: Its PE headers, None where it has none that firmware takes.
        linux: Its boot header, None for an EFI program that is not a Linux kernel.
        uki: Its sections, where it is a unified kernel image.
        inner: The kernel in it, then.
    """

    path: str
    view: memoryview
    pe: PeImage | None
    linux: LinuxKernel | None
    uki: Uki | None = None
    inner: KernelFile | None = None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.view)

    @cached_property
    def prepared(self) -> PreparedPe | None:
        """What LoadImage finds out of the file, kept from boot to boot; None where it is not a PE image."""
        return None if self.pe is None else PreparedPe(self.pe, self.view)

    @cached_property
    def damage(self) -> Overwrite | None:
        """The first code of its own that loading it overwrites; None where none is."""
        return None if self.pe is None else overwritten_code(self.pe)

    @property
    def image_pages_size(self) -> int:
        """Bytes that LoadImage allocates for it; 0 where it is not a PE image."""
        if self.pe is None:
            return 0
        alignment = self.pe.section_alignment
        return self.pe.image_size + (alignment if alignment > PAGE_SIZE else 0)

    @property
    def kernel_buffer_size(self) -> int:
        """Bytes that its EFI stub allocates for the kernel: decompressed, or with room for that; 0 without a stub."""
        linux = self.linux
        if linux is None or self.pe is None:
            return 0
        if linux.stub_generation is StubGeneration.DECOMPRESS:
            return linux.kernel_buffer_size or 0
        return linux.init_size

    def section(self, name: str) -> memoryview | None:
        """The bytes of one of a unified kernel image's sections, or None."""
        section = self.uki.section(name) if self.uki is not None else None
        return None if section is None else self.view[section.offset : section.offset + section.size]


@dataclass(frozen=True)
class InitrdFile:
    """One initrd.

    Attributes:
        path: What to call it.
        view: The file.
        unpacked_size: Bytes that it unpacks to; 0 where it was not unpacked.
    """

    path: str
    view: memoryview
    unpacked_size: int = 0

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.view)


@dataclass(frozen=True, repr=False)
class BootFiles:
    """Input of a loader."""

    kernel: KernelFile
    initrds: Sequence[InitrdFile] = ()
    cmdline: str = ""

    def __repr__(self) -> str:
        return f"<BootFiles: {self.summary}>"

    @property
    def summary(self) -> str:
        """The files' names and sizes in a line."""
        files = [(self.kernel.path, self.kernel.size), *((initrd.path, initrd.size) for initrd in self.initrds)]
        from pathlib import PurePath

        return ", ".join(f"{ascii(PurePath(path).name)[1:-1]} {human_size(size)}" for path, size in files)

    @property
    def unpacked_size(self) -> int:
        """Bytes that all initrds unpack to."""
        return sum(initrd.unpacked_size for initrd in self.initrds)

    @cached_property
    def initrd_size(self) -> int:
        """Bytes of all initrds one after the other, each but the last padded to 4 bytes."""
        return joined_size(self.initrd_pieces())

    def initrd_pieces(self, padding: int = INITRD_PADDING) -> Pieces:
        """``(offset, bytes)`` of each initrd in the joined one, each but the last padded to ``padding`` bytes."""
        return join([initrd.view for initrd in self.initrds], padding)


def join(views: Sequence[memoryview], padding: int) -> Pieces:
    """Where each of ``views`` lies when they follow each other, each but the last padded to ``padding`` bytes."""
    pieces: Pieces = []
    offset = 0
    for view in views:
        offset = align_up(offset, padding)
        pieces.append((offset, view))
        offset += len(view)
    return pieces


def joined_size(pieces: Pieces) -> int:
    """Bytes of what :func:`join` laid out, without padding after the last."""
    return pieces[-1][0] + len(pieces[-1][1]) if pieces else 0
