"""Compressed containers around data that is not compressed: a file of any size in no time, mostly holes.

Each format has blocks that hold their bytes as they are. A container of exactly ``size`` bytes is planned first
(:func:`plan_stored`), then its pieces are laid around the content's (:func:`lay_out`).

Source: RFC 1951 3.2.4 and RFC 1952 (gzip); RFC 8878 3.1.1 (Zstandard); The .xz File Format 1.1.0 with LZMA2's
uncompressed chunks; lzop 1.04; lz4_Block_format.md ("End of block restrictions"), lz4_Frame_format.md ("Legacy frame").
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from tdvfsh.errors import UsageError
from tdvfsh.formats.compression import LZ4_LEGACY_BLOCK_SIZE, LZ4_LEGACY_MAGIC, LZO_BLOCK_SIZE, LZOP_MAGIC
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

ZSTD_BLOCK_SIZE: Final = 128 * 1024
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_GZIP_BLOCK_SIZE: Final = 0xFFFF
_XZ_CHUNK_SIZE: Final = 0x10000
_ZERO_CHUNK: Final = bytes(1 << 20)

Pieces = list[tuple[int, bytes]]
"""The parts of some content that are not zero: (offset, bytes), ascending."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A plan: how the content is cut into blocks, and what stands before, between and after them.

    Attributes:
        content_size: Bytes of content that make the container as large as asked.
        blocks: Content bytes of each block.
        head: What stands before the first block.
        block_header: Given (offset in the content, size, whether it is the last), what stands before a block.
        tail: Given the CRC-32 of the content, what stands after the last block.
    """

    content_size: int
    blocks: tuple[int, ...]
    head: bytes
    block_header: Callable[[int, int, bool], bytes]
    tail: Callable[[int], bytes]


def zstd_frame_header(content_size: int) -> bytes:
    """A frame header with the content's size and a window of 128 KiB."""
    if content_size <= 0xFFFFFFFF:
        return ZSTD_MAGIC + b"\x80\x38" + content_size.to_bytes(4, "little")
    return ZSTD_MAGIC + b"\xc0\x38" + content_size.to_bytes(8, "little")


def zstd_block_header(kind: int, size: int, last: bool) -> bytes:
    """The three bytes before a block: ``kind`` 0 is raw, 1 a run of one byte."""
    return (size << 3 | kind << 1 | last).to_bytes(3, "little")


def plan_stored(compress: str, size: int) -> Stored:
    """A container of ``compress`` that is exactly ``size`` bytes long.

    Raises:
        UsageError: No such container can be that long.
    """
    return _PLANS[compress](size)


def lay_out(plan: Stored, content: Pieces) -> Iterator[tuple[int, bytes]]:
    """Where in the file what goes, given the content's non-zero pieces."""
    yield 0, plan.head
    position, start = len(plan.head), 0
    shifts: list[tuple[int, int]] = []
    for index, size in enumerate(plan.blocks):
        header = plan.block_header(start, size, index == len(plan.blocks) - 1)
        yield position, header
        position += len(header)
        shifts.append((start + size, position - start))
        position, start = position + size, start + size
    yield position, plan.tail(content_crc32(plan.content_size, content))
    block = iter(shifts)
    last, shift = next(block)
    for offset, data in content:
        while data:
            while offset >= last:
                last, shift = next(block)
            part = data[: last - offset]
            yield offset + shift, part
            offset, data = offset + len(part), data[len(part) :]


def content_crc32(size: int, content: Pieces) -> int:
    """CRC-32 of content whose other bytes are zero."""
    crc, position = 0, 0
    for offset, data in [*content, (size, b"")]:
        while position < offset:
            gap = min(offset - position, len(_ZERO_CHUNK))
            crc = zlib.crc32(_ZERO_CHUNK[:gap] if gap < len(_ZERO_CHUNK) else _ZERO_CHUNK, crc)
            position += gap
        crc = zlib.crc32(data, crc)
        position += len(data)
    return crc


def _cut(content_size: int, block_size: int, count: int) -> tuple[int, ...]:
    """``count`` blocks of at most ``block_size`` that hold ``content_size`` bytes; short ones, if any, come last."""
    blocks = []
    for left in range(count, 0, -1):
        block = min(block_size, content_size - (left - 1))  # keep a byte for each block to come
        blocks.append(block)
        content_size -= block
    return tuple(blocks)


