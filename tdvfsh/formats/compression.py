"""One table from magic bytes to a streaming decompressor, for initrds and kernel payloads.

Every decompressor is a generator over a bounded source: it yields (input position, output piece) and returns the offset
just past its stream. Output pieces are at most a few MiB, so memory stays flat whatever the stream unpacks to.

Source: Linux lib/decompress.c (which formats, by which magic) and lib/decompress_*.c (the LZO and LZ4 limits);
RFC 8878 (Zstandard frames); lzop 1.04 lzop.c (container); lz4 doc/lz4_Frame_format.md (legacy frame).
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import CHUNK_SIZE, ByteSource
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.units import GIB, MIB, human_size

Unpacking = Generator[tuple[int, bytes], None, int]

LZMA_MEMORY_LIMIT: Final = 160 * MIB  # xz -9 wants 65 MiB; a header can ask for 4 GiB
ZSTD_WINDOW_LIMIT: Final = 128 * MIB  # ZSTD_WINDOWSIZE_MAX of the kernel
LZ4_LEGACY_MAGIC: Final = 0x184C2102
LZ4_LEGACY_BLOCK_SIZE: Final = 8 * MIB
LZ4_LEGACY_PACKED_LIMIT: Final = LZ4_LEGACY_BLOCK_SIZE + LZ4_LEGACY_BLOCK_SIZE // 255 + 16
LZO_BLOCK_SIZE: Final = 256 * 1024
LZOP_MAGIC: Final = b"\x89LZO\x00\r\n\x1a\n"
_LZOP_HAS_EXTRA_FIELD: Final = 0x40
_LZOP_HAS_FILTER: Final = 0x800
_LZOP_UNPACKED_SUMS: Final = (0x1, 0x100)  # Adler-32 and CRC-32 of the unpacked block
_LZOP_PACKED_SUMS: Final = (0x2, 0x200)


@dataclass(frozen=True, slots=True)
class Codec:
    """A compression: its name, how its streams begin, and how to unpack one that begins at an offset."""

    name: str
    magic: bytes
    unpack: Callable[[ByteSource, int], Unpacking]


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """Limits beyond which a file counts as a decompression bomb.

    Attributes:
        absolute: Bytes that nothing may unpack to, or None for no limit.
        ratio: Unpacked bytes for each packed one that are too many, once ``ratio_from`` bytes have come out; None: any.
        ratio_from: Bytes below which the ratio does not matter.
    """

    absolute: int | None = 16 * GIB
    ratio: int | None = 1000
    ratio_from: int = GIB

    def check(self, path: str, offset: int, packed: int, unpacked: int) -> None:
        """Raises FormatError where the stream at ``offset`` is a bomb."""
        if self.absolute is not None and unpacked > self.absolute:
            raise FormatError(path, f"unpacks to more than {human_size(self.absolute)}, the limit", offset)
        if self.ratio is not None and unpacked > self.ratio_from and unpacked > self.ratio * max(packed, 1):
            raise FormatError(path, f"unpacks to more than {self.ratio} times its size, the limit", offset)


NO_LIMITS: Final = UnpackLimits(absolute=None, ratio=None)


class _Decompressor(Protocol):
    """The shape that bz2, lzma and lz4.frame share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _Gzip:
    """zlib's decompressor in that shape."""

    def __init__(self) -> None:
        import zlib

        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = CHUNK_SIZE) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


def _damaged(source: ByteSource, name: str, offset: int, error: Exception) -> FormatError:
    why = " ".join(str(error).split()) or type(error).__name__
    return FormatError(source.path, f"damaged {name} stream ({why})", offset)


def _stream(name: str, make: Callable[[], _Decompressor]) -> Callable[[ByteSource, int], Unpacking]:
    def unpack(source: ByteSource, offset: int) -> Unpacking:
        from lzma import LZMAError
        from zlib import error as ZlibError

        decompressor = make()
        position = offset
        while not decompressor.eof:
            data = b""
            if decompressor.needs_input:
                data = source.peek(position, CHUNK_SIZE)
                if not data:
                    raise FormatError(source.path, f"the {name} stream ends early", offset)
                position += len(data)
            try:
                output = decompressor.decompress(data, CHUNK_SIZE)
            except (ZlibError, OSError, LZMAError, RuntimeError, ValueError) as error:
                raise _damaged(source, name, offset, error) from None
            yield position, output
        return position - len(decompressor.unused_data or b"")

    return unpack


