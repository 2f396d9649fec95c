"""The Memory Attributes Table, as far as it moves memory: it is built anew at every runtime allocation and free.

Building it takes a pool buffer for the memory map and one for the new table, and frees the first and the old table
back. These BootServicesData pools show in the memory map and in its key, so a caller's next address depends on them.
What the table says is not modelled.

Source: UEFI 2.10 4.6.4; edk2 MdeModulePkg/Core/Dxe/Misc/MemoryAttributesTable.c (InstallMemoryAttributesTable,
CoreGetMemoryMapWithSeparatedImageSection); held by
tests/dxe/memory/test_memory_attributes_table.py and the recorded walks.
"""

from __future__ import annotations

from tdvfsh.dxe.memory.get_memory_map import build_memory_map
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.uefi.memory import MEMORY_DESCRIPTOR_SIZE, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS

if TYPE_CHECKING:
    from tdvfsh.dxe.core import DxeCore

TABLE_TYPES: Final = frozenset({EfiMemoryType.EfiRuntimeServicesCode, EfiMemoryType.EfiRuntimeServicesData})
"""Types that the table lists, and whose allocation or free rebuilds it."""

_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_TABLE_HEADER_SIZE: Final = 16  # sizeof (EFI_MEMORY_ATTRIBUTES_TABLE)


@dataclass(slots=True)
class MemoryAttributesTable:
    """The table's place and what decides its size.

    Attributes:
        spare_descriptors: Room in the map buffer for splitting the runtime drivers in memory into their sections.
        split_entries: Entries that splitting them into sections adds to the runtime descriptors of the map.
        table: Pool buffer of the current table; 0 before the first one.
    """

    spare_descriptors: int
    split_entries: int
    table: int = 0

    def copy(self) -> MemoryAttributesTable:
        """An independent copy."""
        return MemoryAttributesTable(self.spare_descriptors, self.split_entries, self.table)

    def table_size(self, core: DxeCore) -> int:
        """Bytes that the table of the present map takes."""
        descriptors = build_memory_map(core.memory_map, core.bins, core.gcd, core.profile).descriptors
        runtime = sum(descriptor.memory_type in TABLE_TYPES for descriptor in descriptors)
        return _TABLE_HEADER_SIZE + MEMORY_DESCRIPTOR_SIZE * (runtime + self.split_entries)

    def rebuild(self, core: DxeCore) -> None:
        """InstallMemoryAttributesTable. Where a pool is exhausted the old table stays."""
        counted = build_memory_map(core.memory_map, core.bins, core.gcd, core.profile).counted
        counted += self.spare_descriptors
        status, memory_map = core.pool.allocate_pool(_BS_DATA, counted * MEMORY_DESCRIPTOR_SIZE)
        if status is not SUCCESS or memory_map is None:
            return
        status, table = core.pool.allocate_pool(_BS_DATA, self.table_size(core))
        core.pool.free_pool(memory_map)
        if status is not SUCCESS or table is None:
            return
        if self.table:
            core.pool.free_pool(self.table)
        self.table = table
