from __future__ import annotations

import pytest

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.memory.bins import stack_bins
from tdvfsh.dxe.memory.memory_map import MapEntry
from tdvfsh.dxe.profile import RFC2021, TRIXIE, UPSTREAM, FirmwareProfile
from tdvfsh.uefi.memory import EFI_MEMORY_RUNTIME, EFI_MEMORY_XP, EfiGcdMemoryType
from tests.dxe.machines import ANY, CONVENTIONAL, LOADER_DATA, RAM, RESERVED, RT_DATA, WB, page, plain_machine

SIZE = 48
TOP = RAM // 4096
UNACCEPTED = EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted


def needed(services: BootServices) -> int:
    return services.get_memory_map(0, has_buffer=False).memory_map_size or 0


def reported(services: BootServices) -> list[tuple[int, int, int]]:
    return [(entry[0], entry[1] // 4096, entry[2]) for entry in services.get_memory_map(1 << 20).descriptors]


def with_bin(profile: FirmwareProfile) -> BootServices:
    return plain_machine(profile, [MapEntry(0, RAM, CONVENTIONAL, WB)], stack_bins(RAM - page(8), [(RT_DATA, 8)]))


def test_without_a_size_nothing_is_written() -> None:
    result = plain_machine().get_memory_map(None)
    assert result.status.name == "EFI_INVALID_PARAMETER"
    assert (result.map_key, result.descriptor_size, result.descriptor_version) == (None, None, None)


def test_a_buffer_too_small_is_told_before_a_null_one_and_sets_everything_else() -> None:
    services = plain_machine()
    result = services.get_memory_map(0, has_buffer=False)
    assert result.status.name == "EFI_BUFFER_TOO_SMALL"
    assert (result.map_key, result.descriptor_size, result.descriptor_version) == (
        services.core.memory_map.key, SIZE, 1,
    )  # fmt: skip
    assert services.get_memory_map(1 << 20, has_buffer=False).status.name == "EFI_INVALID_PARAMETER"


def test_the_size_that_it_asks_for_is_enough_and_one_byte_less_is_not() -> None:
    services = with_bin(UPSTREAM)
    assert services.get_memory_map(needed(services)).status.name == "EFI_SUCCESS"
    assert services.get_memory_map(needed(services) - 1).status.name == "EFI_BUFFER_TOO_SMALL"


def test_key_and_sizes_may_have_no_place_to_go() -> None:
    result = plain_machine().get_memory_map(1 << 20, wants=(False, False, False))
    assert result.status.name == "EFI_SUCCESS"
    assert (result.map_key, result.descriptor_size, result.descriptor_version) == (None, None, None)


def test_asking_does_not_move_the_key() -> None:
    services = plain_machine()
    assert {services.get_memory_map(1 << 20).map_key for _ in range(3)} == {services.core.memory_map.key}


def test_free_memory_in_a_special_bin_is_reported_as_the_bins_type() -> None:
    assert reported(with_bin(UPSTREAM)) == [
        (CONVENTIONAL, 0, TOP - 16), (RT_DATA, TOP - 16, 8), (CONVENTIONAL, TOP - 8, 8),
    ]  # fmt: skip


def test_older_firmware_reports_so_only_where_a_whole_descriptor_lies_in_the_bin() -> None:
    services = with_bin(TRIXIE)
    assert reported(services) == [(CONVENTIONAL, 0, TOP)]
    services.allocate_pages(2, LOADER_DATA, 1, page(TOP - 17))
    services.allocate_pages(2, LOADER_DATA, 1, page(TOP - 8))
    assert (RT_DATA, TOP - 16, 8) in reported(services)


def test_what_is_joined_for_the_caller_is_counted_apart_in_the_needed_size() -> None:
    services = with_bin(TRIXIE)
    services.allocate_pages(2, LOADER_DATA, 1, page(TOP - 17))
    services.allocate_pages(2, LOADER_DATA, 1, page(TOP - 8))
    services.allocate_pages(ANY, RT_DATA, 2, 0)
    assert needed(services) == (len(reported(services)) + 1) * SIZE


@pytest.mark.parametrize(("profile", "extra"), [(TRIXIE, 0), (UPSTREAM, 2)])
def test_newer_firmware_counts_two_descriptors_more_for_each_bin(profile: FirmwareProfile, extra: int) -> None:
    services = with_bin(profile)
    assert needed(services) == (len(services.core.memory_map) + extra) * SIZE


def test_runtime_types_carry_the_runtime_attribute() -> None:
    services = plain_machine()
    services.allocate_pages(ANY, RT_DATA, 1, 0)
    assert services.get_memory_map(1 << 20).descriptors[-1].attribute == WB | EFI_MEMORY_RUNTIME


def test_access_capabilities_keep_descriptors_apart_in_the_count_but_are_not_shown() -> None:
    entries = [MapEntry(0, page(4), CONVENTIONAL, WB), MapEntry(page(4), RAM, CONVENTIONAL, WB | EFI_MEMORY_XP)]
    services = plain_machine(TRIXIE, entries)
    assert needed(services) == 2 * SIZE
    assert reported(services) == [(CONVENTIONAL, 0, TOP)]


def test_ranges_that_only_the_gcd_knows_follow_all_ram_even_where_they_lie_below_it() -> None:
    services = plain_machine(entries=[MapEntry(page(16), RAM, CONVENTIONAL, WB)])
    gcd = services.gcd
    gcd.remove_memory_space(1 << 40, 4096)
    gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeReserved, 0xE0000000, page(16), 0, 1)
    gcd.add_memory_space(UNACCEPTED, RAM, page(8), 0)
    assert reported(services)[1:] == [(15, TOP, 8), (RESERVED, 0xE0000, 16)]


def test_mmio_is_reported_only_where_the_runtime_needs_it() -> None:
    services = plain_machine()
    kind = EfiGcdMemoryType.EfiGcdMemoryTypeMemoryMappedIo
    services.gcd.add_memory_space(kind, 0xF0000000, page(1), 0, 1)
    services.gcd.add_memory_space(kind, 0xFFC00000, page(1), 0, EFI_MEMORY_RUNTIME | 1)
    assert reported(services)[1:] == [(11, 0xFFC00, 1)]


def test_unaccepted_ranges_show_what_they_can_be_cached_as() -> None:
    services = plain_machine()
    services.gcd.add_memory_space(UNACCEPTED, RAM, page(8), 0x8000000000000000 | WB, 0)
    assert services.get_memory_map(1 << 20).descriptors[-1].attribute == WB


def test_firmware_of_2021_forgets_unaccepted_ranges_in_the_size_it_asks_for() -> None:
    services = plain_machine(RFC2021)
    services.gcd.add_memory_space(UNACCEPTED, RAM, page(8), 0)
    assert needed(services) == SIZE
    assert len(reported(services)) == 2


def test_a_descriptor_packs_into_forty_eight_bytes_with_the_fields_where_they_belong() -> None:
    packed = plain_machine().get_memory_map(1 << 20).descriptors[0].pack()
    assert len(packed) == SIZE
    assert packed[:4] == b"\x07\0\0\0"
    assert int.from_bytes(packed[24:32], "little") == TOP
