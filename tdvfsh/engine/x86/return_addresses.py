"""Which words on a stack are return addresses, where code keeps no frame pointers.

Source: Intel SDM volume 2, CALL (E8 rel32; FF /2 with its ModRM forms).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

CALL_REACH: Final = 7
"""Bytes before a return address that may belong to the call."""

_NEAR_CALL: Final = 0xE8
_NEAR_CALL_SIZE: Final = 5
_INDIRECT: Final = 0xFF
_INDIRECT_SIZES: Final = (2, 3, 4, 6, 7)


def follows_call(before: bytes) -> bool:
    """Whether the :data:`CALL_REACH` bytes before an address end in a call."""
    if before[-_NEAR_CALL_SIZE] == _NEAR_CALL:
        return True
    return any(before[-size] == _INDIRECT and before[-size + 1] >> 3 & 7 == 2 for size in _INDIRECT_SIZES)


def call_target(before: bytes, address: int) -> int | None:
    """Where the call right before ``address`` went; None where that stands in a register or in memory."""
    if before[-_NEAR_CALL_SIZE] != _NEAR_CALL:
        return None
    return address + int.from_bytes(before[-_NEAR_CALL_SIZE + 1 :], "little", signed=True)
