"""EFI_BOOT_SERVICES: the one way by which the shell, the loaders and the CPU engine reach the DXE core.

Every method takes and returns plain values and a status, prints nothing, and leaves a record in the journal. After
ExitBootServices has succeeded every service answers EFI_UNSUPPORTED.

Source: UEFI 2.10 chapter 7; edk2 MdeModulePkg/Core/Dxe/DxeMain/DxeMain.c.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from tdvfsh.dxe.accept_memory import accept_memory
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.driver_support import DriverSupport
from tdvfsh.dxe.events import Notify
from tdvfsh.dxe.handles import HandleDatabase, HandleResult, LocateResult
from tdvfsh.dxe.images import ImageResult, ImageServices, StartResult
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.get_memory_map import MemoryMapView
from tdvfsh.dxe.memory.memory_attributes_table import TABLE_TYPES
from tdvfsh.dxe.memory.pages import PagesResult
from tdvfsh.dxe.memory.pool import PoolResult
from tdvfsh.dxe.profile import FirmwareProfile
from tdvfsh.dxe.service_faults import ServiceFaults
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
    LoadImageCall,
)
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import (
    EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES_FAILED,
    EFI_EVENT_GROUP_MEMORY_MAP_CHANGE,
    Guid,
    guid_name,
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
    EXIT,
    EXIT_BOOT_SERVICES,
    INSTALL_CONFIGURATION_TABLE,
    INSTALL_PROTOCOL_INTERFACE,
    LOAD_IMAGE,
    LOCATE_PROTOCOL,
    START_IMAGE,
    UNINSTALL_PROTOCOL_INTERFACE,
    UNLOAD_IMAGE,
)
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT

FITTING: Final = -1
"""A buffer into which the memory map fits; no caller in the guest can pass this."""
_OUT_OF_RESOURCES: Final = EfiStatus.EFI_OUT_OF_RESOURCES
_GONE: Final = EfiStatus.EFI_UNSUPPORTED
_new: Final = tuple.__new__  # of a MemoryMapResult: what its constructor does, in half the time


class MemoryMapResult(NamedTuple):
    """Result of GetMemoryMap.

    ``memory_map_size`` is in bytes: what the map takes, or what is needed. None stands for what was left alone.
    """

    status: EfiStatus
    memory_map_size: int | None
    descriptors: tuple[MemoryDescriptor, ...]
    map_key: int | None
    descriptor_size: int | None
    descriptor_version: int | None


class OutOfResourcesHook(Protocol):
    """Hook that the allocator calls before it returns EFI_OUT_OF_RESOURCES (the RFC's option 1)."""

    def __call__(self, services: BootServices, allocate_type: int, size: int, memory: int) -> tuple[bool, int]:
        """Whether to try once more, and the caller's address variable, which may have changed."""
        ...


class BootServices:
    """The boot-services table of one machine.

    Attributes:
        core: The DXE core of the table.
        td: The hardware.
        trace: The journal.
        images: The image services.
        drivers: ConnectController and DisconnectController.
        on_out_of_resources: Option 1's hook, or None.
        fault_plan: Calls that fail on purpose, or None.
    """

    def __init__(self, core: DxeCore, td: TrustDomain, trace: Trace) -> None:
        self.core = core
        self.td = td
        self.trace = trace
        self.images = ImageServices(self)
        self.drivers = DriverSupport(self)
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

    # ---- memory -------------------------------------------------------------------------------------------------

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
            if freed_type in TABLE_TYPES and status is SUCCESS:
                self._rebuild_attributes_table()
            if core.memory_map.key != key:
                core.events.signal_group(EFI_EVENT_GROUP_MEMORY_MAP_CHANGE)
        self.trace.end(record, status)
        return status

    def allocate_pool(self, pool_type: int, size: int, has_buffer: bool = True) -> PoolResult:
        """AllocatePool; see :meth:`tdvfsh.dxe.memory.pool.PoolAllocator.allocate_pool`."""
        record = self.trace.begin(AllocatePoolCall(pool_type, size))
        if self.at_runtime:
            result = PoolResult(_GONE, None)
        elif (fault := self._fault(ALLOCATE_POOL)) is not None:
            result = PoolResult(fault, None)
        else:
            key = self.core.memory_map.key
            result = self.core.pool.allocate_pool(pool_type, size, has_buffer)
            if result.status is _OUT_OF_RESOURCES and self.on_out_of_resources is not None:
                again, _ = self.on_out_of_resources(self, EfiAllocateType.AllocateAnyPages, size, 0)
                if again:
                    result = self.core.pool.allocate_pool(pool_type, size)
            if pool_type in TABLE_TYPES and result.status is SUCCESS:
                self._rebuild_attributes_table()
            self._signal_if_changed(key)
        record.buffer = result.buffer
        self.trace.end(record, result.status)
        return result

    def free_pool(self, buffer: int) -> EfiStatus:
        """FreePool; see :meth:`tdvfsh.dxe.memory.pool.PoolAllocator.free_pool`."""
        record = self.trace.begin(FreePoolCall(buffer))
        key = self.core.memory_map.key
        if self.at_runtime:
            status = _GONE
        else:
            freed_type = self.core.pool.type_of(buffer)
            status = self.core.pool.free_pool(buffer)
            if freed_type in TABLE_TYPES:
                self._rebuild_attributes_table()
        self._signal_if_changed(key)
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
            memory_map_size = self.memory_map_view().counted * MEMORY_DESCRIPTOR_SIZE
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
        reported, counted = self.memory_map_view()
        needed = counted * MEMORY_DESCRIPTOR_SIZE
        descriptors: tuple[MemoryDescriptor, ...] = ()
        if memory_map_size < needed:
            status = EfiStatus.EFI_BUFFER_TOO_SMALL
        elif not has_buffer:
            status = EfiStatus.EFI_INVALID_PARAMETER
        else:
            status, descriptors = SUCCESS, reported
            needed = len(reported) * MEMORY_DESCRIPTOR_SIZE
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

    # ---- images -------------------------------------------------------------------------------------------------

    def load_image(
        self,
        boot_policy: bool,
        parent: int | None,
        device_path: DevicePath | None,
        source: memoryview | None = None,
        has_image_handle: bool = True,
    ) -> ImageResult:
        """LoadImage; see :meth:`tdvfsh.dxe.images.ImageServices.load_image`.

        ``has_image_handle`` False stands for a NULL ImageHandle pointer: EFI_INVALID_PARAMETER.
        """
        record = self.trace.begin(
            LoadImageCall(
                str(device_path) if device_path is not None else None,
                len(source) if source is not None else None,
            )
        )
        if self.at_runtime:
            result = ImageResult(_GONE, None)
        elif (fault := self._fault(LOAD_IMAGE)) is not None:
            result = ImageResult(fault, None)
        elif not has_image_handle:
            result = ImageResult(EfiStatus.EFI_INVALID_PARAMETER, None)
        else:
            with self.trace.on_behalf_of("dxe"):
                result = self.images.load_image(boot_policy, parent, device_path, source)
        image = self.images.loaded_image(result.handle)
        if image is not None:
            record.handle = result.handle
            record.image_base, record.image_size = image.image_base, image.image_size
            record.image_code_type = image.image_code_type
        self.trace.end(record, result.status)
        return result

    def start_image(self, handle: int | None) -> StartResult:
        """StartImage; see :meth:`tdvfsh.dxe.images.ImageServices.start_image`."""
        record = self.trace.enter(START_IMAGE, handle=handle)
        if self.at_runtime:
            result = StartResult(_GONE)
        elif (fault := self._fault(START_IMAGE)) is not None:
            result = StartResult(fault)
        else:
            result = self.images.start_image(handle)
        self.trace.leave(record, result.status, exit_data=result.exit_data)
        return result

    def exit(self, handle: int, status: EfiStatus = SUCCESS, exit_data: str | None = None) -> EfiStatus:
        """Exit; see :meth:`tdvfsh.dxe.images.ImageServices.exit`."""
        record = self.trace.note(EXIT, handle=handle, exit_status=status.name)
        record.status = refusal = _GONE if self.at_runtime else self.images.exit(handle, status, exit_data)
        return refusal

    def unload_image(self, handle: int | None) -> EfiStatus:
        """UnloadImage; see :meth:`tdvfsh.dxe.images.ImageServices.unload_image`."""
        record = self.trace.enter(UNLOAD_IMAGE, handle=handle)
        if self.at_runtime:
            status = _GONE
        else:
            with self.trace.on_behalf_of("dxe"):
                status = self.images.unload_image(handle)
        self.trace.end(record, status)
        return status

    def exit_boot_services(self, image_handle: int | None = None, map_key: int | None = None) -> EfiStatus:
        """ExitBootServices. The handle is not looked at, as in edk2.

        Newer firmware signals BeforeExitBootServices on the first call ever; a listener that changes the map there
        makes this call fail and the loader ask again.

        Args:
            image_handle: The caller's image.
            map_key: The key of the memory map that the caller has; None for the map as it is now.

        Returns:
            EFI_INVALID_PARAMETER: The map has changed since ``map_key`` was given out.
        """
        if map_key is None:
            map_key = self.core.memory_map.key
        record = self.trace.enter(EXIT_BOOT_SERVICES, image_handle=image_handle, map_key=map_key)
        core = self.core
        if core.at_runtime:
            status = _GONE
        elif (fault := self._fault(EXIT_BOOT_SERVICES)) is not None:
            status = fault
        else:
            if core.profile.before_exit_boot_services and not core.exit_boot_services_called:
                core.exit_boot_services_called = True
                core.events.signal_group(EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES)
            if map_key != core.memory_map.key:
                status = EfiStatus.EFI_INVALID_PARAMETER
                core.events.signal_group(EFI_EVENT_GROUP_EXIT_BOOT_SERVICES_FAILED)
            else:
                status = SUCCESS
                core.events.signal_group(EFI_EVENT_GROUP_EXIT_BOOT_SERVICES)
                core.at_runtime = True
        self.trace.end(record, status)
        return status

    # ---- handles and events -------------------------------------------------------------------------------------

    def install_protocol_interface(self, handle: int | None, protocol: Guid, interface: object = None) -> HandleResult:
        """InstallProtocolInterface; see :meth:`tdvfsh.dxe.handles.HandleDatabase.install_protocol_interface`."""
        if self.at_runtime:
            return HandleResult(_GONE, None)
        result = self.handles.install_protocol_interface(handle, protocol, interface)
        self.trace.note(
            INSTALL_PROTOCOL_INTERFACE, result.status, handle=result.handle or handle, protocol=guid_name(protocol)
        )
        return result

    def uninstall_protocol_interface(self, handle: int, protocol: Guid) -> EfiStatus:
        """UninstallProtocolInterface; see :meth:`HandleDatabase.uninstall_protocol_interface`."""
        status = _GONE if self.at_runtime else self.handles.uninstall_protocol_interface(handle, protocol)
        self.trace.note(UNINSTALL_PROTOCOL_INTERFACE, status, handle=handle, protocol=guid_name(protocol))
        return status

    def locate_protocol(self, protocol: Guid) -> LocateResult:
        """LocateProtocol; see :meth:`tdvfsh.dxe.handles.HandleDatabase.locate_protocol`."""
        result = LocateResult(_GONE, None) if self.at_runtime else self.handles.locate_protocol(protocol)
        self.trace.note(LOCATE_PROTOCOL, result.status, protocol=guid_name(protocol))
        return result

    def install_configuration_table(self, guid: Guid, table: int | None) -> EfiStatus:
        """InstallConfigurationTable: add or replace; None removes, EFI_NOT_FOUND where there was none."""
        if self.at_runtime:
            status = _GONE
        elif table is not None:
            self.core.configuration_tables[guid] = table
            status = SUCCESS
        else:
            gone = self.core.configuration_tables.pop(guid, None)
            status = SUCCESS if gone is not None else EfiStatus.EFI_NOT_FOUND
        self.trace.note(INSTALL_CONFIGURATION_TABLE, status, guid=guid_name(guid), table=table)
        return status

    def create_event(self, notify: Notify | None = None, group: Guid | None = None) -> int:
        """CreateEventEx; see :meth:`tdvfsh.dxe.events.EventServices.create_event`."""
        return self.core.events.create_event(notify, group)

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
