"""Sizes: the page, powers of two, and how users write and read them."""

from __future__ import annotations

from tdvfsh.errors import UsageError
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final

PAGE_SHIFT: Final = 12
PAGE_SIZE: Final = 1 << PAGE_SHIFT
KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40
LARGE_PAGE_SIZE: Final = 2 * MIB

_SUFFIXES: Final = {"": 1, "B": 1, "K": KIB, "M": MIB, "G": GIB, "T": TIB}
_LONGEST_SIZE: Final = 100
_LONGEST_DECIMAL = 20
_TIMES: Final = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_NEARLY: Final = 0.995
_SIZE = pattern(r"(?i)(?P<number>0x[0-9a-f]+|\d+(?:\.\d+)?)\s*(?P<suffix>[kmgt]?)(?:i?b)?")


def parse_decimal(text: str) -> int | None:
    """A number of decimal digits, or None: also for more digits than any 64-bit number has.

    ``str.isdigit`` lets superscripts pass, which ``int`` refuses; and ``int`` refuses thousands of digits.
    """
    return int(text) if len(text) <= _LONGEST_DECIMAL and text.isdecimal() else None


def parse_size(text: str) -> int:
    """Bytes from ``512M``, ``4G``, ``1.5G``, ``0x80000000`` or ``4096``.

    Raises:
        UsageError: The text is not a size, or not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text.strip()) if len(text) <= _LONGEST_SIZE else None
    if match is None:
        raise UsageError(f"{text[:_LONGEST_SIZE]!r} is not a size (examples: 512M, 4G, 0x80000000)")
    number, scale = match["number"], _SUFFIXES[match["suffix"].upper()]
    if number.lower().startswith("0x"):
        return int(number, 16) * scale
    if "." not in number:
        return int(number) * scale
    whole, fraction = number.split(".")
    scaled = int(whole + fraction) * scale
    divisor: int = 10 ** len(fraction)
    if scaled % divisor:
        raise UsageError(f"'{text}' is not a whole number of bytes")
    return scaled // divisor


def format_size(size: int) -> str:
    """The exact short form that :func:`parse_size` reads back: ``512M``, ``4G``, ``4097``."""
    for suffix, scale in (("T", TIB), ("G", GIB), ("M", MIB), ("K", KIB)):
        if size and size % scale == 0:
            return f"{size // scale}{suffix}"
    return str(size)


def human_size(size: int) -> str:
    """A rounded, readable form: ``38.84 MiB``."""
    for suffix, scale in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size >= scale:
            value = size / scale
            return f"{value:.0f} {suffix}" if size % scale == 0 else f"{value:.2f} {suffix}"
    return f"{size} B"


def ram_size(size: int) -> str:
    """A size of RAM: readable where two digits tell it exactly, else in whole MiB, so that 2815M is not 2816M."""
    text = human_size(size)
    if size % MIB:
        return text
    number, suffix = text.split()
    scale = {"TiB": TIB, "GiB": GIB, "MiB": MIB}.get(suffix, 1)
    return text if round(float(number) * scale) == size else f"{size // MIB} MiB"


def pages_for(size: int) -> int:
    """Number of 4 KiB pages that hold ``size`` bytes (EFI_SIZE_TO_PAGES)."""
    return (size + PAGE_SIZE - 1) >> PAGE_SHIFT


def align_up(value: int, alignment: int) -> int:
    """The lowest multiple of ``alignment`` that is not below ``value``."""
    return -(-value // alignment) * alignment


def align_down(value: int, alignment: int) -> int:
    """The highest multiple of ``alignment`` that is not above ``value``."""
    return value // alignment * alignment


def human_seconds(seconds: float) -> str:
    """Seconds with two significant digits, in the unit that fits: ``27 s``, ``0 s``, ``3.4 ms``."""
    unit, size = seconds_unit(seconds)
    return f"{two_digits(seconds / size)} {unit}"


def seconds_unit(seconds: float) -> tuple[str, float]:
    """The unit of time that fits, and its seconds."""
    if not seconds:
        return _TIMES[0]
    return next(((unit, size) for unit, size in _TIMES if seconds >= size * _NEARLY), _TIMES[-1])


def two_digits(number: float) -> str:
    """A number with two significant digits; ``0`` for nothing."""
    if not number:
        return "0"
    rounded = float(f"{number:.1e}")
    digits = next((digits for least, digits in ((10, 0), (1, 1), (0.1, 2)) if rounded >= least), 3)
    return f"{rounded:.{digits}f}"
