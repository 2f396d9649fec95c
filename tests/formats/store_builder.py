"""A flash image with a variable store."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tdvfsh.formats.variable_store import (
    EFI_AUTHENTICATED_VARIABLE_GUID,
    EFI_SYSTEM_NV_DATA_FV_GUID,
    StoredVariable,
)

_VOLUME_HEADER = 0x48


def build_store(variables: Iterable[tuple[StoredVariable, int]], size: int = 0x1000) -> bytes:
    """An image that begins with the volume; each variable has the state that stands beside it."""
    volume = bytearray(bytes(16) + EFI_SYSTEM_NV_DATA_FV_GUID.bytes_le)
    volume += struct.pack("<Q4sIHHHBB", size, b"_FVH", 0, _VOLUME_HEADER, 0, 0, 0, 2)
    volume += bytes(_VOLUME_HEADER - len(volume))
    store = bytearray(
        EFI_AUTHENTICATED_VARIABLE_GUID.bytes_le + struct.pack("<IBBHI", size - _VOLUME_HEADER, 0x5A, 0xFE, 0, 0)
    )
    for variable, state in variables:
        store += pack_variable(variable, state)
    image = bytes(volume + store)
    return image + b"\xff" * (size - len(image))


def pack_variable(variable: StoredVariable, state: int) -> bytes:
    """A variable as the store has it, padded."""
    name = (variable.name + "\0").encode("utf-16-le")
    packed = struct.pack(
        "<HBBIQ16sIII16s",
        0x55AA, state, 0, variable.attributes, 0, bytes(16), 0, len(name), len(variable.data),
        variable.vendor.bytes_le,
    ) + name + variable.data  # fmt: skip
    return packed + b"\xff" * (-len(packed) % 4)
