"""Who answers for a register of a TD, and what it says."""

from __future__ import annotations

import pytest

from tdvfsh.engine.devices.local_apic import LocalApic
from tdvfsh.engine.tdx.msrs import Owner, TdMsrs, permission_map

APIC_BASE, ARCH_CAPABILITIES, MISC_ENABLE, MCG_CAP, MCG_CTL, MTRR_CAP, DEFAULT_TYPE = (
    0x1B, 0x10A, 0x1A0, 0x179, 0x17B, 0xFE, 0x2FF,
)  # fmt: skip
EFER, STAR, LSTAR, CSTAR, FMASK = range(0xC0000080, 0xC0000085)
FS_BASE, GS_BASE, KERNEL_GS_BASE, TSC_AUX = range(0xC0000100, 0xC0000104)
PROCESSORS = (0x10, 0x48, 0x174, 0x175, 0x176, 0x277, EFER, STAR, LSTAR, CSTAR, FMASK, FS_BASE, GS_BASE, KERNEL_GS_BASE,
              TSC_AUX)  # fmt: skip


def msrs() -> TdMsrs:
    return TdMsrs(LocalApic(0, lambda: 0, 2))


@pytest.mark.parametrize("number", PROCESSORS)
def test_the_module_lets_the_processor_s_own_registers_through(number: int) -> None:
    assert msrs().owner(number) is Owner.PROCESSOR


@pytest.mark.parametrize("number", [0x808, 0x80A, 0x80B, 0x83F, 0x810, 0x817, 0x818, 0x820, 0x827, APIC_BASE])
def test_the_virtual_apic_s_registers_need_no_vmm(number: int) -> None:
    assert msrs().owner(number) is Owner.MODULE


@pytest.mark.parametrize("number", [0x6E0, 0x802, 0x803, 0x80D, 0x80F, 0x828, 0x830, 0x832, 0x838, 0x839, 0x83E, 0xFE,
                                    0x179, 0x8B, 0x400, 0x12345678])  # fmt: skip
def test_all_others_raise_ve_the_command_register_and_the_deadline_too(number: int) -> None:
    assert msrs().owner(number) is Owner.VMM


def test_the_apic_is_on_in_x2apic_mode_at_the_usual_place_of_the_boot_processor() -> None:
    assert msrs().read(APIC_BASE) == 0xFEE00D00


def test_the_apic_is_behind_its_registers() -> None:
    registers = msrs()
    assert registers.write(0x80F, 0x1FF)
    assert registers.read(0x80F) == 0x1FF
    assert registers.write(0x832, 2 << 17 | 0xEC)
    assert registers.write(0x6E0, 1000)
    assert registers.read(0x6E0) == 1000
    assert registers.read(0x80B) is None
    assert not registers.write(0x802, 0)


def test_known_flaws_are_absent() -> None:
    value = msrs().read(ARCH_CAPABILITIES)
    assert value is not None
    for bit in (0, 1, 3, 5, 6, 8, 13, 14, 15, 62):  # RDCL IBRS_ALL SKIP_L1DFL MDS PSCHANGE_MC TAA SBDR FBSDP PSDP ITS
        assert value >> bit & 1
    assert not value >> 2 & 1  # RSBA would say that return predictions cannot be trusted
    assert not msrs().write(ARCH_CAPABILITIES, 0)


def test_machine_check_banks_are_as_many_as_the_capability_says() -> None:
    registers = msrs()
    capability = registers.read(MCG_CAP)
    assert capability is not None
    banks = capability & 0xFF
    assert capability >> 8 & 1 == (registers.read(MCG_CTL) is not None)
    for bank in range(banks):
        assert [registers.read(0x400 + 4 * bank + at) for at in range(4)] == [(1 << 64) - 1, 0, 0, 0]
    assert registers.read(0x400 + 4 * banks) is None
    assert registers.write(0x401, 5)
    assert registers.read(0x401) == 5
    assert registers.read(0x405) == 0
    assert not registers.write(MCG_CAP, 0)


def test_memory_is_write_back_without_variable_ranges() -> None:
    assert msrs().read(DEFAULT_TYPE) == 0x806
    assert msrs().read(MTRR_CAP) == 0


def test_a_plain_vm_after_reset_has_ranges_of_which_none_is_enabled_and_keeps_what_firmware_sets() -> None:
    registers = msrs()
    registers.add_memory_type_ranges()
    assert registers.read(MTRR_CAP) == 0x508  # eight variable ranges, fixed ones, write combining
    assert registers.read(DEFAULT_TYPE) == 0
    for number in (0x200, 0x20F, 0x250, 0x26F, DEFAULT_TYPE):
        assert registers.write(number, 0xC06)
        assert registers.read(number) == 0xC06
    assert registers.read(0x210) is None
    assert not registers.write(MTRR_CAP, 0)


def test_a_register_that_nobody_knows_is_refused() -> None:
    assert msrs().read(0x12345678) is None
    assert not msrs().write(0x12345678, 0)


def exits(bits: bytes, number: int, write: bool) -> bool:
    """AMD64 APM volume 2, 15.11: three ranges of 8,192 registers, two bits each."""
    for at, first in enumerate((0, 0xC0000000, 0xC0010000)):
        if first <= number < first + 0x2000:
            bit = at * 0x800 * 8 + (number - first) * 2 + write
            return bool(bits[bit // 8] >> bit % 8 & 1)
    return True


@pytest.mark.parametrize("write", [False, True])
def test_the_permission_map_lets_only_the_processor_s_registers_through(write: bool) -> None:
    bits = permission_map()
    assert len(bits) == 0x2000
    registers = msrs()
    for number in (*range(0x2000), *range(0xC0000000, 0xC0002000), *range(0xC0010000, 0xC0012000)):
        through = registers.owner(number) is Owner.PROCESSOR and not (write and number in (STAR, LSTAR, FMASK))
        assert exits(bits, number, write) is not through, hex(number)
