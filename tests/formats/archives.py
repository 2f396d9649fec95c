"""Archives as real tools make them, for tests: cpio members, and each compression."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable

import lz4.block
import lz4.frame
import zstandard
from lzallright import LZOCompressor

from tdvfsh.formats.bootconfig import BOOTCONFIG_TRAILER


def member(name: bytes, data: bytes = b"", magic: bytes = b"070701") -> bytes:
    """A cpio member, padded."""
    fields = (1, 0o100644, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = magic + b"".join(b"%08X" % field for field in fields) + name + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


TRAILER = member(b"TRAILER!!!")


def cpio(**files: bytes) -> bytes:
    """An archive with its trailer."""
    return b"".join(member(name.encode(), data) for name, data in files.items()) + TRAILER


def bootconfig(data: bytes, checksum: int | None = None, size: int | None = None) -> bytes:
    """Data and trailer of a boot configuration."""
    total = sum(data) if checksum is None else checksum
    return data + BOOTCONFIG_TRAILER.pack(len(data) if size is None else size, total, b"#BOOTCONFIG\n")


def lz4_legacy(data: bytes) -> bytes:
    """What ``lz4 -l`` writes."""
    blocks = (data[at : at + (8 << 20)] for at in range(0, len(data), 8 << 20))
    packed = (lz4.block.compress(block, store_size=False) for block in blocks)
    return b"\x02\x21\x4c\x18" + b"".join(len(block).to_bytes(4, "little") + block for block in packed)


def lzop(data: bytes, flags: int = 0x101) -> bytes:
    """What ``lzop`` writes: Adler-32 of packed and unpacked blocks (flags 1 and 2), CRC-32 (0x100 and 0x200)."""
    fields = struct.pack(">HHHBBIIIIB", 0x1030, 0x20A0, 0x0940, 1, 5, flags, 0o644, 0, 0, 4) + b"name"
    out = b"\x89LZO\0\r\n\x1a\n" + fields + zlib.adler32(fields).to_bytes(4, "big")
    for at in range(0, len(data), 256 * 1024):
        block = data[at : at + 256 * 1024]
        packed = bytes(LZOCompressor().compress(block))
        sums = b"s" * 4 * sum(bool(flags & flag) for flag in (0x1, 0x100))
        if len(packed) < len(block):
            sums += b"p" * 4 * sum(bool(flags & flag) for flag in (0x2, 0x200))
        else:
            packed = block
        out += struct.pack(">II", len(block), len(packed)) + sums + packed
    return out + bytes(4)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "bzip2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "xz": lambda data: lzma.compress(data, check=lzma.CHECK_CRC32),
    "lzo": lzop,
    "lz4": lz4_legacy,
    "lz4 frame": lz4.frame.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}
