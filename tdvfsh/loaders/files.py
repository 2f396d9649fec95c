"""What is to be booted: kernel, initrds and command line, with the facts that loaders read from the files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tdvfsh.formats.linux import LinuxKernel
from tdvfsh.formats.pe import PeImage
from tdvfsh.units import PAGE_SIZE

_PADDING: Final = 4  # every initrd but the last is padded to this, as Linux's initramfs format wants it


@dataclass(frozen=True)
class KernelFile:
    """A kernel: its bytes and headers. ``linux`` is None for an EFI program that is no Linux kernel."""

    path: str
    view: memoryview
    pe: PeImage | None
    linux: LinuxKernel | None

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.view)

    @property
    def image_pages_size(self) -> int:
        """Bytes that LoadImage allocates for it; 0 where it is no PE image."""
        if self.pe is None:
            return 0
        alignment = self.pe.section_alignment
        return self.pe.image_size + (alignment if alignment > PAGE_SIZE else 0)

    @property
    def kernel_buffer_size(self) -> int:
        """Bytes that its EFI stub allocates to decompress into; 0 where it has none."""
        return (self.linux.kernel_buffer_size or 0) if self.linux is not None else 0


@dataclass(frozen=True)
class InitrdFile:
    """One initrd."""

    path: str
    view: memoryview

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.view)


@dataclass(frozen=True)
class BootFiles:
    """Everything a loader is given."""

    kernel: KernelFile
    initrds: Sequence[InitrdFile] = ()
    cmdline: str = ""

    @cached_property
    def initrd_size(self) -> int:
        """Bytes of all initrds one after the other, each but the last padded to 4 bytes."""
        total = 0
        for initrd in self.initrds:
            total = -(-total // _PADDING) * _PADDING + initrd.size
        return total

    def initrd_pieces(self) -> list[tuple[int, memoryview]]:
        """``(offset, bytes)`` of each initrd in the joined one."""
        pieces = []
        offset = 0
        for initrd in self.initrds:
            offset = -(-offset // _PADDING) * _PADDING
            pieces.append((offset, initrd.view))
            offset += initrd.size
        return pieces
