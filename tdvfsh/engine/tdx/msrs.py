"""Model-specific registers of a TD: which the processor has, which the TDX module answers, which go to the VMM by #VE.

Source: Intel TDX module 1.5 base specification, MSR virtualization; Linux arch/x86/kvm/vmx/tdx.c for what the VMM
answers.
"""

from __future__ import annotations

from enum import Enum

from tdvfsh.engine.devices.local_apic import FIRST, LAST, TSC_DEADLINE, LocalApic
from tdvfsh.engine.x86 import memory_type_ranges
from tdvfsh.lazy_typing import Final

EFER: Final = 0xC0000080
STAR: Final = 0xC0000081
LSTAR: Final = 0xC0000082
SYSCALL_MASK: Final = 0xC0000084

_APIC_BASE: Final = 0x1B
_SPEC_CTRL: Final = 0x48
_ARCH_CAPABILITIES: Final = 0x10A
_MISC_ENABLE: Final = 0x1A0
_PAT: Final = 0x277
_MCG_CAP: Final = 0x179
_MCG_STATUS: Final = 0x17A
_MCG_CTL: Final = 0x17B
_FIRST_BANK: Final = 0x400
_BANKS: Final = 10
_ONES: Final = (1 << 64) - 1
_UCODE_REVISION: Final = 0x8B
_PLATFORM_ID: Final = 0x17
_PLATFORM_INFO: Final = 0xCE
_POWER_CTL: Final = 0x1FC
_MISC_FEATURES: Final = 0x140

_PROCESSORS: Final = frozenset(
    (
        0x174, 0x175, 0x176, _PAT, _SPEC_CTRL, 0x49, 0x10B, EFER, STAR, LSTAR, 0xC0000083, SYSCALL_MASK, 0xC0000100,
        0xC0000101, 0xC0000102, 0xC0000103, 0xDA0, 0x10, 0x3B,
    )
)  # fmt: skip
_MODULES_APIC: Final = frozenset((0x808, 0x80A, 0x80B, 0x83F, *range(0x810, 0x828)))
_NO_BUGS: Final = sum(1 << bit for bit in (0, 1, 3, 5, 6, 8, 13, 14, 15, 17, 26, 62))
"""RDCL, IBRS_ALL, SKIP_L1DFL, MDS, PSCHANGE_MC, TAA, SBDR, FBSDP, PSDP, FB_CLEAR, GDS: as Sapphire Rapids has them; and
ITS, so that a kernel makes no thunks for indirect branches, which modules would have to write."""
_X2APIC: Final = 0xFEE00000 | 1 << 11 | 1 << 10
_BOOT_CPU: Final = 1 << 8
_FAST_STRINGS: Final = 1
_WRITE_BACK: Final = 1 << 11 | 6


class Owner(Enum):
    """The part that handles an access."""

    PROCESSOR = "the processor"
    MODULE = "the TDX module"
    VMM = "the VMM"


class TdMsrs:
    """The registers that are not the processor's own.

    Args:
        apic: The vCPU's local APIC.
        boot: Whether the vCPU is the one that boots.
    """

    def __init__(self, apic: LocalApic, boot: bool = True) -> None:
        self._apic = apic
        self._boot = boot
        self._range_capabilities = 0
        self._stored = {memory_type_ranges.DEFAULT_TYPE: _WRITE_BACK, _MCG_STATUS: 0, _MCG_CTL: _ONES}
        for bank in range(_BANKS):
            control = _FIRST_BANK + 4 * bank
            self._stored |= {control: _ONES, control + 1: 0, control + 2: 0, control + 3: 0}

    def add_memory_type_ranges(self) -> None:
        """Let the vCPU be one of a plain VM that has just been reset: its firmware has yet to set up the MTRRs."""
        self._range_capabilities = memory_type_ranges.capabilities()
        self._stored |= memory_type_ranges.after_reset()

    def take_memory_type_ranges(self, low_memory_end: int, address_bits: int) -> None:
        """Let the vCPU be one of a plain VM whose firmware has set up the MTRRs, as OVMF does."""
        self._range_capabilities = memory_type_ranges.capabilities()
        self._stored |= memory_type_ranges.as_ovmf_leaves_them(low_memory_end, address_bits)

    def owner(self, msr: int) -> Owner:
        """The part that handles a register."""
        if msr in _PROCESSORS:
            return Owner.PROCESSOR
        if msr in _MODULES_APIC or msr in (_APIC_BASE, _ARCH_CAPABILITIES, _MISC_ENABLE):
            return Owner.MODULE
        return Owner.VMM

    def read(self, msr: int) -> int | None:
        """The value, or None where the access is refused."""
        if FIRST <= msr <= LAST or msr == TSC_DEADLINE:
            return self._apic.read(msr)
        values = {
            _APIC_BASE: _X2APIC | self._boot * _BOOT_CPU,
            _ARCH_CAPABILITIES: _NO_BUGS,
            _MISC_ENABLE: _FAST_STRINGS,
            memory_type_ranges.CAPABILITIES: self._range_capabilities,
            _MCG_CAP: _BANKS | 1 << 8 | 1 << 24,
            _UCODE_REVISION: 1 << 32,
            _PLATFORM_ID: 0,
            _PLATFORM_INFO: 0,
            _POWER_CTL: 0,
            _MISC_FEATURES: 0,
            **self._stored,
        }
        return values.get(msr)

    def write(self, msr: int, value: int) -> bool:
        """Whether the register takes the value."""
        if FIRST <= msr <= LAST or msr == TSC_DEADLINE:
            return self._apic.write(msr, value)
        if msr in self._stored:
            self._stored[msr] = value
            return True
        return msr in (_APIC_BASE, _UCODE_REVISION, _MISC_ENABLE, _MISC_FEATURES, _POWER_CTL)


def permission_map() -> bytes:
    """The map of AMD64's intercepts: two bits a register, read and write, set where the access must exit.

    Writes of the registers that SYSCALL uses exit too, since that instruction is carried out outside of the emulator.

    Source: AMD64 APM volume 2, 15.11.
    """
    bits = bytearray(b"\xff" * 0x2000)
    for msr in _PROCESSORS:
        base = 0 if msr < 0x2000 else 0x800
        place = base * 8 + (msr & 0x1FFF) * 2
        for bit in (0,) if msr in (STAR, LSTAR, SYSCALL_MASK) else (0, 1):
            at = place + bit
            bits[at >> 3] &= ~(1 << (at & 7))
    return bytes(bits)
