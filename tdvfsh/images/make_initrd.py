"""Synthetic initrds of any size: a valid cpio archive, plain or inside a compressed container.

Plain archives are one hole with a few headers. Containers that can store bytes as they are (gzip, zstd, xz, lz4, lzo)
hold such an archive, so that packed and unpacked size are nearly the same. bzip2 and lzma cannot: there a small archive
is really compressed, and zeros, which the kernel skips, fill the file up to its size.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import bz2
import lzma
from pathlib import Path

from tdvfsh.errors import UsageError
from tdvfsh.formats.cpio import CPIO_ALIGNMENT
from tdvfsh.images.newc import member_head, trailer_head
from tdvfsh.images.sparse_file import write_sparse
from tdvfsh.images.stored import STORED_FORMATS, Pieces, lay_out, plan_stored
from tdvfsh.lazy_typing import Final
from tdvfsh.units import align_down, align_up

COMPRESSIONS: Final = (*STORED_FORMATS, "bzip2", "lzma")
MAX_INITRD_SIZE: Final = 1 << 40
_MAX_MEMBER_SIZE: Final = 0xFFFFF000
_NOTE: Final = b"This initrd was made for measuring: its size is real, its content is not.\n"


def make_initrd(path: str | Path, size: int, compress: str | None = None) -> None:
    """Write an initrd of exactly ``size`` bytes; the same arguments always produce the same bytes.

    Args:
        path: The file to write; most of it is a hole.
        size: Bytes of the file, which is the packed size where it is compressed.
        compress: One of :data:`COMPRESSIONS`, or None for a plain archive.

    Raises:
        UsageError: An unknown compression, or a size that no such initrd can have.
        HostError: The file cannot be written.
    """
    if compress is not None and compress not in COMPRESSIONS:
        raise UsageError(f"'{compress}' is not a compression (one of {', '.join(COMPRESSIONS)})")
    if size > MAX_INITRD_SIZE:
        raise UsageError(f"an initrd of {size} bytes is more than {MAX_INITRD_SIZE}, the limit")
    if compress is None:
        write_sparse(path, size, cpio_pieces(size))
    elif compress in STORED_FORMATS:
        plan = plan_stored(compress, size)
        write_sparse(path, size, lay_out(plan, cpio_pieces(plan.content_size)))
    else:
        packed = _packed_note(compress)
        if size < len(packed):
            raise UsageError(f"a {compress} initrd is at least {len(packed)} bytes long, not {size}")
        write_sparse(path, size, [(0, packed)])


def cpio_pieces(size: int) -> Pieces:
    """A newc archive of exactly ``size`` bytes, as its parts that are not zero.

    Raises:
        UsageError: No archive is that short.
    """
    note = member_head(b"README", len(_NOTE), 1)
    trailer = trailer_head()
    filler_at = align_up(len(note) + len(_NOTE), CPIO_ALIGNMENT)
    pieces: Pieces = [(0, note + _NOTE)]
    empty = len(member_head(b"filler-0000", 0, 2))
    minimum = filler_at + len(trailer)
    if size < minimum:
        raise UsageError(f"an initrd is at least {minimum} bytes long, not {size}")
    position, end = filler_at, align_down(size - len(trailer), CPIO_ALIGNMENT)
    number = 0
    while end - position >= empty:
        data_size = min(end - position - empty, _MAX_MEMBER_SIZE)
        pieces.append((position, member_head(b"filler-%04d" % number, data_size, 2 + number)))
        position += empty + data_size
        number += 1
    pieces.append((position, trailer))
    return pieces


def _packed_note(compress: str) -> bytes:
    archive = bytearray(512)
    for offset, data in cpio_pieces(len(archive)):
        archive[offset : offset + len(data)] = data
    if compress == "bzip2":
        return bz2.compress(bytes(archive))
    return lzma.compress(bytes(archive), format=lzma.FORMAT_ALONE, preset=6)
