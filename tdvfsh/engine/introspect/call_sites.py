"""Which functions are called near the places where code takes the address of something.

An address of x86-64 code is a displacement of 32 bits from the end of its instruction, wherever in the instruction it
stands; so each four bytes are tried as one, and no instruction needs to be decoded. What is found too much does no
harm: the caller checks each call again when it happens.

Source: Intel SDM volume 2, 2.2.1.6 (RIP-relative addressing) and CALL (E8).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

_WIDTH: Final = 4
_IMMEDIATE: Final = 4  # after the displacement: cmp dword ptr [rip + x], imm32
_HEAD: Final = 16
_NEAR: Final = 0x400
_CALL: Final = 0xE8
_MOST: Final = 256


def functions_called_near(code: bytes, start: int, data: int) -> list[int]:
    """Targets of calls near references to ``data``.

    Args:
        code: A run of code.
        start: Its address.
        data: Address of what is referred to: its first bytes.

    Returns:
        Addresses in the code, in order, at most 256; unreliable ones are left out.
    """
    targets: set[int] = set()
    for site in _references(code, data - start):
        for at in range(max(site - _NEAR, 0), min(site + _NEAR, len(code) - _WIDTH)):
            if code[at] == _CALL:
                end = at + 1 + _WIDTH
                target = end + int.from_bytes(code[at + 1 : end], "little", signed=True)
                if 0 <= target < len(code):
                    targets.add(start + target)
    return sorted(targets)[:_MOST]


def _references(code: bytes, data: int) -> list[int]:
    """Offsets of displacements that lead to the first bytes of ``data``, itself an offset from the code's start."""
    low, high = data - _WIDTH - _IMMEDIATE, data - _WIDTH + _HEAD
    found: list[int] = []
    for shift in range(_WIDTH):
        numbers = memoryview(code)[shift : shift + (len(code) - shift) // _WIDTH * _WIDTH].cast("i")
        found += [
            shift + _WIDTH * index for index, number in enumerate(numbers) if low <= number + shift + 4 * index < high
        ]
    return sorted(found)
