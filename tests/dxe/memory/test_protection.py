"""Memory protection: what memory types and images may be written and executed, and what programs change of it."""

from __future__ import annotations

import pytest

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.protection import POLICIES, MemoryProtection
from tdvfsh.dxe.memory_attribute_protocol import MemoryAttributeProtocol
from tdvfsh.uefi.memory import EFI_MEMORY_RO, EFI_MEMORY_RP, EFI_MEMORY_XP, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tests.dxe.machines import ANY, BS_DATA, LOADER_CODE, LOADER_DATA, own_image, plain_machine
from tests.engine.assembler import Program, pe_image

PAGE = 0x1000


def machine(policy: str) -> BootServices:
    services = plain_machine()
    services.core.protection = MemoryProtection(POLICIES[policy])
    return services


def attributes(services: BootServices, start: int, pages: int = 1) -> int | None:
    core = services.core
    return core.protection.attributes_of(core.memory_map, start, start + pages * PAGE)


@pytest.mark.parametrize(
    ("policy", "executable"),
    [
        ("none", {LOADER_CODE, LOADER_DATA, BS_DATA}),
        ("ovmf", {LOADER_CODE, LOADER_DATA, BS_DATA}),
        ("attributes", {LOADER_CODE, LOADER_DATA, BS_DATA}),
        ("nx", {LOADER_CODE}),
        ("strict", set()),
    ],
)
def test_a_policy_says_which_memory_types_are_executable(policy: str, executable: set[EfiMemoryType]) -> None:
    services = machine(policy)
    found = set()
    for kind in (LOADER_CODE, LOADER_DATA, BS_DATA):
        start = services.allocate_pages(ANY, kind, 2, 0).memory
        if attributes(services, start, 2) == 0:
            found.add(kind)
    assert found == executable


def test_types_of_operating_systems_and_vendors_have_bits_of_their_own() -> None:
    nx = POLICIES["nx"]
    assert [nx.of_type(kind) for kind in (0x70000000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)] == [EFI_MEMORY_XP] * 4
    assert nx.of_type(EfiMemoryType.EfiRuntimeServicesCode) == 0


def test_an_image_is_mapped_by_its_sections_until_it_is_unloaded() -> None:
    services = machine("nx")
    source = memoryview(pe_image(Program().ret(0).code(), flags=0x60000020))
    handle = services.load_image(False, own_image(services), None, source).handle
    image = services.images.loaded_image(handle)
    assert image is not None
    assert attributes(services, image.image_base) == EFI_MEMORY_XP  # its headers
    assert attributes(services, image.image_base + PAGE) == EFI_MEMORY_RO
    assert services.unload_image(handle) is SUCCESS
    assert attributes(services, image.image_base, 2) == EFI_MEMORY_XP  # free memory
    assert not list(services.core.protection.ranges())


def test_an_image_that_is_not_aligned_is_loaded_without_protection() -> None:
    services = machine("nx")
    data = bytearray(pe_image(Program().ret(0).code()))
    data[64 + 24 + 32 : 64 + 24 + 36] = (0x200).to_bytes(4, "little")  # SectionAlignment
    handle = services.load_image(False, own_image(services), None, memoryview(bytes(data))).handle
    image = services.images.loaded_image(handle)
    assert image is not None
    assert attributes(services, image.image_base, 2) == 0


@pytest.mark.parametrize(
    ("flags", "dll_characteristics", "status", "why"),
    [
        (0x60000020, 0x100, SUCCESS, ""),
        (0x60000020, 0, EfiStatus.EFI_SECURITY_VIOLATION, "NX_COMPAT"),
        (0xE0000020, 0x100, EfiStatus.EFI_LOAD_ERROR, ".text is writable and executable"),
    ],
)
def test_strict_firmware_refuses_what_it_cannot_protect(
    flags: int, dll_characteristics: int, status: EfiStatus, why: str
) -> None:
    services = machine("strict")
    source = memoryview(pe_image(Program().ret(0).code(), flags=flags, dll_characteristics=dll_characteristics))
    result = services.load_image(False, own_image(services), None, source)
    assert result.status is status
    refusal = services.images.refusal
    assert why in (refusal.why if refusal is not None else "")
    if status is not SUCCESS:
        assert result.handle is None
        assert [entry.memory_type for entry in services.core.memory_map].count(LOADER_CODE) == 0


def test_the_protocol_changes_ranges_and_tells_what_differs_inside_one() -> None:
    services = machine("nx")
    protocol = MemoryAttributeProtocol(services)
    start = services.allocate_pages(ANY, LOADER_DATA, 4, 0).memory
    assert protocol.get_memory_attributes(start, 4 * PAGE) == (SUCCESS, EFI_MEMORY_XP)
    assert protocol.clear_memory_attributes(start, PAGE, EFI_MEMORY_XP) is SUCCESS
    assert protocol.set_memory_attributes(start, PAGE, EFI_MEMORY_RO) is SUCCESS
    assert protocol.get_memory_attributes(start, PAGE) == (SUCCESS, EFI_MEMORY_RO)
    assert protocol.get_memory_attributes(start, 2 * PAGE).status is EfiStatus.EFI_NO_MAPPING
    assert services.free_pages(start, 4) is SUCCESS
    assert protocol.get_memory_attributes(start, 4 * PAGE) == (SUCCESS, EFI_MEMORY_XP)


@pytest.mark.parametrize(
    ("base", "length", "bits", "status"),
    [
        (0x1001, PAGE, EFI_MEMORY_RO, EfiStatus.EFI_UNSUPPORTED),
        (0x1000, PAGE + 1, EFI_MEMORY_RO, EfiStatus.EFI_UNSUPPORTED),
        (0x1000, 0, EFI_MEMORY_RO, EfiStatus.EFI_INVALID_PARAMETER),
        (0x1000, PAGE, 0, EfiStatus.EFI_INVALID_PARAMETER),
        (0x1000, PAGE, EFI_MEMORY_RO | 8, EfiStatus.EFI_INVALID_PARAMETER),
        (1 << 50, PAGE, EFI_MEMORY_RP, EfiStatus.EFI_UNSUPPORTED),
    ],
)
def test_the_protocol_refuses_what_edk2_refuses(base: int, length: int, bits: int, status: EfiStatus) -> None:
    protocol = MemoryAttributeProtocol(machine("nx"))
    assert protocol.set_memory_attributes(base, length, bits) is status
    assert protocol.clear_memory_attributes(base, length, bits) is status


def test_a_copy_is_independent_and_equal() -> None:
    services = machine("nx")
    protection = services.core.protection
    protection.set_range(0x1000, 0x3000, EFI_MEMORY_RO)
    twin = services.core.copy().protection
    assert twin == protection
    twin.set_range(0x1000, 0x2000, 0)
    assert twin != protection
