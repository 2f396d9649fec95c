"""cpio archives in the form that the kernel unpacks: "newc", with or without checksums.

Only headers are read; where a member's data is a hole of a sparse file, nothing of it ever comes from the disk.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c (do_header, do_name).
"""

from __future__ import annotations

import struct
from binascii import unhexlify
from collections.abc import Callable, Iterator

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.units import align_up

CPIO_NEWC_MAGIC: Final = b"070701"
CPIO_CRC_MAGIC: Final = b"070702"
CPIO_ODC_MAGIC: Final = b"070707"
CPIO_HEADER_SIZE: Final = 110
CPIO_FIELDS: Final = (
    "ino", "mode", "uid", "gid", "nlink", "mtime", "filesize",
    "devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check",
)  # fmt: skip
CPIO_TRAILER: Final = b"TRAILER!!!"
CPIO_ALIGNMENT: Final = 4
_WINDOW_SIZE: Final = 1 << 16
_FIELDS: Final = struct.Struct(">13I")  # once their hexadecimal digits are bytes


@dataclass(frozen=True, slots=True)
class CpioEntry:
    """A member: where its header begins, its name as stored (never used as a path here), its data's place and size."""

    offset: int
    name: bytes
    data_offset: int
    filesize: int
    next_offset: int


def is_cpio(head: bytes) -> bool:
    """Whether bytes begin like an archive that the kernel takes."""
    return head[:6] in (CPIO_NEWC_MAGIC, CPIO_CRC_MAGIC)


def cpio_entries(source: ByteSource, offset: int) -> Iterator[CpioEntry]:
    """The members of the archive that begins at ``offset``, through its trailer or to the last header in a row.

    Raises:
        FormatError: A header is malformed or a member runs past the end of the file.
    """
    window, window_offset = b"", offset
    while True:
        at = offset - window_offset
        if at < 0 or at + CPIO_HEADER_SIZE > len(window):
            window, window_offset, at = source.peek(offset, _WINDOW_SIZE), offset, 0
        head = window[at : at + CPIO_HEADER_SIZE]
        if not is_cpio(head):
            return
        if len(head) < CPIO_HEADER_SIZE:
            raise FormatError(source.path, "a cpio header runs past the end of the file", offset)
        try:
            fields = _FIELDS.unpack(unhexlify(head[6:]))
        except ValueError:
            raise FormatError(source.path, "a cpio header field is not hexadecimal", offset) from None
        filesize, namesize = fields[6], fields[11]
        data_offset = align_up(offset + CPIO_HEADER_SIZE + namesize, CPIO_ALIGNMENT)
        end = data_offset + filesize
        if end > source.size and (filesize or offset + CPIO_HEADER_SIZE + namesize > source.size):
            raise FormatError(
                source.path, f"a cpio member of {filesize} bytes runs past the end of the file ({source.size})", offset
            )
        name_at = at + CPIO_HEADER_SIZE
        name = window[name_at : name_at + namesize]
        if len(name) < min(namesize, 256):
            name = source.peek(offset + CPIO_HEADER_SIZE, min(namesize, _WINDOW_SIZE))
        next_offset = min(align_up(end, CPIO_ALIGNMENT), source.size)
        entry = CpioEntry(offset, name.rstrip(b"\0"), data_offset, filesize, next_offset)
        yield entry
        if entry.name == CPIO_TRAILER and namesize == len(CPIO_TRAILER) + 1:
            return
        offset = next_offset


def cpio_end(source: ByteSource, offset: int, progress: Callable[[int], None] | None = None) -> tuple[int, int]:
    """(offset past the archive that begins at ``offset``, number of members, the trailer not counted)."""
    end, count = offset, 0
    for entry in cpio_entries(source, offset):
        end = entry.next_offset
        count += entry.name != CPIO_TRAILER
        if progress is not None and count & 0xFFF == 0:
            progress(end)
    return end, count
