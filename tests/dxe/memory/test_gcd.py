from __future__ import annotations

import pytest

from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.uefi.memory import EfiGcdMemoryType
from tests.dxe.machines import page

SYSTEM = EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory
UNACCEPTED = EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted
NOTHING = EfiGcdMemoryType.EfiGcdMemoryTypeNonExistent


def kinds(gcd: MemorySpaceMap) -> list[tuple[int, EfiGcdMemoryType]]:
    return [(entry.start // 4096, entry.memory_type) for entry in gcd]


def test_the_map_covers_the_whole_address_width_from_the_start() -> None:
    gcd = MemorySpaceMap(36)
    assert [(entry.start, entry.end, entry.memory_type) for entry in gcd] == [(0, 1 << 36, NOTHING)]
    assert gcd.get_memory_space_descriptor(1 << 36) is None
    assert gcd.get_memory_space_descriptor(-1) is None
    first = gcd.get_memory_space_descriptor(0)
    assert first is not None
    assert first.start == 0


def test_what_is_added_must_be_something_somewhere_and_new() -> None:
    gcd = MemorySpaceMap(36)
    assert gcd.add_memory_space(NOTHING, 0, page(1), 0).name == "EFI_INVALID_PARAMETER"
    assert gcd.add_memory_space(SYSTEM, 0, 0, 0).name == "EFI_INVALID_PARAMETER"
    assert gcd.add_memory_space(SYSTEM, (1 << 36) - page(1), page(2), 0).name == "EFI_UNSUPPORTED"
    assert gcd.add_memory_space(SYSTEM, 0, page(4), 0).name == "EFI_SUCCESS"
    assert gcd.add_memory_space(UNACCEPTED, page(3), page(4), 0).name == "EFI_ACCESS_DENIED"


def test_system_memory_belongs_to_the_core_and_unaccepted_memory_to_nobody() -> None:
    gcd = MemorySpaceMap(36)
    gcd.add_memory_space(SYSTEM, 0, page(4), 0)
    gcd.add_memory_space(UNACCEPTED, page(4), page(4), 0)
    assert gcd.remove_memory_space(0, page(1)).name == "EFI_ACCESS_DENIED"
    assert gcd.remove_memory_space(page(5), page(1)).name == "EFI_SUCCESS"
    assert kinds(gcd) == [(0, SYSTEM), (4, UNACCEPTED), (5, NOTHING), (6, UNACCEPTED), (8, NOTHING)]


@pytest.mark.parametrize(
    ("start", "length", "status"),
    [(0, 0, "EFI_INVALID_PARAMETER"), (1 << 36, 4096, "EFI_UNSUPPORTED"), (0, 4096, "EFI_NOT_FOUND")],
)
def test_what_is_not_there_cannot_be_removed(start: int, length: int, status: str) -> None:
    assert MemorySpaceMap(36).remove_memory_space(start, length).name == status


def test_equal_neighbours_become_one_and_a_copy_goes_its_own_way() -> None:
    gcd = MemorySpaceMap(36)
    gcd.add_memory_space(UNACCEPTED, 0, page(1), 0)
    gcd.add_memory_space(UNACCEPTED, page(2), page(1), 0)
    twin = gcd.copy()
    gcd.add_memory_space(UNACCEPTED, page(1), page(1), 0)
    assert len(gcd) == 2
    assert len(twin) == 4
    assert gcd.version == twin.version + 1
