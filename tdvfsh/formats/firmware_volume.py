"""Firmware volumes in a flash image: which modules stand there uncompressed, the SEC core among them.

Source: PI 1.8 volume 3, EFI_FIRMWARE_VOLUME_HEADER, EFI_FIRMWARE_VOLUME_EXT_HEADER and EFI_FFS_FILE_HEADER; the GUIDs
from edk2 OvmfPkg/Sec/SecMain.inf and OvmfPkg/IntelTdx/Sec/SecMain.inf.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.guids import Guid
from tdvfsh.units import align_up

OVMF_SEC_GUID: Final = Guid("df1ccef6-f301-4a63-9661-fc6030dcc880")
"""SecMain of OvmfPkg: PEI follows."""
INTEL_TDX_SEC_GUID: Final = Guid("69d96630-eb64-4b33-8491-13a5cf023dcf")
"""SecMain of OvmfPkg/IntelTdx: it starts the DXE core itself, without PEI."""
FV_FILETYPE_SECURITY_CORE: Final = 0x03

_SIGNATURE: Final = b"_FVH"
_SIGNATURE_OFFSET: Final = 40
_VOLUME_HEADER: Final = struct.Struct("<16x16xQ4sIHHH")  # length, signature, attributes, header, checksum, ext offset
_FILE_HEADER: Final = struct.Struct("<16sHBB3sB")
_EXT_HEADER_SIZE: Final = struct.Struct("<16xI")
_ERASED: Final = b"\xff" * 16
_ALIGNMENT: Final = 8
_MAX_VOLUMES: Final = 64
_MAX_FILES: Final = 1024


class FirmwareFile(NamedTuple):
    """A file of a firmware volume: its name, FFS type, place in the image and size in bytes, header included."""

    name: Guid
    file_type: int
    offset: int
    size: int


def firmware_files(view: Buffer | ByteSource, path: str) -> list[FirmwareFile]:
    """The files that stand in the image's own volumes; what is packed inside a file is not looked into."""
    source = ByteSource(view, path)
    return [file for offset, length in _volumes(source) for file in _files(source, offset, length)]


def security_core(view: Buffer | ByteSource, path: str) -> FirmwareFile | None:
    """The SEC core: the first code of the firmware proper; None where an image has none (as a bare variable store)."""
    cores = [file for file in firmware_files(view, path) if file.file_type == FV_FILETYPE_SECURITY_CORE]
    return next((file for file in cores if file.name in (OVMF_SEC_GUID, INTEL_TDX_SEC_GUID)), None)


def missing_bytes(view: Buffer | ByteSource, path: str) -> int:
    """How many bytes a volume goes on beyond the end of its file: more than 0 where the file was cut."""
    source = ByteSource(view, path)
    for start, length in _headers(source):
        header = source.peek(start, _VOLUME_HEADER.unpack(source.peek(start, _VOLUME_HEADER.size))[3])
        words = struct.iter_unpack("<H", header[: len(header) & ~1])
        if length > source.size - start and not sum(word for (word,) in words) & 0xFFFF:
            return length - (source.size - start)
    return 0


def _volumes(source: ByteSource) -> Iterator[tuple[int, int]]:
    return ((start, length) for start, length in _headers(source) if length <= source.size - start)


def _headers(source: ByteSource) -> Iterator[tuple[int, int]]:
    """Offset and length of each volume, which may go on beyond the end of the file."""
    at = 0
    for _ in range(_MAX_VOLUMES):
        found = source.find(_SIGNATURE, at)
        if found < 0:
            return
        start = found - _SIGNATURE_OFFSET
        header = source.peek(start, _VOLUME_HEADER.size) if start >= 0 else b""
        length = _VOLUME_HEADER.unpack(header)[0] if len(header) == _VOLUME_HEADER.size else 0
        at = found + len(_SIGNATURE)
        if length > _VOLUME_HEADER.size:
            yield start, length
            if length <= source.size - start:
                at = start + length


def _files(source: ByteSource, offset: int, length: int) -> Iterator[FirmwareFile]:
    _, _, _, header_length, _, ext_offset = _VOLUME_HEADER.unpack(source.peek(offset, _VOLUME_HEADER.size))
    at, end = offset + header_length, offset + length
    if ext_offset:
        extended = source.peek(offset + ext_offset, _EXT_HEADER_SIZE.size)
        if len(extended) < _EXT_HEADER_SIZE.size:
            return
        at = offset + ext_offset + _EXT_HEADER_SIZE.unpack(extended)[0]
    for _ in range(_MAX_FILES):
        at = offset + align_up(at - offset, _ALIGNMENT)
        header = source.peek(at, _FILE_HEADER.size) if at + _FILE_HEADER.size <= end else b""
        if len(header) < _FILE_HEADER.size or header.startswith(_ERASED):
            return
        name, _, file_type, _, raw_size, _ = _FILE_HEADER.unpack(header)
        size = int.from_bytes(raw_size, "little")
        if size < _FILE_HEADER.size or at + size > end:
            return
        yield FirmwareFile(Guid(bytes_le=name), file_type, at, size)
        at += size
