"""CPUID as a TD sees it: leaves that the TDX module answers, and those that raise #VE and go to the VMM.

The features are those of the emulated processor, which code really finds; what the module adds, takes away and fixes
is laid over them.

Source: Intel TDX module 1.5 base specification, CPUID virtualization; Intel SDM volume 2, CPUID; KVM's leaves:
Linux Documentation/virt/kvm/x86/cpuid.rst.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.lazy_typing import Final

TDX_LEAF: Final = 0x21
HYPERVISOR_LEAVES: Final = range(0x40000000, 0x50000000)
CRYSTAL_HZ: Final = 25_000_000

Registers = tuple[int, int, int, int]
"""EAX, EBX, ECX, EDX."""

_SAPPHIRE_RAPIDS: Final = 0x000806F8
_FIRST_EXTENDED: Final = 0x80000000
_LAST_EXTENDED: Final = 0x80000008
_BRAND_LEAVES: Final = range(0x80000002, 0x80000005)
_BRAND: Final = b"Intel Xeon with TDX, as tdvfsh has it".ljust(48, b"\0")
_RDRAND: Final = 1 << 30
_MONITOR: Final = 1 << 3
_DEBUG_STORE: Final = 1 << 2
_VMX_TO_TM2: Final = 0xF << 5
_PDCM: Final = 1 << 15
_X2APIC: Final = 1 << 21
_TSC_DEADLINE: Final = 1 << 24
_OSXSAVE: Final = 1 << 27
_HYPERVISOR: Final = 1 << 31
_THERMAL_EDX: Final = 1 << 21 | 1 << 22 | 1 << 29 | 1 << 31  # DS, ACPI, TM, PBE
_ALWAYS_RUNNING_TIMER: Final = 1 << 2
_ARCH_CAPABILITIES: Final = 1 << 29
_FIVE_LEVEL_PAGING: Final = 1 << 16
_SVM: Final = 1 << 2
_GIBIBYTE_PAGES: Final = 1 << 26
_INVARIANT_TSC: Final = 1 << 8
_TD_ADDRESS_BITS: Final = 52
_LINEAR_ADDRESS_BITS: Final = 57  # as five-level paging has them
_CR4_OSXSAVE: Final = 1 << 18
_NOTHING: Final = (0, 0, 0, 0)


def _text(first: str, second: str, third: str) -> tuple[int, int, int]:
    return tuple(int.from_bytes(part.encode(), "little") for part in (first, second, third))  # type: ignore[return-value]


_INTEL_TDX: Final = _text("Inte", "    ", "lTDX")
_KVM: Final = _text("KVMK", "VMKV", "M\0\0\0")


class TdCpuid:
    """The CPUID instruction of a machine's vCPUs.

    Args:
        native: Asks the emulated processor: leaf, subleaf.
        vcpus: Logical processors.
        cycles_per_ns: Of the time stamp counter.
        td: False for a plain VM: no leaf 0x21, and the hypervisor's leaves are answered at once.
        address_bits: Physical address bits.
    """

    def __init__(
        self,
        native: Callable[[int, int], Registers],
        vcpus: int,
        cycles_per_ns: int,
        td: bool,
        address_bits: int = _TD_ADDRESS_BITS,
    ) -> None:
        self._native = native
        self._address_bits = address_bits
        self._vcpus = vcpus
        self._hz = cycles_per_ns * 1_000_000_000
        self._td = td

    def answer(self, leaf: int, subleaf: int, cr4: int = 0, vcpu: int = 0) -> Registers | None:
        """What the instruction returns on a vCPU by its number, or None where it raises #VE."""
        if leaf in HYPERVISOR_LEAVES:
            return None if self._td else self.hypervisor(leaf)
        if self._td:
            leaf = self._known_leaf(leaf)
        special = self._special(leaf, subleaf, cr4, vcpu)
        return self._native(leaf, subleaf) if special is None else special

    def _known_leaf(self, leaf: int) -> int:
        """Past the highest leaf of either range, the module answers as for the highest basic one."""
        known = leaf <= TDX_LEAF or _FIRST_EXTENDED <= leaf <= _LAST_EXTENDED
        return leaf if known else TDX_LEAF

    def hypervisor(self, leaf: int) -> Registers:
        """The VMM's own leaves: KVM without paravirtual features."""
        if leaf == HYPERVISOR_LEAVES.start:
            return (leaf + 1, *_KVM)
        return _NOTHING

    def _special(self, leaf: int, subleaf: int, cr4: int, vcpu: int) -> Registers | None:
        native = self._native
        if leaf == 0:
            highest, *vendor = native(0, 0)
            return max(highest, TDX_LEAF) if self._td else highest, vendor[0], vendor[1], vendor[2]
        if leaf == TDX_LEAF and self._td:
            return (0, *_INTEL_TDX) if subleaf == 0 else _NOTHING
        if leaf == 1:
            _, b, c, d = native(1, 0)
            c &= ~(_MONITOR | _DEBUG_STORE | _VMX_TO_TM2 | _PDCM | _OSXSAVE)
            c |= _X2APIC | _TSC_DEADLINE | _RDRAND | _HYPERVISOR | (_OSXSAVE if cr4 & _CR4_OSXSAVE else 0)
            return (
                _SAPPHIRE_RAPIDS,
                b & 0xFF00 | min(self._vcpus, 0xFF) << 16 | (vcpu & 0xFF) << 24,
                c,
                d & ~_THERMAL_EDX,
            )
        if leaf in (5, 9, 0xA):
            return _NOTHING
        if leaf == 6:
            return _ALWAYS_RUNNING_TIMER, 0, 0, 0
        if leaf == 7 and subleaf == 0:
            a, b, c, d = native(7, 0)
            return a, b, c | _FIVE_LEVEL_PAGING, d | _ARCH_CAPABILITIES
        if leaf in (0xB, 0x1F):
            return self._topology(subleaf, vcpu) if leaf == 0xB else _NOTHING
        if leaf == 0x15:
            return 1, self._hz // CRYSTAL_HZ, CRYSTAL_HZ, 0
        if leaf == 0x16:
            return self._hz // 1_000_000, self._hz // 1_000_000, 100, 0
        if leaf == _FIRST_EXTENDED and self._td:
            return _LAST_EXTENDED, 0, 0, 0
        if leaf == 0x80000001:
            a, b, c, d = native(leaf, 0)
            return a, b, c & ~_SVM, d | _GIBIBYTE_PAGES
        if leaf in _BRAND_LEAVES:
            part = _BRAND[16 * (leaf - _BRAND_LEAVES.start) :][:16]
            a, b, c, d = struct.unpack("<4I", part)
            return a, b, c, d
        if leaf == 0x80000007:
            return 0, 0, 0, _INVARIANT_TSC
        if leaf == 0x80000008:
            return self._address_bits | _LINEAR_ADDRESS_BITS << 8, *native(leaf, 0)[1:]
        if self._td and native(0, 0)[0] < leaf < TDX_LEAF:
            return _NOTHING  # the emulated processor has no such leaf, and would answer with its highest one
        return None

    def _topology(self, subleaf: int, vcpu: int) -> Registers:
        shift = (self._vcpus - 1).bit_length()
        if subleaf == 0:
            return 0, 1, 0x100, vcpu
        if subleaf == 1:
            return shift, self._vcpus, 0x201, vcpu
        return 0, 0, subleaf, vcpu
