"""MTRRs: the registers by which firmware of a plain VM says which memory is cached, and how.

The emulated processor has no cache, so they only remember. A TD has none (the VMM answers that there are no ranges).

Source: Intel SDM volume 3, 12.11 (MTRRs); QEMU target/i386/cpu.h (MSR_MTRRcap_VCNT, and what MTRRCAP says).
"""

from __future__ import annotations

from typing import Final

CAPABILITIES: Final = 0xFE
DEFAULT_TYPE: Final = 0x2FF
_VARIABLE_COUNT: Final = 8
_FIXED_SUPPORTED: Final = 1 << 8
_WRITE_COMBINING: Final = 1 << 10
_VARIABLE: Final = range(0x200, 0x200 + 2 * _VARIABLE_COUNT)
_FIXED: Final = (0x250, 0x258, 0x259, *range(0x268, 0x270))


def after_reset() -> dict[int, int]:
    """Every register that can be written, as a processor has it after reset: no range counts, none is enabled."""
    return dict.fromkeys((DEFAULT_TYPE, *_VARIABLE, *_FIXED), 0)


def capabilities() -> int:
    """What the capabilities register says: eight variable ranges, fixed ones, and write combining."""
    return _VARIABLE_COUNT | _FIXED_SUPPORTED | _WRITE_COMBINING
