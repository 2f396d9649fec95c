"""Initrds as a list of segments: what the kernel would unpack one after the other, with packed and unpacked sizes.

Source: Linux init/initramfs.c unpack_to_rootfs(); Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.errors import FormatError
from tdvfsh.formats.bootconfig import BootConfig, find_bootconfig
from tdvfsh.formats.compression import UnpackLimits, codec_at, measure
from tdvfsh.formats.cpio import CPIO_ALIGNMENT, CPIO_ODC_MAGIC, cpio_end, is_cpio
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

Progress = Callable[[int, int], None]
"""Progress callback: bytes of the file done, bytes of the file."""

MAX_SEGMENTS: Final = 1 << 18
"""More than any loader would concatenate; a hostile file could otherwise hold tens of millions."""


@dataclass(frozen=True, slots=True)
class InitrdSegment:
    """One archive.

    Attributes:
        format: ``cpio`` (not compressed), the compression's name, or ``bootconfig``.
        offset: Where it begins in the file.
        size: Bytes in the file, without padding after it.
        unpacked_size: Bytes of the archive once unpacked; for a boot configuration those of its data.
    """

    format: str
    offset: int
    size: int
    unpacked_size: int


@dataclass(frozen=True, slots=True)
class Initrd:
    """An initrd file and what it consists of."""

    path: str
    size: int
    segments: tuple[InitrdSegment, ...]

    @property
    def unpacked_size(self) -> int:
        """Bytes of all archives once unpacked, boot configuration not counted."""
        return sum(segment.unpacked_size for segment in self.segments if segment.format != "bootconfig")


def parse_initrd(
    view: Buffer | ByteSource,
    path: str,
    progress: Progress | None = None,
    limits: UnpackLimits | None = None,
) -> Initrd:
    """Find the archives in an initrd and measure them.

    Compressed archives are unpacked as a stream and thrown away; of plain ones only the headers are read.

    Args:
        view: The file.
        path: Its name, for messages.
        progress: Progress callback, called at least once per MiB of compressed data.
        limits: What to refuse as a decompression bomb; by default 16 GiB, or 1000 : 1 beyond 1 GiB.

    Raises:
        FormatError: Not an initrd (the message says where and why), damaged, truncated, or a decompression bomb.
    """
    source = ByteSource(view, path)
    if source.size == 0:
        raise FormatError(path, "the file is empty")
    limits = limits or UnpackLimits()
    total = source.size
    config = find_bootconfig(source)
    archives = ByteSource(source, path, config.offset if config else total)

    def tell(position: int) -> None:
        if progress is not None:
            progress(position, total)

    segments: list[InitrdSegment] = []
    offset = archives.skip_zeros(0)
    while offset < archives.size:
        if len(segments) == MAX_SEGMENTS:
            raise FormatError(path, f"more than {MAX_SEGMENTS} archives", offset)
        segment = _segment(archives, offset, limits, tell)
        segments.append(segment)
        end = offset + segment.size
        tell(end)
        offset = archives.skip_zeros(end)
    if config is not None:
        segments.append(_bootconfig_segment(config))
    if not segments:
        raise FormatError(path, "only zeros: not an initrd")
    tell(total)
    return Initrd(path, total, tuple(segments))


def _bootconfig_segment(config: BootConfig) -> InitrdSegment:
    return InitrdSegment("bootconfig", config.offset, config.end - config.offset, config.size)


def _segment(source: ByteSource, offset: int, limits: UnpackLimits, tell: Callable[[int], None]) -> InitrdSegment:
    head = source.peek(offset, 6)
    if head == CPIO_ODC_MAGIC:
        raise FormatError(source.path, "an old portable cpio archive (070707), which the kernel refuses", offset)
    if is_cpio(head):
        if offset % CPIO_ALIGNMENT:
            raise FormatError(source.path, "a cpio archive that does not begin at a multiple of 4", offset)
        end, _ = cpio_end(source, offset, tell)
        return InitrdSegment("cpio", offset, end - offset, end - offset)
    codec = codec_at(source, offset)
    if codec is None:
        what = "not an initrd" if offset == 0 else "no archive follows the one before"
        raise FormatError(source.path, f"{what}: neither a cpio archive nor a known compression begins", offset)
    end, unpacked, first = measure(source, offset, codec, limits, tell, head_size=6)
    if unpacked and not is_cpio(first):
        raise FormatError(source.path, f"not an initrd: the {codec.name} stream holds no cpio archive", offset)
    return InitrdSegment(codec.name, offset, end - offset, unpacked)
