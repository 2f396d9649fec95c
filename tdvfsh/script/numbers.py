"""What the shell takes for a number, and its value.

Two passes: decimal (``12``, ``-5``) or ``0x`` hex first, then bare hex, so that ``abc`` is a number and ``isint(abc)``
is true. A value beyond 64 bits is not a number.

Source: edk2 ShellPkg/Library/UefiShellLib/UefiShellLib.c (InternalShellIsHexOrDecimalNumber,
ShellConvertStringToUint64, ShellStrToUintn).
"""

from __future__ import annotations

_DECIMAL = frozenset("0123456789")
_HEX = frozenset("0123456789abcdefABCDEF")
_LIMIT = 1 << 64
_MOST_DIGITS = 20
MAX_UINTN = _LIMIT - 1


def looks_like_number(text: str, *, force_hex: bool = False, stop_at_space: bool = False) -> bool:
    """Whether every character is a digit of one base, after an optional ``-``."""
    body = text[1:] if text.startswith("-") else text
    if not body:
        return False
    stripped = body.lstrip("0")
    leading_zero = stripped != body
    is_hex = force_hex
    if stripped[:1] in ("x", "X") and stripped:
        if not leading_zero:
            return False
        stripped, is_hex = stripped[1:], True
    if not stripped and leading_zero:
        return True
    if stop_at_space:
        stripped = stripped.partition(" ")[0]
    digits = _HEX if is_hex else _DECIMAL
    return all(character in digits for character in stripped)


def parse_number(text: str, *, force_hex: bool = False, stop_at_space: bool = False) -> int | None:
    """The value of a number, or None where the text is not a number.

    Args:
        text: Decimal, ``0x`` hex, or bare hex digits. A sign is accepted and then stops the conversion at 0.
        force_hex: Read bare digits as hex.
        stop_at_space: Read up to the first blank only.
    """
    is_hex = force_hex
    if not looks_like_number(text, force_hex=is_hex, stop_at_space=stop_at_space):
        if is_hex or not looks_like_number(text, force_hex=True, stop_at_space=stop_at_space):
            return None
        is_hex = True
    text = text.lstrip(" ")
    if not text or not looks_like_number(text, force_hex=is_hex, stop_at_space=stop_at_space):
        return None
    base, allowed = 10, _DECIMAL
    if is_hex or text[:2] in ("0x", "0X"):
        base, allowed = 16, _HEX
        text = text.lstrip("0")
        text = text[1:] if text[:1] in ("x", "X") else text
    end = 0
    while end < len(text) and text[end] in allowed:
        end += 1
    digits = text[:end].lstrip("0")
    if len(digits) > _MOST_DIGITS:  # int refuses thousands of them
        return None
    value = int(digits, base) if digits else 0
    return value if value < _LIMIT else None


def is_number(text: str) -> bool:
    """Whether the shell treats the word as a number (``isint``, and both sides of a numeric comparison)."""
    return parse_number(text) is not None


def to_uintn(text: str) -> int:
    """The value of a word, 2^64 - 1 where it is not a number (ShellStrToUintn)."""
    force_hex = not looks_like_number(text, stop_at_space=True)
    value = parse_number(text, force_hex=force_hex, stop_at_space=True)
    return MAX_UINTN if value is None else value
