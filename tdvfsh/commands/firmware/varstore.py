"""The file that ``dmpstore -s`` writes and ``-l`` reads.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/DmpStore.c.
"""

from __future__ import annotations

import struct
import zlib

from tdvfsh.dxe.variables import Variable
from tdvfsh.uefi.guids import Guid


def pack(variables: list[Variable]) -> bytes:
    """The file of ``dmpstore -s``."""
    pieces: list[bytes] = []
    for variable in variables:
        name = (variable.name + "\0").encode("utf-16-le", "surrogatepass")
        record = struct.pack("<II", len(name), len(variable.data)) + name + variable.vendor.bytes_le
        record += struct.pack("<I", variable.attributes) + variable.data
        pieces.append(record + struct.pack("<I", zlib.crc32(record)))
    return b"".join(pieces)


def unpack(data: bytes) -> list[Variable] | None:
    """The variables of such a file, None where it is not of that form or damaged."""
    found: list[Variable] = []
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            return None
        name_size, data_size = struct.unpack_from("<II", data, at)
        end = at + 8 + name_size + 20 + data_size
        if name_size < 2 or name_size % 2 or end + 4 > len(data):
            return None
        if struct.unpack_from("<I", data, end)[0] != zlib.crc32(data[at:end]):
            return None
        start = at + 8
        name = data[start : start + name_size].decode("utf-16-le", "replace").rstrip("\0")
        start += name_size
        attributes = struct.unpack_from("<I", data, start + 16)[0]
        vendor = Guid(bytes_le=data[start : start + 16])
        found.append(Variable(name, vendor, attributes, data[start + 20 : end]))
        at = end + 4
    return found