def _bzip2() -> _Decompressor:
    from bz2 import BZ2Decompressor

    return BZ2Decompressor()


def _xz() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=LZMA_MEMORY_LIMIT)


def _lzma() -> _Decompressor:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=LZMA_MEMORY_LIMIT)


def _lz4_frame() -> _Decompressor:
    from lz4.frame import LZ4FrameDecompressor

    decompressor: _Decompressor = LZ4FrameDecompressor()
    return decompressor


def _unpack_lz4_legacy(source: ByteSource, offset: int) -> Unpacking:
    """Blocks of up to 8 MiB, each after its packed size, until the next word is not a size."""
    from lz4.block import LZ4BlockError, decompress

    position = offset + 4
    while True:
        header = source.peek(position, 4)
        size = int.from_bytes(header, "little")
        if len(header) < 4 or size == 0 or size > LZ4_LEGACY_PACKED_LIMIT:
            return position
        data = source.read(position + 4, size, "an lz4 block")
        try:
            output = decompress(data, uncompressed_size=LZ4_LEGACY_BLOCK_SIZE)
        except (LZ4BlockError, ValueError) as error:
            raise _damaged(source, "lz4", position, error) from None
        position += 4 + size
        yield position, output


def _unpack_lzo(source: ByteSource, offset: int) -> Unpacking:
    """The lzop container: a header with checksum, then blocks of up to 256 KiB (what the kernel takes)."""
    from lzallright import LZOCompressor, LZOError

    unpack_block: Callable[..., bytes] = LZOCompressor.decompress
    position, unpacked_sums, packed_sums = _lzop_header(source, offset)
    while True:
        unpacked_size = int.from_bytes(source.read(position, 4, "an lzo block header"), "big")
        position += 4
        if unpacked_size == 0:
            return position
        packed_size = int.from_bytes(source.read(position, 4, "an lzo block header"), "big")
        if unpacked_size > LZO_BLOCK_SIZE or not 0 < packed_size <= unpacked_size:
            raise FormatError(source.path, f"lzo block of {packed_size} for {unpacked_size} bytes", position)
        position += 4 + 4 * unpacked_sums + (4 * packed_sums if packed_size < unpacked_size else 0)
        data = source.read(position, packed_size, "an lzo block")
        position += packed_size
        if packed_size < unpacked_size:
            try:
                data = unpack_block(data, unpacked_size)
            except (LZOError, ValueError) as error:
                raise _damaged(source, "lzo", position, error) from None
            if len(data) != unpacked_size:
                raise FormatError(source.path, f"lzo block unpacks to {len(data)}, not {unpacked_size} bytes", position)
        yield position, data


def _lzop_header(source: ByteSource, offset: int) -> tuple[int, int, int]:
    """(offset of the first block, checksums per unpacked block, checksums per packed block)."""
    position = offset + len(LZOP_MAGIC)
    version = int.from_bytes(source.read(position, 2, "the lzop header"), "big")
    position += 4 + (2 if version >= 0x940 else 0) + 1 + (1 if version >= 0x940 else 0)  # versions, method, level
    flags = int.from_bytes(source.read(position, 4, "the lzop header"), "big")
    position += 4 + (4 if flags & _LZOP_HAS_FILTER else 0) + 4 + 4 + (4 if version >= 0x940 else 0)  # mode, times
    name_size = source.read(position, 1, "the lzop header")[0]
    position += 1 + name_size + 4  # the name and the header's checksum
    if flags & _LZOP_HAS_EXTRA_FIELD:
        position += 4 + int.from_bytes(source.read(position, 4, "the lzop header"), "big") + 4
    return (
        position,
        sum(bool(flags & flag) for flag in _LZOP_UNPACKED_SUMS),
        sum(bool(flags & flag) for flag in _LZOP_PACKED_SUMS),
    )


