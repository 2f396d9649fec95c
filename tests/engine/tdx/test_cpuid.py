"""CPUID in a TD: what the TDX module fixes, adds and takes away, and what it leaves to the VMM."""

from __future__ import annotations

import pytest

from tdvfsh.engine.tdx.cpuid import Registers, TdCpuid

OSXSAVE_IN_CR4 = 1 << 18
HIGHEST = 0xD


def native(leaf: int, subleaf: int) -> Registers:
    """A processor of which every feature bit is set, and which answers beyond its highest leaf with that leaf."""
    if leaf == 0:
        return HIGHEST, 0x756E6547, 0x6C65746E, 0x49656E69
    return (0xFFFFFFFF,) * 4


def td(vcpus: int = 1) -> TdCpuid:
    return TdCpuid(native, vcpus, 2, td=True)


def vm() -> TdCpuid:
    return TdCpuid(native, 1, 2, td=False)


def answer(leaf: int, subleaf: int = 0, cr4: int = 0, vcpus: int = 1) -> Registers:
    registers = td(vcpus).answer(leaf, subleaf, cr4)
    assert registers is not None
    return registers


def text(*registers: int) -> bytes:
    return b"".join(register.to_bytes(4, "little") for register in registers)


def test_leaf_0x21_says_intel_tdx_in_ebx_edx_ecx() -> None:
    a, b, c, d = answer(0x21)
    assert a == 0
    assert text(b, d, c) == b"IntelTDX    "
    assert answer(0x21, 1) == (0, 0, 0, 0)


def test_the_highest_leaf_is_0x21_so_that_a_guest_looks_there_and_the_vendor_is_the_processor_s() -> None:
    a, b, c, d = answer(0)
    assert a == 0x21
    assert text(b, d, c) == b"GenuineIntel"


def test_a_plain_vm_has_no_leaf_0x21() -> None:
    assert vm().answer(0, 0) == native(0, 0)
    assert vm().answer(0x21, 0) == native(0x21, 0)


@pytest.mark.parametrize("leaf", [0x40000000, 0x40000001, 0x400000FF, 0x40000100, 0x4FFFFFFF])
def test_the_hypervisor_s_leaves_raise_ve_in_a_td_and_are_answered_at_once_in_a_vm(leaf: int) -> None:
    assert td().answer(leaf, 0) is None
    assert vm().answer(leaf, 0) == td().hypervisor(leaf)


def test_the_vmm_says_kvm_and_offers_nothing() -> None:
    a, b, c, d = td().hypervisor(0x40000000)
    assert a == 0x40000001
    assert text(b, c, d) == b"KVMKVMKVM\0\0\0"
    assert td().hypervisor(0x40000001) == td().hypervisor(0x40000010) == (0, 0, 0, 0)


@pytest.mark.parametrize("leaf", [0x22, 0x100, 0x3FFFFFFF, 0x50000000, 0x7FFFFFFF, 0x80000009, 0xFFFFFFFF])
def test_beyond_the_highest_leaf_the_module_answers_as_for_the_highest_basic_one(leaf: int) -> None:
    assert answer(leaf) == answer(0x21)


@pytest.mark.parametrize("leaf", [0xE, 0x10, 0x14, 0x17, 0x20])
def test_leaves_that_the_emulated_processor_lacks_are_empty(leaf: int) -> None:
    assert answer(leaf) == (0, 0, 0, 0)


def test_a_td_is_under_a_hypervisor_with_x2apic_and_a_tsc_deadline_timer() -> None:
    c = answer(1)[2]
    for bit in (21, 24, 30, 31):  # x2APIC, TSC deadline, RDRAND, hypervisor
        assert c >> bit & 1
    for bit in (3, 5, 6, 7, 8):  # MONITOR, VMX, SMX, EIST, TM2
        assert not c >> bit & 1


@pytest.mark.parametrize(("cr4", "osxsave"), [(0, 0), (OSXSAVE_IN_CR4, 1), (~OSXSAVE_IN_CR4 & 0xFFFFFFFF, 0)])
def test_osxsave_follows_cr4(cr4: int, osxsave: int) -> None:
    assert answer(1, cr4=cr4)[2] >> 27 & 1 == osxsave


@pytest.mark.parametrize("vcpus", [1, 4])
def test_leaf_1_counts_processors_and_has_the_apic_id_of_the_first(vcpus: int) -> None:
    a, b, _, d = answer(1, vcpus=vcpus)
    assert a == 0x000806F8  # Sapphire Rapids
    assert b == vcpus << 16 | 0xFF00  # APIC ID 0, CLFLUSH line as the processor says, no brand index
    assert not d >> 22 & 1  # ACPI thermal control


@pytest.mark.parametrize("leaf", [5, 9, 0xA, 0x1F])
def test_monitoring_and_performance_leaves_are_empty(leaf: int) -> None:
    assert answer(leaf) == (0, 0, 0, 0)


def test_the_apic_timer_always_runs() -> None:
    assert answer(6) == (4, 0, 0, 0)


def test_arch_capabilities_are_there_and_other_features_are_the_processor_s() -> None:
    a, b, c, d = answer(7)
    assert (a, b, c | 1 << 16) == native(7, 0)[:3]  # but for five-level paging
    assert d >> 29 & 1
    assert answer(7, 1) == native(7, 1)


@pytest.mark.parametrize(("vcpus", "shift"), [(1, 0), (2, 1), (4, 2), (6, 3)])
def test_topology_is_one_thread_a_core_and_one_package(vcpus: int, shift: int) -> None:
    assert answer(0xB, 0, vcpus=vcpus) == (0, 1, 0x100, 0)  # level 0, kind 1: threads
    assert answer(0xB, 1, vcpus=vcpus) == (shift, vcpus, 0x201, 0)  # level 1, kind 2: cores
    assert answer(0xB, 2, vcpus=vcpus) == (0, 0, 2, 0)  # no such level


def test_the_time_stamp_counter_s_frequency_follows_from_the_crystal() -> None:
    denominator, numerator, crystal, _ = answer(0x15)
    assert crystal == 25_000_000
    assert crystal * numerator // denominator == 2_000_000_000
    assert answer(0x16)[0] == 2000
    assert answer(0x80000007) == (0, 0, 0, 1 << 8)  # invariant


def test_addresses_have_52_and_48_bits_and_svm_is_hidden() -> None:
    assert answer(0x80000000)[0] == 0x80000008
    assert answer(0x80000008)[0] == 0x3934  # 52 physical ones, 57 linear ones: there is five-level paging
    assert not answer(0x80000001)[2] >> 2 & 1


def test_a_plain_vm_has_as_many_address_bits_as_its_board_says() -> None:
    registers = TdCpuid(native, 1, 2, td=False, address_bits=40).answer(0x80000008, 0)
    assert registers is not None
    assert registers[0] == 0x3928


def test_the_brand_is_text_of_48_bytes() -> None:
    brand = b"".join(text(*answer(leaf)) for leaf in range(0x80000002, 0x80000005))
    assert len(brand) == 48
    assert brand.startswith(b"Intel Xeon")
    assert brand.rstrip(b"\0").isascii()


def test_other_leaves_are_the_processor_s() -> None:
    assert answer(4, 3) == native(4, 3)
