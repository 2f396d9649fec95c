"""EFI_IMAGE_EXECUTION_INFO_TABLE: the images that firmware has refused, for the operating system.

Source: UEFI 2.10 32.4.2; edk2 SecurityPkg/Library/DxeImageVerificationLib (AddImageExeInfo).
"""

from __future__ import annotations

import struct

from tdvfsh.dxe.secure_boot.verification import IMAGE_HASH_TYPES, ImageExecutionAction, Verdict
from tdvfsh.formats.pe.authenticode import authenticode_hash
from tdvfsh.formats.pe.image import PeRejection
from tdvfsh.formats.pe.parse import parse_pe
from tdvfsh.formats.signature_lists import Signature, build_signature_lists
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import Guid

_ENTRY: Final = struct.Struct("<II")  # Action, InfoSize
_OWNER: Final = Guid("00000000-0000-0000-0000-000000000000")
WITH_HASH: Final = frozenset(
    {
        ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FAILED,
        ImageExecutionAction.EFI_IMAGE_EXECUTION_AUTH_SIG_FOUND,
    }
)


def execution_info(verdict: Verdict, source: memoryview, path: DevicePath | None) -> bytes | None:
    """The table's entry for a refused image; None for one without a device path, which edk2 leaves out.

    The hash goes with an image that dbx forbids; one that db does not know has none.
    """
    if path is None:
        return None
    lists = b""
    if verdict.action in WITH_HASH:
        pe = parse_pe(source)
        digest = None if isinstance(pe, PeRejection) else authenticode_hash(pe, source, verdict.algorithm)
        if digest is not None:
            lists = build_signature_lists([Signature(IMAGE_HASH_TYPES[verdict.algorithm], _OWNER, digest)])
    body = (str(path) + "\0").encode("utf-16-le") + path.pack() + lists
    return _ENTRY.pack(verdict.action, _ENTRY.size + len(body)) + body


def pack_execution_table(entries: tuple[bytes, ...]) -> bytes:
    """The table."""
    return struct.pack("<Q", len(entries)) + b"".join(entries)