def zstd_frame_end(source: ByteSource, offset: int) -> int:
    """Offset past the frame at ``offset``, by its block headers alone.

    Raises:
        FormatError: The frame is cut short or has a reserved block.
    """
    descriptor = source.read(offset + 4, 1, "the zstd frame header")[0]
    single_segment = descriptor >> 5 & 1
    content_size_bytes = (single_segment, 2, 4, 8)[descriptor >> 6]
    position = offset + 5 + (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size_bytes
    last = False
    while not last:
        header = int.from_bytes(source.read(position, 3, "a zstd block header"), "little")
        last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        if kind == 3:
            raise FormatError(source.path, "damaged zstd stream (a block of the reserved type)", position)
        position += 3 + (1 if kind == 1 else size)
        if position > source.size:
            raise FormatError(source.path, "the zstd stream ends early", offset)
    position += 4 if descriptor & 4 else 0
    if position > source.size:
        raise FormatError(source.path, "the zstd stream ends early", offset)
    return position


class _Window:
    """File-like reading of a part of a source."""

    def __init__(self, source: ByteSource, offset: int, end: int) -> None:
        self._source = source
        self.position = offset
        self._end = end

    def read(self, size: int = -1) -> bytes:
        left = self._end - self.position
        data = self._source.peek(self.position, left if size < 0 else min(size, left))
        self.position += len(data)
        return data


def _unpack_zstd(source: ByteSource, offset: int) -> Unpacking:
    # The frame is walked first: zstandard's own readers do not tell where in their input a frame ended, and its
    # decompressobj has no limit on what one call returns.
    from zstandard import ZstdDecompressor, ZstdError

    end = zstd_frame_end(source, offset)
    window = _Window(source, offset, end)
    reader = ZstdDecompressor(max_window_size=ZSTD_WINDOW_LIMIT).stream_reader(window, read_size=CHUNK_SIZE)  # type: ignore[arg-type]
    while True:
        try:
            output = reader.read(CHUNK_SIZE)
        except (ZstdError, MemoryError) as error:
            raise _damaged(source, "zstd", offset, error) from None
        if not output:
            return end
        yield window.position, output


CODECS: Final = (
    Codec("gzip", b"\x1f\x8b\x08", _stream("gzip", _Gzip)),
    Codec("bzip2", b"BZh", _stream("bzip2", _bzip2)),
    Codec("lzma", b"\x5d\x00\x00", _stream("lzma", _lzma)),
    Codec("xz", b"\xfd7zXZ\x00", _stream("xz", _xz)),
    Codec("lzo", LZOP_MAGIC, _unpack_lzo),
    Codec("lz4", LZ4_LEGACY_MAGIC.to_bytes(4, "little"), _unpack_lz4_legacy),
    Codec("lz4", b"\x04\x22\x4d\x18", _stream("lz4", _lz4_frame)),
    Codec("zstd", b"\x28\xb5\x2f\xfd", _unpack_zstd),
)
"""In the order of the kernel's own table; its magics are two bytes long, these are as long as the formats allow."""

MAGIC_SIZE: Final = max(len(codec.magic) for codec in CODECS)


def codec_at(source: ByteSource, offset: int) -> Codec | None:
    """The compression whose stream begins at ``offset``, if any."""
    head = source.peek(offset, MAGIC_SIZE)
    return next((codec for codec in CODECS if head.startswith(codec.magic)), None)


def unpack_head(source: ByteSource, offset: int, codec: Codec, size: int) -> bytes:
    """The first ``size`` unpacked bytes (fewer where the stream ends before).

    Raises:
        FormatError: The stream is damaged within them.
    """
    head = b""
    stream = codec.unpack(source, offset)
    for _, output in stream:
        head += output[: size - len(head)]
        if len(head) >= size:
            break
    stream.close()
    return head


def measure(
    source: ByteSource,
    offset: int,
    codec: Codec,
    limits: UnpackLimits,
    progress: Callable[[int], None] | None = None,
    head_size: int = 0,
) -> tuple[int, int, bytes]:
    """Unpack a stream without keeping it.

    Args:
        source: The file.
        offset: Where the stream begins.
        codec: Its compression.
        limits: When to call it a bomb.
        progress: Progress callback: the input position.
        head_size: Bytes of the beginning to return.

    Returns:
        (offset past the stream, unpacked bytes, the first ``head_size`` of them).

    Raises:
        FormatError: The stream is damaged, cut short, or a bomb.
    """
    unpacked, head = 0, b""
    stream = codec.unpack(source, offset)
    while True:
        try:
            position, output = next(stream)
        except StopIteration as stop:
            end: int = stop.value
            return end, unpacked, head
        if len(head) < head_size:
            head += output[: head_size - len(head)]
        unpacked += len(output)
        limits.check(source.path, offset, position - offset, unpacked)
        if progress is not None:
            progress(position)
