"""EFI_BOOT_SERVICES: the one way by which the shell, the loaders and the CPU engine reach the DXE core.

Every method takes and returns plain values and a status, prints nothing, and leaves a record in the journal. After
ExitBootServices has succeeded every service answers EFI_UNSUPPORTED.

Source: UEFI 2.10 chapter 7; edk2 MdeModulePkg/Core/Dxe/DxeMain/DxeMain.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.driver_support import DriverSupport
from tdvfsh.dxe.events import Notify
from tdvfsh.dxe.handles import HandleResult, LocateResult
from tdvfsh.dxe.images import ImageResult, ImageServices, StartResult
from tdvfsh.dxe.memory_services import MemoryServices
from tdvfsh.lazy_typing import Final
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import (
    LoadImageCall,
)
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import (
    EFI_EVENT_GROUP_BEFORE_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES,
    EFI_EVENT_GROUP_EXIT_BOOT_SERVICES_FAILED,
    Guid,
    guid_name,
)
from tdvfsh.uefi.service_names import (
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

_GONE: Final = EfiStatus.EFI_UNSUPPORTED


class BootServices(MemoryServices):
    """The boot-services table of one machine.

    Attributes:
        images: The image services.
        drivers: ConnectController and DisconnectController.
        configuration_tables_changed: Called when a table was installed or removed, before its event group is signaled.
    """

    def __init__(self, core: DxeCore, td: TrustDomain, trace: Trace) -> None:
        super().__init__(core, td, trace)
        self.images = ImageServices(self)
        self.drivers = DriverSupport(self)
        self.configuration_tables_changed: Callable[[], None] = lambda: None

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
        """InstallConfigurationTable: add or replace; None removes, EFI_NOT_FOUND where there was none.

        Events of the group that has the table's GUID are signaled.
        """
        if self.at_runtime:
            status = _GONE
        elif table is not None:
            self.core.configuration_tables[guid] = table
            status = SUCCESS
        else:
            gone = self.core.configuration_tables.pop(guid, None)
            status = SUCCESS if gone is not None else EfiStatus.EFI_NOT_FOUND
        self.trace.note(INSTALL_CONFIGURATION_TABLE, status, guid=guid_name(guid), table=table)
        if status is SUCCESS:
            self.configuration_tables_changed()
            self.core.events.signal_group(guid)
        return status

    def create_event(self, notify: Notify | None = None, group: Guid | None = None) -> int:
        """CreateEventEx; see :meth:`tdvfsh.dxe.events.EventServices.create_event`."""
        return self.core.events.create_event(notify, group)
