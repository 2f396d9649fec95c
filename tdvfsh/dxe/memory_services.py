"""The boot services on memory: pages, pool, the memory map, and the RFC's AcceptMemory.

Source: UEFI 2.10 section 7.2; edk2 MdeModulePkg/Core/Dxe/Mem.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.dxe.accept_memory import accept_memory
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.get_memory_map import MemoryMapView
from tdvfsh.dxe.memory.memory_attributes_table import TABLE_TYPES
from tdvfsh.dxe.memory.pages import PagesResult
from tdvfsh.dxe.memory.pool import PoolResult
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.dxe.service_faults import ServiceFaults
from tdvfsh.lazy_typing import Final, NamedTuple, Protocol
from tdvfsh.td.contents import Contents
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import (
    AcceptMemoryCall,
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    FreePoolCall,
    GetMemoryMapCall,
)
from tdvfsh.uefi.guids import (
    EFI_EVENT_GROUP_MEMORY_MAP_CHANGE,
)
from tdvfsh.uefi.memory import (
    MEMORY_DESCRIPTOR_SIZE,
    MEMORY_DESCRIPTOR_VERSION,
    EfiAllocateType,
    EfiGcdMemoryType,
    MemoryDescriptor,
)
from tdvfsh.uefi.service_names import (
    ACCEPT_MEMORY,
    ALLOCATE_PAGES,
    ALLOCATE_POOL,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT

FITTING: Final = -1
"""A buffer into which the memory map fits; no caller in the guest can pass this."""
_OUT_OF_RESOURCES: Final = EfiStatus.EFI_OUT_OF_RESOURCES
_GONE: Final = EfiStatus.EFI_UNSUPPORTED
_ANY: Final = EfiAllocateType.AllocateAnyPages
_new: Final = tuple.__new__  # of a MemoryMapResult: what its constructor does, in half the time


class MemoryMapResult(NamedTuple):
    """Result of GetMemoryMap.

    ``memory_map_size`` is in bytes: what the map takes, or what is needed. None stands for what was left alone.
    """

    status: EfiStatus
    memory_map_size: int | None
    descriptors: Sequence[MemoryDescriptor]
    map_key: int | None
    descriptor_size: int | None
    descriptor_version: int | None


class OutOfResourcesHook(Protocol):
    """Hook that the allocator calls before it returns EFI_OUT_OF_RESOURCES (the RFC's option 1)."""

    def __call__(self, services: MemoryServices, allocate_type: int, size: int, memory: int) -> tuple[bool, int]:
        """Whether to try once more, and the caller's address variable, which may have changed."""
        ...


class MemoryServices:
    """The boot services on memory of one machine.

    Attributes:
        core: The DXE core of the table.
        td: The hardware.
        trace: The journal.
        on_out_of_resources: Option 1's hook, or None.
        fault_plan: Calls that fail on purpose, or None.
    """

    def __init__(self, core: DxeCore, td: TrustDomain, trace: Trace) -> None:
        self.core = core
        self.td = td
        self.trace = trace
        self.on_out_of_resources: OutOfResourcesHook | None = None
        self.fault_plan: ServiceFaults | None = None
        self._view: MemoryMapView | None = None
        self._view_key = self._view_version = 0

    @property
    def profile(self) -> FirmwareProfile:
        """The firmware generation's rules."""
        return self.core.profile

    @property
    def handles(self) -> HandleDatabase:
        """The handle database."""
        return self.core.handles

    @property
    def gcd(self) -> MemorySpaceMap:
        """The GCD memory space map."""
        return self.core.gcd

    @property
    def contents(self) -> Contents:
        """What stands in guest RAM."""
        return self.td.contents

    @property
    def at_runtime(self) -> bool:
        """Whether ExitBootServices has succeeded."""
        return self.core.at_runtime

    def allocate_pages(self, allocate_type: int, memory_type: int, pages: int, memory: int | None = 0) -> PagesResult:
        """AllocatePages; see :meth:`tdvfsh.dxe.memory.pages.PageAllocator.allocate_pages`.

        With option 1 in force an EFI_OUT_OF_RESOURCES leads to an accept and one more try; ``memory`` may then come
        back changed even where that fails.
        """
        record = self.trace.begin(AllocatePagesCall(allocate_type, memory_type, pages, memory))
        core = self.core
        if core.at_runtime:
            result = PagesResult(_GONE, memory or 0)
        elif self.fault_plan is not None and (fault := self._fault(ALLOCATE_PAGES)) is not None:
            result = PagesResult(fault, memory or 0)
        else:
            key = core.memory_map.key
            result = core.pages.allocate_pages(allocate_type, memory_type, pages, memory)
            if result.status is _OUT_OF_RESOURCES and self.on_out_of_resources is not None:
                again, limit = self.on_out_of_resources(self, allocate_type, pages << PAGE_SHIFT, result.memory)
                result = PagesResult(_OUT_OF_RESOURCES, limit)
                if again:
                    result = core.pages.allocate_pages(allocate_type, memory_type, pages, limit)
            if memory_type in TABLE_TYPES and result.status is SUCCESS:
                self._rebuild_attributes_table()
            if core.memory_map.key != key:
                core.events.signal_group(EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
        record.memory = result.memory
        self.trace.end(record, result.status)
        return result

    @property
    def allocates_unobserved(self) -> bool:
        """Whether an allocation that succeeds is nobody's business but the allocator's and the journal's."""
        core = self.core
        return (
            self.fault_plan is None
            and not core.at_runtime
            and core.memory_attributes_table is None
            and not core.events.has_listeners(EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
        )

    def take_pages(self, memory_type: int, pages: int) -> int:
        """:meth:`allocate_pages` of AllocateAnyPages while :attr:`allocates_unobserved`; 0 where it fails.

        Args:
            memory_type: One that no firmware refuses.
            pages: At least 1.
        """
        start = self.core.pages.allocate_pool_pages(memory_type, pages)
        if not start:
            status, start = self.allocate_pages(EfiAllocateType.AllocateAnyPages, memory_type, pages)
            return start if status is SUCCESS else 0
        record = AllocatePagesCall(_ANY, memory_type, pages, 0)
        record.memory = start
        self.trace.add(record)
        return start

    def give_pages(self, memory: int, pages: int) -> None:
        """:meth:`free_pages` while :attr:`allocates_unobserved`."""
        core = self.core
        status = core.pages.free_pages(memory, pages)
        if status is SUCCESS:
            core.protection.freed(memory, memory + (pages << PAGE_SHIFT))
        self.trace.add(FreePagesCall(memory, pages), status)

    def free_pages(self, memory: int, pages: int) -> EfiStatus:
        """FreePages; see :meth:`tdvfsh.dxe.memory.pages.PageAllocator.free_pages`."""
        record = self.trace.begin(FreePagesCall(memory, pages))
        core = self.core
        if core.at_runtime:
            status = _GONE
        else:
            key = core.memory_map.key
            freed_type = core.memory_map.type_at(memory) if core.memory_attributes_table is not None else None
            status = core.pages.free_pages(memory, pages)
            if status is SUCCESS:
                core.protection.freed(memory, memory + (pages << PAGE_SHIFT))
            if freed_type in TABLE_TYPES and status is SUCCESS:
                self._rebuild_attributes_table()
            if core.memory_map.key != key:
                core.events.signal_group(EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
        self.trace.end(record, status)
        return status

    def allocate_pool(self, pool_type: int, size: int, has_buffer: bool = True) -> PoolResult:
        """AllocatePool; see :meth:`tdvfsh.dxe.memory.pool.PoolAllocator.allocate_pool`."""
        record = self.trace.begin(AllocatePoolCall(pool_type, size))
        core = self.core
        if core.at_runtime:
            result = PoolResult(_GONE, None)
        elif self.fault_plan is not None and (fault := self._fault(ALLOCATE_POOL)) is not None:
            result = PoolResult(fault, None)
        else:
            key = core.memory_map.key
            result = core.pool.allocate_pool(pool_type, size, has_buffer)
            if result.status is _OUT_OF_RESOURCES and self.on_out_of_resources is not None:
                again, _ = self.on_out_of_resources(self, EfiAllocateType.AllocateAnyPages, size, 0)
                if again:
                    result = core.pool.allocate_pool(pool_type, size)
            if pool_type in TABLE_TYPES and result.status is SUCCESS:
                self._rebuild_attributes_table()
            if core.memory_map.key != key:
                core.events.signal_group(EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
        record.buffer = result.buffer
        self.trace.end(record, result.status)
        return result

    def free_pool(self, buffer: int) -> EfiStatus:
        """FreePool; see :meth:`tdvfsh.dxe.memory.pool.PoolAllocator.free_pool`."""
        record = self.trace.begin(FreePoolCall(buffer))
        core = self.core
        if core.at_runtime:
            status = _GONE
        else:
            key = core.memory_map.key
            freed_type = core.pool.type_of(buffer) if core.memory_attributes_table is not None else None
            status = core.pool.free_pool(buffer)
            if freed_type in TABLE_TYPES:
                self._rebuild_attributes_table()
            if core.memory_map.key != key:
                core.events.signal_group(EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
        self.trace.end(record, status)
        return status

    def get_memory_map(
        self,
        memory_map_size: int | None = FITTING,
        has_buffer: bool = True,
        wants: tuple[bool, bool, bool] = (True, True, True),
    ) -> MemoryMapResult:
        """GetMemoryMap.

        Args:
            memory_map_size: Bytes of the caller's buffer; None stands for a NULL pointer, :data:`FITTING` for as many
                as the map takes.
            has_buffer: Whether the caller passed a buffer.
            wants: Whether MapKey, DescriptorSize and DescriptorVersion have a place to go.

        Returns:
            EFI_INVALID_PARAMETER: No size, or no buffer although the size would do.
            EFI_BUFFER_TOO_SMALL: ``memory_map_size`` says what is needed; key and descriptor size are set, too.
        """
        if memory_map_size == FITTING:
            memory_map_size = self.core.count_descriptors() * MEMORY_DESCRIPTOR_SIZE
        record = self.trace.begin(GetMemoryMapCall(memory_map_size))
        core = self.core
        if core.at_runtime or memory_map_size is None:
            status = _GONE if core.at_runtime else EfiStatus.EFI_INVALID_PARAMETER
            self.trace.end(record, status)
            return MemoryMapResult(
                status=status,
                memory_map_size=memory_map_size,
                descriptors=(),
                map_key=None,
                descriptor_size=None,
                descriptor_version=None,
            )
        needed = core.count_descriptors() * MEMORY_DESCRIPTOR_SIZE
        descriptors: Sequence[MemoryDescriptor] = ()
        if memory_map_size < needed:
            status = EfiStatus.EFI_BUFFER_TOO_SMALL
        elif not has_buffer:
            status = EfiStatus.EFI_INVALID_PARAMETER
        else:
            status, descriptors = SUCCESS, self.memory_map_view().descriptors
            needed = len(descriptors) * MEMORY_DESCRIPTOR_SIZE
        wants_key, wants_size, wants_version = wants
        map_key = core.memory_map.key if wants_key else None
        record.memory_map_size, record.map_key = needed, map_key
        self.trace.end(record, status)
        size = MEMORY_DESCRIPTOR_SIZE if wants_size else None
        version = MEMORY_DESCRIPTOR_VERSION if wants_version else None
        return _new(MemoryMapResult, (status, needed, descriptors, map_key, size, version))

    def memory_map_view(self) -> MemoryMapView:
        """What GetMemoryMap would report now, for readers that are not the guest: no record, no size check."""
        core, view = self.core, self._view
        key, version = core.memory_map.key, core.gcd.version
        if view is None or key != self._view_key or version != self._view_version:
            self._view = view = core.read_memory_map()
            self._view_key, self._view_version = key, version
        return view

    def forget_view(self) -> None:
        """The core was replaced: what :meth:`memory_map_view` remembers is of another one."""
        self._view = None

    def accept_memory(self, start_address: int, size: int) -> EfiStatus:
        """AcceptMemory, the RFC's option 3; see :func:`tdvfsh.dxe.accept_memory.accept_memory`."""
        record = self.trace.begin(AcceptMemoryCall(start_address, size))
        key = self.core.memory_map.key
        if self.at_runtime:
            status = _GONE
        elif (fault := self._fault(ACCEPT_MEMORY)) is not None:
            status = fault
        else:
            status = accept_memory(self, start_address, size)
        self._signal_if_changed(key)
        self.trace.end(record, status)
        return status

    def unaccepted_bytes(self) -> int:
        """Bytes that the GCD still holds as unaccepted."""
        return sum(entry.size for entry in self.gcd.of_type(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted))

    def _fault(self, service: str) -> EfiStatus | None:
        return None if self.fault_plan is None else self.fault_plan.next_call(service)

    def _rebuild_attributes_table(self) -> None:
        if self.core.memory_attributes_table is not None:
            self.core.memory_attributes_table.rebuild(self.core)

    def _signal_if_changed(self, key: int) -> None:
        if self.core.memory_map.key != key:
            self.core.events.signal_group(EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
