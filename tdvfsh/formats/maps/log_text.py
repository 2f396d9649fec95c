"""Text of logs as users have it: packed or not, in UTF-8, UTF-16 or single bytes, with quoting around its lines.

Source: RFC 1952 (gzip), bzip2, xz and RFC 8878 (zstd), as log rotation and ``journalctl`` leave them; Unicode 15,
chapter 2.6 (byte order marks). Hyper-V's and Azure's consoles write UTF-16 without a mark.
"""

from __future__ import annotations

from tdvfsh.errors import FormatError
from tdvfsh.formats.compression import codec_at, unpack_head
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_typing import Final
from tdvfsh.units import MIB

MAX_TEXT_SIZE: Final = 64 * MIB
_PACKED: Final = ("gzip", "bzip2", "xz", "zstd")
_SAMPLE: Final = 4096
_MARKS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_LIKE_BLANKS: Final = str.maketrans("\u00a0\u2007\u202f\u200b\ufeff", "     ")
"""What browsers and chats put for blanks."""


def read_text(source: ByteSource) -> str:
    """The text of a file, unpacked where it is packed.

    Raises:
        FormatError: It is too large, packed or not, or a packed file is damaged.
    """
    if source.size > MAX_TEXT_SIZE:
        raise FormatError(source.path, f"not a text: {source.size} bytes are too many")
    codec = codec_at(source, 0) if source.size else None
    if codec is None or codec.name not in _PACKED:
        return decode_text(source.peek(0, source.size))
    data = unpack_head(source, 0, codec, MAX_TEXT_SIZE + 1)
    if len(data) > MAX_TEXT_SIZE:
        raise FormatError(source.path, f"not a text: it unpacks to more than {MAX_TEXT_SIZE} bytes")
    return decode_text(data)


def decode_text(data: bytes) -> str:
    """Text that the Shell, a terminal or a console wrote, with or without a mark; unknown bytes become characters.

    UTF-16 without a mark is recognised by its zeros: in a log most characters are ASCII.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None) or _utf16_without_mark(data)
    if encoding is None:
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    else:
        text = data.decode(encoding, "replace")
    return text if text.isascii() else text.translate(_LIKE_BLANKS)


def _utf16_without_mark(data: bytes) -> str | None:
    sample = data[:_SAMPLE]
    if len(sample) < 4:
        return None
    zeros = [sample[first::2].count(0) for first in (0, 1)]
    half = len(sample) // 2
    if zeros[1] * 2 > half and zeros[0] * 8 < half:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] * 2 > half and zeros[1] * 8 < half else None
