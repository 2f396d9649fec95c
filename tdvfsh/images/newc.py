"""cpio archives in the form that the kernel unpacks ("newc"), made of members given as data.

Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from tdvfsh.formats.cpio import CPIO_ALIGNMENT, CPIO_HEADER_SIZE, CPIO_NEWC_MAGIC, CPIO_TRAILER
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import align_up

REGULAR: Final = stat.S_IFREG | 0o644


class NewcMember(NamedTuple):
    """A file, folder or device of an archive; owner and group are root, its time is 0.

    Attributes:
        name: As the kernel joins it to the root: no slash in front.
        mode: Kind and permissions, as in ``st_mode``.
        data: What a regular file holds.
        device: Major and minor number of a device.
    """

    name: bytes
    mode: int = REGULAR
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def newc_archive(members: Iterable[NewcMember]) -> bytes:
    """An archive with ``members`` in this order (a folder before what is in it) and its trailer."""
    pieces = []
    for inode, member in enumerate(members, 1):
        pieces.append(member_head(member.name, len(member.data), inode, member.mode, member.device))
        pieces.append(member.data.ljust(align_up(len(member.data), CPIO_ALIGNMENT), b"\0"))
    return b"".join((*pieces, trailer_head()))


def member_head(name: bytes, size: int, inode: int, mode: int = REGULAR, device: tuple[int, int] = (0, 0)) -> bytes:
    """A member's header and name, padded to where its ``size`` bytes of data begin."""
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (inode, mode, 0, 0, links, 0, size, 0, 0, *device, len(name) + 1, 0)
    head = CPIO_NEWC_MAGIC + b"".join(b"%08X" % field for field in fields) + name + b"\0"
    return head.ljust(align_up(CPIO_HEADER_SIZE + len(name) + 1, CPIO_ALIGNMENT), b"\0")


def trailer_head() -> bytes:
    """The member that ends an archive."""
    return member_head(CPIO_TRAILER, 0, 0, mode=0)