def _fixed_overhead(name: str, size: int, around: int, header: int, block_size: int) -> tuple[int, tuple[int, ...]]:
    """Content size and blocks where each block costs ``header`` bytes and the container ``around``."""
    inner = size - around
    count = -(-inner // (header + block_size))
    content_size = inner - header * count
    if inner <= 0 or content_size < count:
        raise UsageError(f"a {name} initrd cannot be {size} bytes long")
    return content_size, _cut(content_size, block_size, count)


def _plan_gzip(size: int) -> Stored:
    content_size, blocks = _fixed_overhead("gzip", size, 18, 5, _GZIP_BLOCK_SIZE)
    return Stored(
        content_size,
        blocks,
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff",
        lambda _, block, last: struct.pack("<BHH", last, block, block ^ 0xFFFF),
        lambda crc: struct.pack("<II", crc, content_size & 0xFFFFFFFF),
    )


def _plan_zstd(size: int) -> Stored:
    head_size = len(zstd_frame_header(size))
    content_size, blocks = _fixed_overhead("zstd", size, head_size, 3, ZSTD_BLOCK_SIZE)
    head = zstd_frame_header(content_size)
    if len(head) != head_size:  # just above 4 GiB: the size needs fewer bytes than the container's
        head = ZSTD_MAGIC + b"\xc0\x38" + content_size.to_bytes(8, "little")
    return Stored(content_size, blocks, head, lambda _, block, last: zstd_block_header(0, block, last), lambda _: b"")


def _plan_lzo(size: int) -> Stored:
    fields = struct.pack(">HHHBBIIIIB", 0x1030, 0x20A0, 0x0940, 1, 5, 0x03000000, 0o100644, 0, 0, 0)
    head = LZOP_MAGIC + fields + struct.pack(">I", zlib.adler32(fields))
    content_size, blocks = _fixed_overhead("lzo", size, len(head) + 4, 8, LZO_BLOCK_SIZE)
    return Stored(content_size, blocks, head, lambda _, block, __: struct.pack(">II", block, block), lambda _: bytes(4))


def _literals_header(size: int) -> bytes:
    """LZ4's token and length bytes for a block that is one run of literals."""
    if size < 15:
        return bytes([size << 4])
    return b"\xf0" + b"\xff" * ((size - 15) // 255) + bytes([(size - 15) % 255])


def _plan_lz4(size: int) -> Stored:
    def packed(block: int) -> int:
        return 4 + len(_literals_header(block)) + block

    def header(_: int, block: int, __: bool) -> bytes:
        literals = _literals_header(block)
        return (len(literals) + block).to_bytes(4, "little") + literals

    full = packed(LZ4_LEGACY_BLOCK_SIZE)
    count, left = divmod(size - 4, full)
    blocks = [LZ4_LEGACY_BLOCK_SIZE] * count
    for small in (0, 16, 272):  # a length byte more can skip a size; a small block before it moves the gap
        rest = left - (packed(small) if small else 0)
        last = next((block for block in _around(rest) if packed(block) == rest), None)
        if left == 0 or last is not None:
            blocks += [small] * bool(left and small) + ([last] if left and last else [])
            return Stored(sum(blocks), tuple(blocks), LZ4_LEGACY_MAGIC.to_bytes(4, "little"), header, lambda _: b"")
    raise UsageError(f"an lz4 initrd cannot be {size} bytes long")


def _around(packed_size: int) -> range:
    estimate = (packed_size - 6) * 255 // 256
    return range(max(1, estimate - 4), max(1, min(LZ4_LEGACY_BLOCK_SIZE, estimate + 12)) + 1)


def _plan_xz(size: int) -> Stored:
    """One stream of one block with a CRC-32, in LZMA2 chunks that are stored."""
    if size % 4:
        raise UsageError(f"an xz initrd is a multiple of 4 bytes long, not {size}")
    flags = b"\x00\x01"
    stream_header = b"\xfd7zXZ\x00" + flags + zlib.crc32(flags).to_bytes(4, "little")
    block_fields = b"\x02\x00\x21\x01\x16\x00\x00\x00"  # 12 bytes, one filter: LZMA2 with a dictionary of 8 MiB
    block_header = block_fields + zlib.crc32(block_fields).to_bytes(4, "little")
    for content_size, count in _xz_candidates(size):
        lzma2_size = content_size + 3 * count + 1
        unpadded = len(block_header) + lzma2_size + 4
        record = _xz_number(unpadded) + _xz_number(content_size)
        index = b"\x00\x01" + record
        index += bytes(-len(index) % 4)
        index += zlib.crc32(index).to_bytes(4, "little")
        footer_fields = (len(index) // 4 - 1).to_bytes(4, "little") + flags
        footer = zlib.crc32(footer_fields).to_bytes(4, "little") + footer_fields + b"YZ"
        padding = bytes(-lzma2_size % 4)
        if 12 + len(block_header) + lzma2_size + len(padding) + 4 + len(index) + len(footer) != size:
            continue

        def tail(crc: int, padding: bytes = padding, end: bytes = index + footer) -> bytes:
            return b"\x00" + padding + crc.to_bytes(4, "little") + end

        def header(start: int, block: int, _: bool) -> bytes:
            return bytes([1 if start == 0 else 2]) + (block - 1).to_bytes(2, "big")

        return Stored(
            content_size, _cut(content_size, _XZ_CHUNK_SIZE, count), stream_header + block_header, header, tail
        )
    raise UsageError(f"an xz initrd cannot be {size} bytes long")


def _xz_candidates(size: int) -> Iterator[tuple[int, int]]:
    most = size - 12 - 12 - 1 - 4 - 12 - 12
    for content_size in range(most - 3 * -(-most // _XZ_CHUNK_SIZE) + 8, 0, -1):
        if content_size < most - 3 * -(-most // _XZ_CHUNK_SIZE) - 64:
            return
        yield content_size, -(-content_size // _XZ_CHUNK_SIZE)


def _xz_number(value: int) -> bytes:
    """The format's variable-length integer."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_PLANS: Final[dict[str, Callable[[int], Stored]]] = {
    "gzip": _plan_gzip,
    "zstd": _plan_zstd,
    "lzo": _plan_lzo,
    "lz4": _plan_lz4,
    "xz": _plan_xz,
}

STORED_FORMATS: Final = tuple(_PLANS)
