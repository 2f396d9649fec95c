"""Headers that are declared with ``construct``, read in one go.

Interpreting a declaration costs two microseconds a field. A header of plain numbers has a fixed form, so that form is
taken from the declaration once and all fields are read by one ``struct`` call.
"""

from __future__ import annotations

import struct
from functools import cache
from types import SimpleNamespace
from typing import Any

from construct import FormatField, Renamed
from construct import Struct as Declaration


def read_record(declaration: Declaration, data: bytes, offset: int = 0) -> Any:
    """The fields of a header at ``offset``, as attributes.

    Args:
        declaration: A ``Struct`` of integers of one byte order, and padding.
        data: Bytes that hold all of it.

    Raises:
        struct.error: They do not.
    """
    names, form = _form_of(declaration)
    return SimpleNamespace(**dict(zip(names, form.unpack_from(data, offset), strict=True)))


@cache
def _form_of(declaration: Declaration) -> tuple[tuple[str, ...], struct.Struct]:
    names: list[str] = []
    codes = "<"
    for field in declaration.subcons:
        number = field.subcon if isinstance(field, Renamed) else field
        if isinstance(number, FormatField):
            assert str(number.fmtstr)[0] in "<=", "little endian, or a single byte"
            names.append(str(field.name))
            codes += str(number.fmtstr)[1:]
        else:
            codes += f"{number.sizeof()}x"
    form = struct.Struct(codes)
    assert form.size == declaration.sizeof()
    return tuple(names), form
