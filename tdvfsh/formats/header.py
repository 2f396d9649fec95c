"""Packed little-endian headers, declared once and then read and written by ``struct``.

``construct`` held these declarations before. All are plain numbers, which ``struct`` reads forty times as fast, and to
import it took a tenth of a whole boot; the tests still hold each declaration against it.
"""

from __future__ import annotations

import struct
from types import SimpleNamespace

from tdvfsh.lazy_typing import Any, Final

U8: Final = "B"
U16: Final = "H"
U32: Final = "I"
U64: Final = "Q"


def octets(size: int) -> str:
    """A field of ``size`` plain bytes."""
    return f"{size}s"


def padding(size: int) -> str:
    """A field of ``size`` bytes that is not read, and written as zeros."""
    return f"{size}x"


class Header:
    """Declaration of a header: its fields in order, each with what it holds.

    >>> point = Header(x=U16, unused=padding(2), y=U32)
    >>> point.build(x=1, y=2).hex()
    '0100000002000000'
    >>> point.read(bytes(8)).y
    0
    """

    __slots__ = ("_form", "names", "size")

    def __init__(self, **fields: str) -> None:
        self._form = struct.Struct("<" + "".join(fields.values()))
        self.names = tuple(name for name, form in fields.items() if form[-1] != "x")
        self.size = self._form.size

    def read(self, data: bytes | bytearray | memoryview, offset: int = 0) -> Any:
        """The fields at ``offset``, as attributes.

        Raises:
            struct.error: ``data`` does not hold all of them.
        """
        return SimpleNamespace(**dict(zip(self.names, self._form.unpack_from(data, offset), strict=True)))

    def build(self, **values: int | bytes) -> bytes:
        """The header with these values; numbers that are left out are 0.

        Raises:
            TypeError: A value for a field that is not declared.
            struct.error: A value that its field cannot hold.
        """
        if not values.keys() <= set(self.names):
            raise TypeError(f"no such fields: {', '.join(sorted(values.keys() - set(self.names)))}")
        return self._form.pack(*(values.get(name, 0) for name in self.names))
