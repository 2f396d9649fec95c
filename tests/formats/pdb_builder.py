"""Program databases, and programs that name theirs."""

from __future__ import annotations

import struct
from uuid import UUID

from tdvfsh.formats.symbols.pdb import MAGIC

GUID = UUID("0b355641-86a0-a249-896f-9988fae52ff0")
_BLOCK = 512
_DIRECTORIES = 64 + 4 + 20 + 112


def public(name: str, section: int, offset: int) -> bytes:
    """A public symbol."""
    return _record(0x110E, struct.pack("<IIH", 2, offset, section) + name.encode() + b"\0")


def static(name: str, section: int, offset: int) -> bytes:
    """A function of a module's own."""
    return _record(0x110F, struct.pack("<IIIIIIIIHB", 0, 0, 0, 16, 0, 0, 0, offset, section, 0) + name.encode() + b"\0")


def _record(kind: int, body: bytes) -> bytes:
    body += bytes(-(len(body) + 4) % 4)
    return struct.pack("<HH", len(body) + 2, kind) + body


def build_pdb(publics: bytes = b"", statics: bytes = b"", guid: UUID = GUID) -> bytes:
    """A PDB with these records."""
    module = (
        struct.pack("<I28sHHIIIHHIII", 0, bytes(28), 0, 6, 4 + len(statics), 0, 0, 0, 0, 0, 0, 0) + b"a.obj\0a.obj\0"
    )
    module += bytes(-len(module) % 4)
    dbi = struct.pack("<iIIHHHHHHi", -1, 19990903, 1, 0xFFFF, 0, 0xFFFF, 0, 5, 0, len(module)).ljust(64, b"\0") + module
    info = struct.pack("<III16s", 20000404, 1, 1, guid.bytes_le)
    streams = [b"", info, b"", dbi, b"", publics, struct.pack("<I", 4) + statics]
    blocks: list[bytes] = [b"", bytes(_BLOCK), bytes(_BLOCK)]
    places = []
    for stream in streams:
        first = len(blocks)
        blocks += [stream[at : at + _BLOCK].ljust(_BLOCK, b"\0") for at in range(0, len(stream), _BLOCK)]
        places.append(range(first, len(blocks)))
    words = [len(streams), *(len(stream) for stream in streams), *(block for place in places for block in place)]
    directory = struct.pack(f"<{len(words)}I", *words)
    first = len(blocks)
    blocks += [directory[at : at + _BLOCK].ljust(_BLOCK, b"\0") for at in range(0, len(directory), _BLOCK)]
    listed = range(first, len(blocks))
    blocks.append(struct.pack(f"<{len(listed)}I", *listed).ljust(_BLOCK, b"\0"))
    head = struct.pack("<32sIIIIII", MAGIC, _BLOCK, 1, len(blocks), len(directory), 0, len(blocks) - 1)
    blocks[0] = head.ljust(_BLOCK, b"\0")
    return b"".join(blocks)


def with_codeview(image: bytes, name: str, guid: UUID = GUID) -> bytes:
    """A program of one section, whose CodeView entry names a PDB."""
    data = bytearray(image)
    start = len(data)
    record = b"RSDS" + guid.bytes_le + struct.pack("<I", 1) + name.encode() + b"\0"
    address = 0x1000 + start - 0x200
    entry = struct.pack("<IIHHIIII", 0, 0, 0, 0, 2, len(record), address + 28, start + 28)
    added = entry + record
    added += bytes(-len(added) % 0x200)
    data += added
    struct.pack_into("<II", data, _DIRECTORIES + 8 * 6, address, 28)
    header = _DIRECTORIES + 128
    for field in (8, 16):  # the section's size in memory, and in the file
        (size,) = struct.unpack_from("<I", data, header + field)
        struct.pack_into("<I", data, header + field, max(size, start - 0x200) + len(added))
    return bytes(data)
