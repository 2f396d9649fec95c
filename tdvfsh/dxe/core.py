"""The state of the DXE core, put together so that it can be copied as one."""

from __future__ import annotations

from tdvfsh.dxe.events import EventServices
from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.dxe.memory.bins import Bins
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.get_memory_map import MemoryMapView
from tdvfsh.dxe.memory.map_reader import MapReader
from tdvfsh.dxe.memory.memory_attributes_table import MemoryAttributesTable
from tdvfsh.dxe.memory.memory_map import MapEntry, MemoryMap
from tdvfsh.dxe.memory.pages import PageAllocator
from tdvfsh.dxe.memory.pool import PoolAllocator
from tdvfsh.dxe.memory.protection import MemoryProtection
from tdvfsh.dxe.monotonic_count import MonotonicCounter
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.dxe.time import RealTimeClock
from tdvfsh.dxe.variables import VariableStore
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import EfiStatus


@dataclass(slots=True)
class DxeCore:
    """Memory and its protection, handles, events, variables, date and monotonic count of one running firmware.

    Build it with :func:`start_core`; copy it with :meth:`copy`. ``memory_attributes_table`` is None until the firmware
    has signalled ReadyToBoot, and where the rebuilding of that table is not wanted. ``system_table`` is the address of
    EFI_SYSTEM_TABLE; None where no program has run on a processor.
    """

    profile: FirmwareProfile
    memory_map: MemoryMap
    bins: Bins
    gcd: MemorySpaceMap
    pages: PageAllocator
    pool: PoolAllocator
    protection: MemoryProtection = field(default_factory=MemoryProtection)
    handles: HandleDatabase = field(default_factory=HandleDatabase)
    events: EventServices = field(default_factory=EventServices)
    configuration_tables: dict[Guid, int] = field(default_factory=dict)
    variables: VariableStore = field(default_factory=VariableStore)
    real_time_clock: RealTimeClock = field(default_factory=RealTimeClock)
    monotonic_counter: MonotonicCounter = field(default_factory=MonotonicCounter)
    system_table: int | None = None
    memory_attributes_table: MemoryAttributesTable | None = None
    at_runtime: bool = False
    exit_boot_services_called: bool = False
    map_reader: MapReader = field(default_factory=MapReader, compare=False)

    def read_memory_map(self) -> MemoryMapView:
        """Everything GetMemoryMap would report now."""
        return self.map_reader.read(self.memory_map, self.bins, self.gcd, self.profile)

    def count_descriptors(self) -> int:
        """How many descriptors of it the size check of GetMemoryMap counts."""
        return self.map_reader.count(self.memory_map, self.bins, self.gcd, self.profile)

    def set_variable(self, name: str, vendor: Guid, attributes: int, data: bytes) -> EfiStatus:
        """SetVariable; see :meth:`tdvfsh.dxe.variables.VariableStore.set_variable` and, for the keys of Secure Boot,
        :func:`tdvfsh.dxe.secure_boot.authenticated.set_key_variable`.
        """
        if name in ("PK", "KEK", "db", "dbx", "dbt"):
            from tdvfsh.dxe.secure_boot.authenticated import is_key_variable, set_key_variable

            if is_key_variable(name, vendor):
                return set_key_variable(self.variables, name, attributes, data)
        return self.variables.set_variable(name, vendor, attributes, data, at_runtime=self.at_runtime)

    def memory_copy(self) -> DxeCore:
        """A core with a copy of the memory map and the GCD, in whose pools and handles there is nothing: for trials."""
        memory_map = self.memory_map.copy()
        pages = PageAllocator(memory_map, self.bins, self.profile)
        return DxeCore(
            profile=self.profile,
            memory_map=memory_map,
            bins=self.bins,
            gcd=self.gcd.copy(),
            pages=pages,
            pool=PoolAllocator(pages),
        )

    def copy(self) -> DxeCore:
        """An independent core in the same state."""
        memory_map = self.memory_map.copy()
        pages = PageAllocator(memory_map, self.bins, self.profile)
        return DxeCore(
            profile=self.profile,
            memory_map=memory_map,
            bins=self.bins,
            gcd=self.gcd.copy(),
            pages=pages,
            pool=self.pool.copy(pages),
            protection=self.protection.copy(),
            handles=self.handles.copy(),
            events=self.events.copy(),
            configuration_tables=self.configuration_tables.copy(),
            variables=self.variables.copy(),
            real_time_clock=self.real_time_clock.copy(),
            monotonic_counter=self.monotonic_counter.copy(),
            system_table=self.system_table,
            memory_attributes_table=None
            if self.memory_attributes_table is None
            else self.memory_attributes_table.copy(),
            at_runtime=self.at_runtime,
            exit_boot_services_called=self.exit_boot_services_called,
        )


def start_core(profile: FirmwareProfile, entries: list[MapEntry], bins: Bins, gcd: MemorySpaceMap) -> DxeCore:
    """A core whose memory map holds ``entries`` (RAM only; all else stands in the GCD)."""
    memory_map = MemoryMap(entries)
    pages = PageAllocator(memory_map, bins, profile)
    return DxeCore(profile=profile, memory_map=memory_map, bins=bins, gcd=gcd, pages=pages, pool=PoolAllocator(pages))
