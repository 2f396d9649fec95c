"""Event logs made for tests, written out by the TCG's tables with nothing but ``struct``."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

SHA384 = 0x000C


def spec_id(algorithms: Sequence[tuple[int, int]] = ((SHA384, 48),), vendor: bytes = b"") -> bytes:
    """The first event."""
    data = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(algorithms))
    data += b"".join(struct.pack("<HH", *each) for each in algorithms) + bytes((len(vendor),)) + vendor
    return struct.pack("<II20sI", 1, 3, bytes(20), len(data)) + data


def event(mr_index: int, kind: int, data: bytes, digest: bytes | None = None) -> bytes:
    """One event; its digest is the data's where none is given."""
    digest = hashlib.sha384(data).digest() if digest is None else digest
    return struct.pack("<IIIH48sI", mr_index, kind, 1, SHA384, digest, len(data)) + data


def variable(name: str, data: bytes = b"", guid: bytes = bytes(16)) -> bytes:
    """UEFI_VARIABLE_DATA."""
    return guid + struct.pack("<QQ", len(name), len(data)) + name.encode("utf-16-le") + data


EVENTS = (
    event(1, 0x80000001, variable("SecureBoot", b"\1")),
    event(1, 4, bytes(4)),
    event(2, 0x80000007, b"Calling EFI Application from Boot Option"),
    event(2, 4, bytes(4)),
    event(3, 6, struct.pack("<II", 0x8F3B22EC, 13) + b"Linux initrd\0"),
    event(1, 3, b"no action", bytes(48)),
)
LOG = spec_id() + b"".join(EVENTS)
