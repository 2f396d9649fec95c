"""Names of functions and variables in a program database (PDB), which compilers of Microsoft's and LLVM's write.

A PDB is a file of streams, each a list of blocks. Names are in the stream of public symbols, and those of static
functions in a stream for each module of the program. Nothing else of it is read.

Source: LLVM docs/PDB (The MSF File Format, The PDB Info Stream, The DBI Stream, CodeView Symbol Records).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from uuid import UUID

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.lazy_typing import Final, NamedTuple

MAGIC: Final = b"Microsoft C/C++ MSF 7.00\r\n\x1aDS\0\0\0"
_SUPER_BLOCK: Final = struct.Struct("<32sIIIIII")
_BLOCK_SIZES: Final = frozenset(1 << power for power in range(9, 16))
_INFO: Final = struct.Struct("<III16s")
_PDB_INFO, _DBI = 1, 3
_DBI_HEADER_SIZE: Final = 64
_RECORD_STREAM: Final = 20
_MODULES_SIZE: Final = 24
_MODULE: Final = struct.Struct("<I28sHHIIIHHIII")
_RECORD: Final = struct.Struct("<HH")
_PUBLIC: Final = struct.Struct("<IIH")
_PROCEDURE: Final = struct.Struct("<IIIIIIIIHB")
_DATA: Final = struct.Struct("<IIH")
_PUBLIC_KIND: Final = 0x110E
_PROCEDURE_KINDS: Final = (0x110F, 0x1110)
_DATA_KINDS: Final = (0x110C, 0x110D)
_NO_STREAM: Final = 0xFFFF
_NO_SIZE: Final = 0xFFFFFFFF
_LARGEST_DIRECTORY: Final = 1 << 24
_LARGEST_STREAM: Final = 1 << 28
_MOST_MODULES: Final = 1 << 16
_MOST_SYMBOLS: Final = 1 << 20
_LONGEST: Final = 512


class PdbSymbol(NamedTuple):
    """A symbol: its name, the number of its section in the program from 1, and its offset there."""

    name: str
    section: int
    offset: int


class ProgramDatabase:
    """A PDB.

    Args:
        source: The file.

    Attributes:
        guid: Names the build of the program that it belongs to, as the program's CodeView entry does.
        age: How often it was written since.

    Raises:
        FormatError: It is not a PDB.
    """

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        head = source.peek(0, _SUPER_BLOCK.size)
        if len(head) < _SUPER_BLOCK.size or not head.startswith(MAGIC):
            raise FormatError(source.path, "not a program database (PDB)")
        _, self._block_size, _, self._blocks, directory_size, _, map_block = _SUPER_BLOCK.unpack(head)
        if self._block_size not in _BLOCK_SIZES:
            raise FormatError(source.path, f"a PDB with blocks of {self._block_size} bytes")
        if directory_size > _LARGEST_DIRECTORY:
            raise FormatError(source.path, f"a PDB with {directory_size} bytes of directory")
        count = -(-directory_size // self._block_size)
        blocks = self._words(source.peek(map_block * self._block_size, 4 * count))
        self._streams = list(self._stream_blocks(self._joined(blocks, directory_size)))
        info = self._stream(_PDB_INFO)
        if len(info) < _INFO.size:
            raise FormatError(source.path, "a PDB without its own description")
        _, _, self.age, guid = _INFO.unpack_from(info)
        self.guid = UUID(bytes_le=guid)

    @staticmethod
    def _words(data: bytes) -> tuple[int, ...]:
        count = len(data) // 4
        return struct.unpack_from(f"<{count}I", data)

    def _joined(self, blocks: tuple[int, ...], size: int) -> bytes:
        """The bytes of a list of blocks, as far as the file has them."""
        size = min(size, self._source.size, _LARGEST_STREAM)
        parts: list[bytes] = []
        for block in blocks[: -(-size // self._block_size)]:
            parts.append(self._source.peek(block * self._block_size, self._block_size))
        return b"".join(parts)[:size]

    def _stream_blocks(self, directory: bytes) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Size and blocks of each stream."""
        words = self._words(directory)
        count = words[0] if words else 0
        sizes = words[1 : 1 + count]
        at = 1 + count
        for size in sizes:
            length = 0 if size == _NO_SIZE else -(-size // self._block_size)
            yield (0 if size == _NO_SIZE else size), words[at : at + length]
            at += length

    def _stream(self, number: int) -> bytes:
        if number >= len(self._streams):
            return b""
        size, blocks = self._streams[number]
        return self._joined(blocks, size)

    # ---- symbols ------------------------------------------------------------------------------------------------

    def symbols(self) -> list[PdbSymbol]:
        """All symbols, the modules' own functions and variables after the public ones; damage ends a stream."""
        dbi = self._stream(_DBI)
        if len(dbi) < _DBI_HEADER_SIZE:
            return []
        (records,) = struct.unpack_from("<H", dbi, _RECORD_STREAM)
        (modules_size,) = struct.unpack_from("<i", dbi, _MODULES_SIZE)
        found = dict.fromkeys(_records(self._stream(records)))
        modules = dbi[_DBI_HEADER_SIZE : _DBI_HEADER_SIZE + max(0, modules_size)]
        for stream, size in _modules(modules):
            if len(found) >= _MOST_SYMBOLS:
                break
            found.update(dict.fromkeys(_records(self._stream(stream)[4:size])))
        return list(found)[:_MOST_SYMBOLS]


def _modules(data: bytes) -> Iterator[tuple[int, int]]:
    """Stream of each module's symbols, and their size."""
    at = 0
    for _ in range(_MOST_MODULES):
        if at + _MODULE.size > len(data):
            return
        fields = _MODULE.unpack_from(data, at)
        if fields[3] != _NO_STREAM:
            yield fields[3], fields[4]
        at += _MODULE.size
        for _ in range(2):  # its name, and that of its object file
            end = data.find(b"\0", at)
            if end < 0:
                return
            at = end + 1
        at = -(-at // 4) * 4


def _records(data: bytes) -> Iterator[PdbSymbol]:
    """Symbols among CodeView records."""
    at = 0
    while at + _RECORD.size <= len(data):
        length, kind = _RECORD.unpack_from(data, at)
        end = at + 2 + length
        if length < 2 or end > len(data):
            return
        body = at + _RECORD.size
        form = _PUBLIC if kind == _PUBLIC_KIND else _PROCEDURE if kind in _PROCEDURE_KINDS else None
        form = _DATA if kind in _DATA_KINDS else form
        if form is not None and body + form.size <= end:
            fields = form.unpack_from(data, body)
            section, offset = (fields[8], fields[7]) if form is _PROCEDURE else (fields[2], fields[1])
            name = data[body + form.size : min(end, body + form.size + _LONGEST)].split(b"\0")[0]
            if name and section:
                yield PdbSymbol(name.decode("utf-8", "replace"), section, offset)
        at = end
