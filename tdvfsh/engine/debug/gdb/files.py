"""Files that gdb reads over its own connection, and the list of libraries that names them.

They are what the guest has loaded, not files of the host: a client reads nothing else.

Source: GDB manual, appendix E.7 (File-I/O of the host), E.11 (Library List Format).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from xml.sax.saxutils import quoteattr

from tdvfsh.engine.debug.gdb.symbol_file import symbol_file
from tdvfsh.lazy_typing import Final, NamedTuple

_MOST_OPEN: Final = 512  # gdb keeps a firmware's modules open, all of them
_LARGEST_READ: Final = 1 << 12
_NOT_FOUND: Final = b"F-1,2"
_BAD_NUMBER: Final = b"F-1,9"
_TOO_MANY: Final = b"F-1,18"
_REGULAR: Final = 0o100444

PROGRAM: Final = "/tdvfsh"
"""The file that gdb takes for the program: empty, but gdb reads no libraries without one."""


class Library(NamedTuple):
    """Something with symbols in the guest's memory.

    Attributes:
        name: Its name, which gdb opens.
        sections: How far each of its allocated sections has been moved, in order.
        contents: Returns the file.
    """

    name: str
    sections: tuple[int, ...]
    contents: Callable[[], bytes]


class ServedFiles:
    """The files.

    Args:
        loaded: Returns what is loaded now.
    """

    def __init__(self, loaded: Callable[[], list[Library]]) -> None:
        self._loaded = loaded
        self._open: dict[int, tuple[str, bytes]] = {}

    def libraries(self) -> bytes:
        """The list of libraries as XML."""
        rows = "".join(
            f"<library name={quoteattr(library.name)}>"
            + "".join(f'<section address="{address:#x}"/>' for address in library.sections)
            + "</library>"
            for library in self._loaded()
        )
        return f'<?xml version="1.0"?><library-list>{rows}</library-list>'.encode()

    def answer(self, request: bytes) -> bytes:
        """The answer to a vFile packet without its first word."""
        operation, _, rest = request.partition(b":")
        fields = rest.split(b",")
        try:
            if operation == b"setfs":
                return b"F0"
            if operation == b"open":
                return self._open_file(bytes.fromhex(fields[0].decode()).decode())
            if operation == b"pread":
                number, size, offset = (int(field, 16) for field in fields)
                return self._read(number, size, offset)
            if operation == b"fstat":
                return self._describe(int(fields[0], 16))
            if operation == b"close":
                return b"F0" if self._open.pop(int(fields[0], 16), None) is not None else _BAD_NUMBER
        except ValueError:
            return b"F-1,16"
        return b""

    def _open_file(self, name: str) -> bytes:
        library = next((each for each in self._loaded() if each.name == name), None)
        if name == PROGRAM:
            library = Library(PROGRAM, (), lambda: symbol_file((), 1))
        if library is None:
            return _NOT_FOUND
        if len(self._open) >= _MOST_OPEN:
            return _TOO_MANY
        number = next(number for number in range(3, 4 + _MOST_OPEN) if number not in self._open)
        again = (data for known, data in self._open.values() if known == name)
        self._open[number] = name, next(again, None) or library.contents()
        return b"F%x" % number

    def _read(self, number: int, size: int, offset: int) -> bytes:
        _, data = self._open.get(number, ("", None))
        if data is None or offset < 0:
            return _BAD_NUMBER
        part = data[offset : offset + max(0, min(size, _LARGEST_READ))]
        return b"F%x;" % len(part) + part

    def _describe(self, number: int) -> bytes:
        _, data = self._open.get(number, ("", None))
        if data is None:
            return _BAD_NUMBER
        # struct stat of the protocol: dev ino mode nlink uid gid rdev (32 bits), size blksize blocks (64), 3 times
        record = struct.pack(">7I3Q3I", 0, 0, _REGULAR, 1, 0, 0, 0, len(data), 4096, -(-len(data) // 512), 0, 0, 0)
        return b"F%x;" % len(record) + record
