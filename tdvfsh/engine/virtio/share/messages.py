"""The messages of FUSE, as far as the device answers them.

Source: Linux include/uapi/linux/fuse.h, protocol 7.31; Virtual I/O Device (VIRTIO) 1.2, 5.11.
"""

from __future__ import annotations

import errno
import stat
import struct
from enum import IntEnum
from hashlib import blake2b

from tdvfsh.engine.virtio.share.folder import FilePath, Status, checked_name, refuse
from tdvfsh.lazy_typing import Final

MAJOR, MINOR = 7, 31
IN_HEADER: Final = struct.Struct("<IIQQIIIHH")
OUT_HEADER: Final = struct.Struct("<IiQ")
LARGEST_DATA: Final = 128 << 10
LARGEST_MESSAGE: Final = LARGEST_DATA + 4096

INIT_IN: Final = struct.Struct("<IIII")
INIT_OUT: Final = struct.Struct("<IIIIHHIIHHI28x")
ATTRIBUTES: Final = struct.Struct("<6Q10I")
ENTRY: Final = struct.Struct("<QQQQII")
ATTRIBUTES_OUT: Final = struct.Struct("<QII")
SET_ATTRIBUTES_IN: Final = struct.Struct("<IIQQQQQQIIIIIIII")
OPEN_IN: Final = struct.Struct("<II")
OPEN_OUT: Final = struct.Struct("<QII")
CREATE_IN: Final = struct.Struct("<IIII")
MAKE_NODE_IN: Final = struct.Struct("<IIII")
MAKE_FOLDER_IN: Final = struct.Struct("<II")
RENAME_IN: Final = struct.Struct("<Q")
RENAME2_IN: Final = struct.Struct("<QII")
READ_IN: Final = struct.Struct("<QQIIQII")
WRITE_IN: Final = READ_IN
WRITE_OUT: Final = struct.Struct("<II")
RELEASE_IN: Final = struct.Struct("<QIIQ")
FORGET_IN: Final = struct.Struct("<Q")
BATCH_FORGET_IN: Final = struct.Struct("<II")
FORGET_ONE: Final = struct.Struct("<QQ")
STATISTICS_OUT: Final = struct.Struct("<QQQQQIII28x")
DIRECTORY_ENTRY: Final = struct.Struct("<QQII")

VALID_MODE, VALID_OWNER, VALID_GROUP, VALID_SIZE = 1, 2, 4, 8
VALID_CHANGED, VALID_CHANGED_NOW = 1 << 5, 1 << 8
BIG_WRITES, MAX_PAGES = 1 << 5, 1 << 22
NO_REPLACE: Final = 1
BLOCK: Final = 4096
_SECOND_NS: Final = 1_000_000_000
_VALID_SECONDS: Final = 1
_PATH_BITS: Final = 48
_KIND_SHIFT: Final = 12


class Operation(IntEnum):
    """Numbers of requests."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    RENAME2 = 45
    SYNCFS = 50


OPTIONAL: Final = frozenset({21, 22, 23, 24, 31, 32, 33, 37, 39, 40, 43, 44, 46, 47, 51, 52})
"""Requests that a driver does without: extended attributes, locks, ioctl, poll, fallocate, lseek and the like."""


def fields(structure: struct.Struct, body: bytes) -> tuple[int, ...]:
    """The fixed part of a request; raises OSError where it is cut."""
    if len(body) < structure.size:
        raise refuse(errno.EINVAL)
    return structure.unpack_from(body)


def names(body: bytes, at: int, count: int) -> list[bytes]:
    """Names that follow the fixed part of a request; raises OSError for what is not a name."""
    parts = body[at:].split(b"\0")
    if len(parts) <= count:
        raise refuse(errno.EINVAL)
    return [checked_name(name) for name in parts[:count]]


def file_number(path: FilePath) -> int:
    """What a file is known by to programs: the same in every run, since it follows from its path."""
    digest = blake2b(b"/".join(path), digest_size=_PATH_BITS // 8).digest()
    return int.from_bytes(digest, "little") or 1


def attributes(path: FilePath, status: Status) -> bytes:
    """fuse_attr; root owns every file."""
    seconds, rest = divmod(max(0, status.changed_ns), _SECOND_NS)
    links = 2 if stat.S_ISDIR(status.mode) else 1
    blocks = -(-status.size // BLOCK) * (BLOCK // 512)
    times = (seconds, seconds, seconds, rest, rest, rest)
    return ATTRIBUTES.pack(file_number(path), status.size, blocks, *times, status.mode, links, 0, 0, 0, BLOCK, 0)


def attributes_reply(path: FilePath, status: Status) -> bytes:
    """fuse_attr_out."""
    return ATTRIBUTES_OUT.pack(_VALID_SECONDS, 0, 0) + attributes(path, status)


def entry_reply(number: int, path: FilePath, status: Status) -> bytes:
    """fuse_entry_out."""
    return ENTRY.pack(number, 0, _VALID_SECONDS, _VALID_SECONDS, 0, 0) + attributes(path, status)


def directory_entry(path: FilePath, name: bytes, kind: int, following: int) -> bytes:
    """fuse_dirent, padded; ``following`` is where reading goes on after it."""
    place = {b".": path, b"..": path[:-1]}.get(name, (*path, name))
    head = DIRECTORY_ENTRY.pack(file_number(place), following, len(name), kind >> _KIND_SHIFT)
    return (head + name).ljust(-(-(len(head) + len(name)) // 8) * 8, b"\0")
