"""MTRRs: the registers by which firmware of a plain VM says which memory is cached, and how.

The emulated processor has no cache, so they only remember. A TD has none (the VMM answers that there are no ranges).

Source: Intel SDM volume 3, 12.11 (MTRRs); QEMU target/i386/cpu.h (MSR_MTRRcap_VCNT, and what MTRRCAP says); edk2
OvmfPkg/Library/PlatformInitLib/MemDetect.c (PlatformQemuUc32BaseInitialization and what follows the memory's HOBs).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import Final

CAPABILITIES: Final = 0xFE
DEFAULT_TYPE: Final = 0x2FF
_VARIABLE_COUNT: Final = 8
_FIXED_SUPPORTED: Final = 1 << 8
_WRITE_COMBINING: Final = 1 << 10
_VARIABLE: Final = range(0x200, 0x200 + 2 * _VARIABLE_COUNT)
_FIXED: Final = (0x250, 0x258, 0x259, *range(0x268, 0x270))
_FIXED_OF_RAM: Final = (0x250, 0x258)  # to 640 KiB
_ENABLED: Final = 1 << 11
_FIXED_ENABLED: Final = 1 << 10
_VALID: Final = 1 << 11
_WRITE_BACK: Final = 6
_4_GIB: Final = 1 << 32
_BYTES: Final = 0x0101010101010101


def after_reset() -> dict[int, int]:
    """Every register that can be written, as a processor has it after reset: no range counts, none is enabled."""
    return dict.fromkeys((DEFAULT_TYPE, *_VARIABLE, *_FIXED), 0)


def capabilities() -> int:
    """What the capabilities register says: eight variable ranges, fixed ones, and write combining."""
    return _VARIABLE_COUNT | _FIXED_SUPPORTED | _WRITE_COMBINING


def as_ovmf_leaves_them(low_memory_end: int, address_bits: int) -> dict[int, int]:
    """Every register as OVMF of a plain VM sets it: all is written back but the VGA window, option ROMs and devices.

    One range has to do for the devices below 4 GiB: it is a power of two in size and may begin above RAM's end.

    Args:
        low_memory_end: Where RAM below 4 GiB ends.
        address_bits: The processor's physical address width.
    """
    hole, devices = _4_GIB - low_memory_end, {}
    if hole > 0:
        size = min(1 << hole.bit_length() - 1, _4_GIB // 2)
        devices = dict(zip(_VARIABLE, (_4_GIB - size, (1 << address_bits) - size | _VALID), strict=False))
    return {
        **after_reset(),
        **dict.fromkeys(_FIXED_OF_RAM, _WRITE_BACK * _BYTES),
        **devices,
        DEFAULT_TYPE: _ENABLED | _FIXED_ENABLED | _WRITE_BACK,
    }
