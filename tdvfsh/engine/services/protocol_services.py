"""Installing protocols, notification of them, and locating them, over the DXE core's handle database.

Source: UEFI 2.10 7.3; edk2 MdeModulePkg/Core/Dxe/Hand/{Handle,Locate,Notify}.c.
"""

from __future__ import annotations

import struct

from tdvfsh.dxe.protocol_notify import ProtocolNotifies
from tdvfsh.engine.abi.buffers import give_array
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.device_paths import device_path_size, parse_device_path
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import Argument, service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_ALL_HANDLES: Final = 0
_BY_REGISTER_NOTIFY: Final = 1
_BY_PROTOCOL: Final = 2
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class ProtocolServices:
    """InstallProtocolInterface to LocateDevicePath.

    Args:
        context: Guest memory, and the way into guest code.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._services = context.services
        self._ram = context.ram

    # ---- installing ---------------------------------------------------------------------------------------------

    @service(service_names.INSTALL_PROTOCOL_INTERFACE, "qgdq", own_record=True)
    def install_protocol_interface(self, handle: int, protocol: int, interface_type: int, interface: int) -> EfiStatus:
        """EFI_INSTALL_PROTOCOL_INTERFACE."""
        if not handle or not protocol or interface_type:
            return _INVALID
        return self._install(handle, self._ram.guid(protocol), interface)

    def _install(self, handle_address: int, protocol: Guid, interface: int) -> EfiStatus:
        handle = self._ram.u64(handle_address)
        status, made = self._services.install_protocol_interface(
            handle or None, protocol, self._interface(protocol, interface)
        )
        if status is SUCCESS and made is not None:
            self._ram.put_u64(handle_address, made)
            self._notify(made, protocol)
        return status

    def _interface(self, protocol: Guid, address: int) -> GuestInterface | DevicePath:
        if protocol == EFI_DEVICE_PATH_PROTOCOL_GUID and address:
            return self._context.device_path(address)
        return GuestInterface(address)

    def installed(self, handle: int, protocol: Guid) -> None:
        """The firmware has installed a protocol: notify the registrations for it."""
        self._notify(handle, protocol)

    def announce(self, handle: int) -> None:
        """The firmware has made a handle: notify the registrations of its protocols."""
        for protocol in self._services.handles.protocols(handle):
            self._notify(handle, protocol)

    def _notify(self, handle: int, protocol: Guid) -> None:
        for event in self._notifies.announce(handle, protocol):
            self._context.core.events.signal_event(event)

    @property
    def _notifies(self) -> ProtocolNotifies:
        """The present ones: going back to a snapshot replaces them."""
        return self._services.handles.notifies

    @service(service_names.REINSTALL_PROTOCOL_INTERFACE, "qgqq")
    def reinstall_protocol_interface(
        self, handle: int, protocol: int, old_interface: int, new_interface: int
    ) -> EfiStatus:
        """EFI_REINSTALL_PROTOCOL_INTERFACE: drivers stop, the interface changes, drivers start, and it is announced."""
        if not protocol:
            return _INVALID
        guid = self._ram.guid(protocol)
        status = self._matches(handle, guid, old_interface)
        if status is not SUCCESS:
            return status
        if not self._context.services.drivers.release(handle, guid):
            return EfiStatus.EFI_ACCESS_DENIED
        self._notifies.forget(handle, guid)
        if new_interface != old_interface or guid == EFI_DEVICE_PATH_PROTOCOL_GUID:
            self._services.handles.protocols(handle)[guid] = self._interface(guid, new_interface)
        self._context.services.drivers.connect(handle, recursive=True)
        self._notify(handle, guid)
        return SUCCESS

    @service(service_names.UNINSTALL_PROTOCOL_INTERFACE, "qgq", own_record=True)
    def uninstall_protocol_interface(self, handle: int, protocol: int, interface: int) -> EfiStatus:
        """EFI_UNINSTALL_PROTOCOL_INTERFACE."""
        return self._uninstall(handle, self._ram.guid(protocol), interface) if protocol else _INVALID

    def _uninstall(self, handle: int, protocol: Guid, interface: int) -> EfiStatus:
        status = self._matches(handle, protocol, interface)
        if status is not SUCCESS:
            return status
        if not self._context.services.drivers.release(handle, protocol):
            return EfiStatus.EFI_ACCESS_DENIED
        self._notifies.forget(handle, protocol)
        return self._services.uninstall_protocol_interface(handle, protocol)

    def _matches(self, handle: int, protocol: Guid, interface: int) -> EfiStatus:
        if handle not in self._services.handles:
            return _INVALID
        protocols = self._services.handles.protocols(handle)
        if protocol not in protocols:
            return EfiStatus.EFI_NOT_FOUND
        address = self._context.interfaces.address_of(handle, protocol, protocols[protocol])
        return SUCCESS if address == interface else EfiStatus.EFI_NOT_FOUND

    @service(service_names.INSTALL_MULTIPLE_PROTOCOL_INTERFACES, "*")
    def install_multiple_protocol_interfaces(self, argument: Argument) -> EfiStatus:
        """EFI_INSTALL_MULTIPLE_PROTOCOL_INTERFACES: all or none, and no device path a second time."""
        handle = argument(0)
        if not handle:
            return _INVALID
        before = self._ram.u64(handle)
        pairs = self._pairs(argument)
        if any(self._stands_already(protocol, interface) for protocol, interface in pairs):
            return EfiStatus.EFI_ALREADY_STARTED
        for number, (protocol, interface) in enumerate(pairs):
            status = self._install(handle, protocol, interface)
            if status.is_error:
                for guid, address in reversed(pairs[:number]):
                    self._uninstall(self._ram.u64(handle), guid, address)
                self._ram.put_u64(handle, before)
                return status
        return SUCCESS

    def _stands_already(self, protocol: Guid, interface: int) -> bool:
        if protocol != EFI_DEVICE_PATH_PROTOCOL_GUID or not interface:
            return False
        path = parse_device_path(self._ram, interface)
        status, _, rest = self._services.handles.locate_device_path(protocol, path)
        return status is SUCCESS and not rest.nodes

    @service(service_names.UNINSTALL_MULTIPLE_PROTOCOL_INTERFACES, "*")
    def uninstall_multiple_protocol_interfaces(self, argument: Argument) -> EfiStatus:
        """EFI_UNINSTALL_MULTIPLE_PROTOCOL_INTERFACES: all or none."""
        handle = argument(0)
        pairs = self._pairs(argument)
        if handle not in self._services.handles or any(
            self._matches(handle, protocol, interface) is not SUCCESS for protocol, interface in pairs
        ):
            return _INVALID
        for number, (protocol, interface) in enumerate(pairs):
            if self._uninstall(handle, protocol, interface).is_error:
                for guid, address in pairs[:number]:
                    thing = self._interface(guid, address)
                    self._services.handles.install_protocol_interface(handle, guid, thing)
                return _INVALID
        return SUCCESS

    def _pairs(self, argument: Argument) -> list[tuple[Guid, int]]:
        pairs = []
        position = 1
        while argument(position):
            pairs.append((self._ram.guid(argument(position)), argument(position + 1)))
            position += 2
        return pairs

    @service(service_names.REGISTER_PROTOCOL_NOTIFY, "gqq")
    def register_protocol_notify(self, protocol: int, event: int, registration: int) -> EfiStatus:
        """EFI_REGISTER_PROTOCOL_NOTIFY."""
        if not protocol or not event or not registration:
            return _INVALID
        self._ram.put_u64(registration, self._notifies.register(self._ram.guid(protocol), event))
        return SUCCESS

    # ---- locating -----------------------------------------------------------------------------------------------

    @service(service_names.LOCATE_HANDLE, "dgqqq")
    def locate_handle(
        self, search_type: int, protocol: int, search_key: int, buffer_size: int, buffer: int
    ) -> EfiStatus:
        """EFI_LOCATE_HANDLE."""
        if not buffer_size:
            return _INVALID
        status, found = self._search(search_type, protocol, search_key)
        if status is not SUCCESS:
            return status
        room = self._ram.u64(buffer_size)
        self._ram.put_u64(buffer_size, 8 * len(found))
        if room < 8 * len(found):
            return EfiStatus.EFI_BUFFER_TOO_SMALL
        if not buffer:
            return _INVALID
        self._ram.write(buffer, struct.pack(f"<{len(found)}Q", *found))
        if search_type == _BY_REGISTER_NOTIFY:
            self._notifies.take(search_key)
        return SUCCESS

    @service(service_names.LOCATE_HANDLE_BUFFER, "dgqqq")
    def locate_handle_buffer(
        self, search_type: int, protocol: int, search_key: int, no_handles: int, buffer: int
    ) -> EfiStatus:
        """EFI_LOCATE_HANDLE_BUFFER: the caller frees the buffer."""
        if not no_handles or not buffer:
            return _INVALID
        status, found = self._search(search_type, protocol, search_key)
        if status is not SUCCESS:
            self._ram.put_u64(no_handles, 0)
            self._ram.put_u64(buffer, 0)
            return status
        status = give_array(self._context, struct.pack(f"<{len(found)}Q", *found), buffer, no_handles, len(found))
        if search_type == _BY_REGISTER_NOTIFY and status is SUCCESS:
            self._notifies.take(search_key)
        return status

    def _search(self, search_type: int, protocol: int, search_key: int) -> tuple[EfiStatus, list[int]]:
        handles = self._services.handles
        if search_type == _ALL_HANDLES:
            found = handles.locate_handles()
        elif search_type == _BY_PROTOCOL and protocol:
            found = handles.locate_handles(self._ram.guid(protocol))
        elif search_type == _BY_REGISTER_NOTIFY and (next_one := self._notifies.next_handle(search_key)) is not None:
            found = next_one
        else:
            return _INVALID, []
        return (SUCCESS if found else EfiStatus.EFI_NOT_FOUND), found

    @service(service_names.LOCATE_PROTOCOL, "gqq", own_record=True)
    def locate_protocol(self, protocol: int, registration: int, interface: int) -> EfiStatus:
        """EFI_LOCATE_PROTOCOL."""
        if not interface or not protocol:
            return _INVALID
        guid = self._ram.guid(protocol)
        handle: int | None
        if registration:
            handle = self._notifies.take(registration)
            status, thing = self._services.handles.handle_protocol(handle or 0, guid)
        else:
            handle = next(iter(self._services.handles.locate_handles(guid)), None)
            status, thing = self._services.locate_protocol(guid)
        found = status is SUCCESS and handle is not None
        address = self._context.interfaces.address_of(handle, guid, thing) if found and handle is not None else None
        self._ram.put_u64(interface, address or 0)
        return SUCCESS if address is not None else EfiStatus.EFI_NOT_FOUND

    @service(service_names.LOCATE_DEVICE_PATH, "gqq")
    def locate_device_path(self, protocol: int, device_path: int, device: int) -> EfiStatus:
        """EFI_LOCATE_DEVICE_PATH: the path moves on to what the handle does not cover."""
        if not protocol or not device_path or not self._ram.u64(device_path):
            return _INVALID
        address = self._ram.u64(device_path)
        path = parse_device_path(self._ram, address)
        status, handle, rest = self._services.handles.locate_device_path(self._ram.guid(protocol), path)
        if status is not SUCCESS or handle is None:
            return status
        if not device:
            return _INVALID
        matched = DevicePath(path.nodes[: len(path.nodes) - len(rest.nodes)])
        self._ram.put_u64(device_path, address + device_path_size(matched))
        self._ram.put_u64(device, handle)
        return SUCCESS
