"""UEFI variables in memory, and the file that ``dmpstore -s`` writes and ``-l`` reads.

Source: UEFI 2.10 section 8.2; edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/DmpStore.c (the file's form).
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from tdvfsh.uefi.status import EfiStatus

GLOBAL_VARIABLE = "8BE4DF61-93CA-11D2-AA0D-00E098032B8C"
NON_VOLATILE = 1
BOOTSERVICE_ACCESS = 2
RUNTIME_ACCESS = 4
_STORE_SIZE = 1 << 18  # bytes of names and data; OVMF's store is about as large
_ATTRIBUTES = ((NON_VOLATILE, "NV"), (RUNTIME_ACCESS, "RT"), (BOOTSERVICE_ACCESS, "BS"))


class Variable(NamedTuple):
    """One variable."""

    guid: str
    name: str
    attributes: int
    data: bytes


def guid_bytes(guid: str) -> bytes:
    """A GUID in registry form as it stands in memory: the first three fields little-endian."""
    first, second, third, fourth, fifth = guid.split("-")
    head = struct.pack("<IHH", int(first, 16), int(second, 16), int(third, 16))
    return head + bytes.fromhex(fourth + fifth)


def guid_text(data: bytes) -> str:
    """A GUID in memory as text in capitals."""
    first, second, third = struct.unpack_from("<IHH", data)
    rest = data[8:16].hex().upper()
    return f"{first:08X}-{second:04X}-{third:04X}-{rest[:4]}-{rest[4:]}"


def attribute_text(attributes: int) -> str:
    """``NV+RT+BS``."""
    return "+".join(text for bit, text in _ATTRIBUTES if attributes & bit)


class VariableStore:
    """The variables, in order of GUID and name."""

    def __init__(self) -> None:
        self._variables: dict[tuple[str, str], Variable] = {}

    def copy(self) -> VariableStore:
        """An independent copy."""
        twin = VariableStore()
        twin._variables = self._variables.copy()
        return twin

    def get(self, guid: str, name: str) -> Variable | None:
        """One variable."""
        return self._variables.get((guid.upper(), name))

    def all(self) -> list[Variable]:
        """Every variable."""
        return [self._variables[key] for key in sorted(self._variables)]

    def set(self, variable: Variable) -> EfiStatus:
        """Set a variable, or delete it where it has no data, with SetVariable()'s statuses."""
        key = (variable.guid.upper(), variable.name)
        if not variable.name:
            return EfiStatus.EFI_INVALID_PARAMETER
        if variable.attributes & RUNTIME_ACCESS and not variable.attributes & BOOTSERVICE_ACCESS:
            return EfiStatus.EFI_INVALID_PARAMETER
        if not variable.data or not variable.attributes & (BOOTSERVICE_ACCESS | RUNTIME_ACCESS):
            return EfiStatus.EFI_SUCCESS if self._variables.pop(key, None) is not None else EfiStatus.EFI_NOT_FOUND
        known = self._variables.get(key)
        if known is not None and known.attributes != variable.attributes:
            return EfiStatus.EFI_INVALID_PARAMETER
        used = sum(len(one.name) * 2 + len(one.data) for one in self._variables.values())
        if used + len(variable.name) * 2 + len(variable.data) > _STORE_SIZE:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        self._variables[key] = variable._replace(guid=key[0])
        return EfiStatus.EFI_SUCCESS


def pack(variables: list[Variable]) -> bytes:
    """The file of ``dmpstore -s``."""
    pieces: list[bytes] = []
    for variable in variables:
        name = (variable.name + "\0").encode("utf-16-le")
        record = struct.pack("<II", len(name), len(variable.data)) + name + guid_bytes(variable.guid)
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
        found.append(Variable(guid_text(data[start : start + 16]), name, attributes, data[start + 20 : end]))
        at = end + 4
    return found
