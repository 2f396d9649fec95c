"""An ELF file that has nothing but symbols: what gdb reads to know the names of code that has no file of its own.

Source: System V ABI, chapters 4 and 5 (ELF header, sections, symbol table), AMD64 supplement.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tdvfsh.formats.text import printable
from tdvfsh.lazy_typing import Final

_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_IDENT: Final = b"\x7fELF\x02\x01\x01" + bytes(9)
_SHARED_OBJECT: Final = 3
_X86_64: Final = 62
_NAMES: Final = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
_SYMBOLS_TABLE: Final = 2
_STRINGS: Final = 3
_NO_BITS: Final = 8
_ALLOCATED_CODE: Final = 6
_GLOBAL_FUNCTION: Final = 0x12


def symbol_file(symbols: Iterable[tuple[str, int]], size: int) -> bytes:
    """An ELF file with one section ``.text`` from 0 to ``size``, which is in memory only.

    Args:
        symbols: Names and offsets, in any order.
        size: Bytes of the code.
    """
    known = sorted({(offset, name) for name, offset in symbols if 0 <= offset < size})
    strings = bytearray(b"\0")
    table = bytearray(_SYMBOL.size)
    for index, (offset, name) in enumerate(known):
        following = next((each for each, _ in known[index + 1 : index + 9] if each > offset), None)
        length = min(size, offset + 0x1000 if following is None else following) - offset
        table += _SYMBOL.pack(len(strings), _GLOBAL_FUNCTION, 0, 1, offset, length)
        strings += printable(name.encode("utf-8", "replace")).replace("\0", "").encode() + b"\0"
    symbols_at = _HEADER.size
    strings_at = symbols_at + len(table)
    names_at = strings_at + len(strings)
    sections_at = -(-(names_at + len(_NAMES)) // 8) * 8
    sections = (
        bytes(_SECTION.size),
        _SECTION.pack(_NAMES.index(b".text"), _NO_BITS, _ALLOCATED_CODE, 0, symbols_at, size, 0, 0, 4096, 0),
        _SECTION.pack(_NAMES.index(b".symtab"), _SYMBOLS_TABLE, 0, 0, symbols_at, len(table), 3, 1, 8, _SYMBOL.size),
        _SECTION.pack(_NAMES.index(b".strtab"), _STRINGS, 0, 0, strings_at, len(strings), 0, 0, 1, 0),
        _SECTION.pack(_NAMES.index(b".shstrtab"), _STRINGS, 0, 0, names_at, len(_NAMES), 0, 0, 1, 0),
    )
    header = _HEADER.pack(
        _IDENT, _SHARED_OBJECT, _X86_64, 1, 0, 0, sections_at, 0, _HEADER.size, 0, 0, _SECTION.size, len(sections), 4
    )
    body = header + bytes(table) + bytes(strings) + _NAMES
    return body.ljust(sections_at, b"\0") + b"".join(sections)
