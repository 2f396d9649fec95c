"""UEFI variables in a flash image: edk2's variable store, as a firmware file with enrolled keys carries it.

Source: edk2 MdeModulePkg/Include/Guid/VariableFormat.h (VARIABLE_STORE_HEADER, AUTHENTICATED_VARIABLE_HEADER) and
MdeModulePkg/Include/Guid/SystemNvDataGuid.h; PI 1.8 volume 3, EFI_FIRMWARE_VOLUME_HEADER.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid
from tdvfsh.units import align_up

EFI_SYSTEM_NV_DATA_FV_GUID: Final = Guid("fff12b8d-7696-4c8b-a985-2747075b4f50")
EFI_AUTHENTICATED_VARIABLE_GUID: Final = Guid("aaf32c78-947b-439a-a180-2e144ec37792")
_VOLUME_GUID_OFFSET: Final = 16
_VOLUME_HEADER_LENGTH: Final = struct.Struct("<H")
_VOLUME_HEADER_LENGTH_OFFSET: Final = 48
_STORE_HEADER: Final = struct.Struct("<16sIBB2x4x")  # signature, size, format, state
_VARIABLE_HEADER: Final = struct.Struct("<HBxIQ16sIII16s")
"""StartId, State, Attributes, MonotonicCount, TimeStamp, PubKeyIndex, NameSize, DataSize, VendorGuid."""
_FORMATTED: Final = 0x5A
_HEALTHY: Final = 0xFE
_VARIABLE_DATA: Final = 0x55AA
_ADDED: Final = frozenset({0x3F, 0x3E})
"""VAR_ADDED, and the same while it is replaced: still the value in force."""
_HEADER_ALIGNMENT: Final = 4
_MOST_VARIABLES: Final = 4096


class StoredVariable(NamedTuple):
    """One variable that is in force."""

    name: str
    vendor: Guid
    attributes: int
    data: bytes


def stored_variables(view: Buffer | ByteSource, path: str) -> list[StoredVariable] | None:
    """The variables of the first variable store of a flash image; None where the image has no store.

    A store that is cut or damaged ends at the first header that is not one, as firmware reads it.
    """
    source = ByteSource(view, path)
    at = 0
    wanted = EFI_SYSTEM_NV_DATA_FV_GUID.bytes_le
    while (found := source.find(wanted, at)) >= 0:
        start = found - _VOLUME_GUID_OFFSET
        header = source.peek(start + _VOLUME_HEADER_LENGTH_OFFSET, 2) if start >= 0 else b""
        if len(header) == _VOLUME_HEADER_LENGTH.size:
            store = start + _VOLUME_HEADER_LENGTH.unpack(header)[0]
            size = _store_size(source, store)
            if size:
                return list(_variables(source, store, min(store + size, source.size)))
        at = found + len(wanted)
    return None


def _store_size(source: ByteSource, store: int) -> int:
    """Bytes of the store at an offset, or 0 where there is none that firmware would use."""
    header = source.peek(store, _STORE_HEADER.size)
    if len(header) < _STORE_HEADER.size:
        return 0
    signature, size, form, state = _STORE_HEADER.unpack(header)
    usable = signature == EFI_AUTHENTICATED_VARIABLE_GUID.bytes_le and (form, state) == (_FORMATTED, _HEALTHY)
    return int(size) if usable else 0


def _variables(source: ByteSource, store: int, end: int) -> Iterator[StoredVariable]:
    at = store + _STORE_HEADER.size
    for _ in range(_MOST_VARIABLES):
        header = source.peek(at, _VARIABLE_HEADER.size)
        if len(header) < _VARIABLE_HEADER.size:
            return
        start_id, state, attributes, _, _, _, name_size, data_size, vendor = _VARIABLE_HEADER.unpack(header)
        name_at = at + _VARIABLE_HEADER.size
        data_at = name_at + name_size  # no padding there on X64
        if start_id != _VARIABLE_DATA or name_size > end or data_size > end or data_at + data_size > end:
            return
        if state in _ADDED:
            name = bytes(source.peek(name_at, name_size)).decode("utf-16-le", "replace").rstrip("\0")
            yield StoredVariable(name, Guid(bytes_le=bytes(vendor)), attributes, bytes(source.peek(data_at, data_size)))
        at = store + align_up(data_at + data_size - store, _HEADER_ALIGNMENT)
