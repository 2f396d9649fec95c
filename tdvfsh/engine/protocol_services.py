"""The protocol handler services, over the DXE core's handle database.

Source: UEFI 2.10 7.3; edk2 MdeModulePkg/Core/Dxe/Hand/{Handle,Locate,Notify,DriverSupport}.c.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tdvfsh.engine.device_paths import device_path_size, parse_device_path
from tdvfsh.engine.interfaces import GuestInterface
from tdvfsh.engine.services import Argument, service
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, Guid
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.engine.firmware import GuestFirmware

BY_HANDLE_PROTOCOL: Final = 0x1
GET_PROTOCOL: Final = 0x2
TEST_PROTOCOL: Final = 0x4
BY_CHILD_CONTROLLER: Final = 0x8
BY_DRIVER: Final = 0x10
EXCLUSIVE: Final = 0x20
_ATTRIBUTES: Final = frozenset((0x1, 0x2, 0x4, 0x8, 0x10, 0x20, 0x30))

_ALL_HANDLES: Final = 0
_BY_REGISTER_NOTIFY: Final = 1
_BY_PROTOCOL: Final = 2
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData


@dataclass(slots=True)
class _Use:
    """One entry of OpenProtocolInformation."""

    agent: int
    controller: int
    attributes: int
    count: int = 1


class ProtocolServices:
    """InstallProtocolInterface to LocateProtocol, with who has opened what."""

    def __init__(self, firmware: GuestFirmware) -> None:
        self._firmware = firmware
        self._services = firmware.services
        self._ram = firmware.ram
        self._uses: dict[tuple[int, Guid], list[_Use]] = {}
        self._registrations: dict[int, tuple[Guid, int, list[int]]] = {}

    # ---- installing ---------------------------------------------------------------------------------------------

    @service("InstallProtocolInterface", "qgdq", own_record=True)
    def install_protocol_interface(self, handle: int, protocol: int, interface_type: int, interface: int) -> EfiStatus:
        """EFI_INSTALL_PROTOCOL_INTERFACE."""
        if not handle or not protocol or interface_type:
            return _INVALID
        return self._install(handle, self._ram.guid(protocol), interface)

    def _install(self, handle_address: int, protocol: Guid, interface: int) -> EfiStatus:
        handle = self._ram.u64(handle_address)
        thing: object = GuestInterface(interface)
        if protocol == EFI_DEVICE_PATH_PROTOCOL_GUID and interface:
            thing = self._firmware.guest_device_path(interface)
        status, made = self._services.install_protocol_interface(handle or None, protocol, thing)
        if status is SUCCESS and made is not None:
            self._ram.put_u64(handle_address, made)
            for guid, event, waiting in self._registrations.values():
                if guid == protocol:
                    waiting.append(made)
                    self._firmware.core.events.signal_event(event)
        return status

    @service("ReinstallProtocolInterface", "qgqq")
    def reinstall_protocol_interface(
        self, handle: int, protocol: int, old_interface: int, new_interface: int
    ) -> EfiStatus:
        """EFI_REINSTALL_PROTOCOL_INTERFACE."""
        guid = self._ram.guid(protocol)
        status = self._matches(handle, guid, old_interface)
        if status is not SUCCESS:
            return status
        self._services.handles.protocols(handle)[guid] = GuestInterface(new_interface)
        return SUCCESS

    @service("UninstallProtocolInterface", "qgq", own_record=True)
    def uninstall_protocol_interface(self, handle: int, protocol: int, interface: int) -> EfiStatus:
        """EFI_UNINSTALL_PROTOCOL_INTERFACE."""
        return self._uninstall(handle, self._ram.guid(protocol), interface) if protocol else _INVALID

    def _uninstall(self, handle: int, protocol: Guid, interface: int) -> EfiStatus:
        status = self._matches(handle, protocol, interface)
        if status is not SUCCESS:
            return status
        if any(use.attributes & BY_DRIVER for use in self._uses.get((handle, protocol), ())):
            return EfiStatus.EFI_ACCESS_DENIED
        self._uses.pop((handle, protocol), None)
        return self._services.uninstall_protocol_interface(handle, protocol)

    def _matches(self, handle: int, protocol: Guid, interface: int) -> EfiStatus:
        if handle not in self._services.handles:
            return _INVALID
        protocols = self._services.handles.protocols(handle)
        if protocol not in protocols:
            return EfiStatus.EFI_NOT_FOUND
        address = self._firmware.interfaces.address_of(handle, protocol, protocols[protocol])
        return SUCCESS if address == interface else EfiStatus.EFI_NOT_FOUND

    @service("InstallMultipleProtocolInterfaces", "*")
    def install_multiple_protocol_interfaces(self, argument: Argument) -> EfiStatus:
        """EFI_INSTALL_MULTIPLE_PROTOCOL_INTERFACES: all or none."""
        handle, before = argument(0), self._ram.u64(argument(0))
        done: list[tuple[Guid, int]] = []
        for protocol, interface in self._pairs(argument):
            status = self._install(handle, protocol, interface)
            if status.is_error:
                for guid, address in reversed(done):
                    self._uninstall(self._ram.u64(handle), guid, address)
                self._ram.put_u64(handle, before)
                return status
            done.append((protocol, interface))
        return SUCCESS

    @service("UninstallMultipleProtocolInterfaces", "*")
    def uninstall_multiple_protocol_interfaces(self, argument: Argument) -> EfiStatus:
        """EFI_UNINSTALL_MULTIPLE_PROTOCOL_INTERFACES: all or none."""
        handle = argument(0)
        pairs = self._pairs(argument)
        if any(self._matches(handle, protocol, interface) is not SUCCESS for protocol, interface in pairs):
            return _INVALID
        for protocol, interface in pairs:
            self._uninstall(handle, protocol, interface)
        return SUCCESS

    def _pairs(self, argument: Argument) -> list[tuple[Guid, int]]:
        pairs = []
        position = 1
        while argument(position):
            pairs.append((self._ram.guid(argument(position)), argument(position + 1)))
            position += 2
        return pairs

    @service("RegisterProtocolNotify", "gqq")
    def register_protocol_notify(self, protocol: int, event: int, registration: int) -> EfiStatus:
        """EFI_REGISTER_PROTOCOL_NOTIFY."""
        if not protocol or not event or not registration:
            return _INVALID
        key = self._firmware.heap.allocate(16)
        self._registrations[key] = (self._ram.guid(protocol), event, [])
        self._ram.put_u64(registration, key)
        return SUCCESS

    # ---- asking -------------------------------------------------------------------------------------------------

    @service("HandleProtocol", "qgq")
    def handle_protocol(self, handle: int, protocol: int, interface: int) -> EfiStatus:
        """EFI_HANDLE_PROTOCOL."""
        if not interface or not protocol:
            return _INVALID
        guid = self._ram.guid(protocol)
        status = self._give(handle, guid, interface)
        if status is SUCCESS:
            self._note_use(handle, guid, _Use(self._firmware.machine.firmware_image, 0, BY_HANDLE_PROTOCOL))
        return status

    def _give(self, handle: int, protocol: Guid, interface: int) -> EfiStatus:
        status, thing = self._services.handles.handle_protocol(handle, protocol)
        address = self._firmware.interfaces.address_of(handle, protocol, thing) if status is SUCCESS else None
        if status is SUCCESS and address is None:
            status = EfiStatus.EFI_UNSUPPORTED
        if interface:
            self._ram.put_u64(interface, address or 0)
        return status

    @service("OpenProtocol", "qgqqqd")
    def open_protocol(
        self, handle: int, protocol: int, interface: int, agent_handle: int, controller_handle: int, attributes: int
    ) -> EfiStatus:
        """EFI_OPEN_PROTOCOL."""
        handles = self._services.handles
        if not protocol or attributes not in _ATTRIBUTES or (not interface and attributes != TEST_PROTOCOL):
            return _INVALID
        if attributes >= BY_CHILD_CONTROLLER and agent_handle not in handles:
            return _INVALID
        if attributes in (BY_CHILD_CONTROLLER, BY_DRIVER, BY_DRIVER | EXCLUSIVE) and controller_handle not in handles:
            return _INVALID
        guid = self._ram.guid(protocol)
        if attributes == TEST_PROTOCOL:
            return handles.handle_protocol(handle, guid).status
        uses = self._uses.get((handle, guid), [])
        if attributes & (BY_DRIVER | EXCLUSIVE):
            for use in uses:
                same = use.agent == agent_handle and use.controller == controller_handle
                if use.attributes == attributes and same:
                    return EfiStatus.EFI_ALREADY_STARTED
                if use.attributes & EXCLUSIVE or (attributes == BY_DRIVER and use.attributes & BY_DRIVER):
                    return EfiStatus.EFI_ACCESS_DENIED
                if use.attributes & BY_DRIVER:
                    return EfiStatus.EFI_ACCESS_DENIED  # nothing here can disconnect that driver
        status = self._give(handle, guid, interface)
        if status is SUCCESS:
            self._note_use(handle, guid, _Use(agent_handle, controller_handle, attributes))
        return status

    def _note_use(self, handle: int, protocol: Guid, new: _Use) -> None:
        uses = self._uses.setdefault((handle, protocol), [])
        for use in uses:
            if (use.agent, use.controller, use.attributes) == (new.agent, new.controller, new.attributes):
                use.count += 1
                return
        uses.append(new)

    @service("CloseProtocol", "qgqq")
    def close_protocol(self, handle: int, protocol: int, agent_handle: int, controller_handle: int) -> EfiStatus:
        """EFI_CLOSE_PROTOCOL."""
        if not protocol or handle not in self._services.handles or agent_handle not in self._services.handles:
            return _INVALID
        key = (handle, self._ram.guid(protocol))
        uses = self._uses.get(key, [])
        left = [use for use in uses if (use.agent, use.controller) != (agent_handle, controller_handle)]
        if len(left) == len(uses):
            return EfiStatus.EFI_NOT_FOUND
        self._uses[key] = left
        return SUCCESS

    @service("OpenProtocolInformation", "qgqq")
    def open_protocol_information(self, handle: int, protocol: int, entry_buffer: int, entry_count: int) -> EfiStatus:
        """EFI_OPEN_PROTOCOL_INFORMATION."""
        guid = self._ram.guid(protocol)
        status = self._services.handles.handle_protocol(handle, guid).status
        if status is not SUCCESS:
            return EfiStatus.EFI_NOT_FOUND
        uses = self._uses.get((handle, guid), [])
        data = b"".join(struct.pack("<QQII", use.agent, use.controller, use.attributes, use.count) for use in uses)
        return self._give_pool(data or bytes(1), entry_buffer, entry_count, len(uses))

    @service("ProtocolsPerHandle", "qqq")
    def protocols_per_handle(self, handle: int, protocol_buffer: int, protocol_buffer_count: int) -> EfiStatus:
        """EFI_PROTOCOLS_PER_HANDLE: pointers to GUIDs."""
        if handle not in self._services.handles:
            return _INVALID
        guids = list(self._services.handles.protocols(handle))
        pointers = [self._firmware.guid_address(guid) for guid in guids]
        data = struct.pack(f"<{len(pointers)}Q", *pointers)
        return self._give_pool(data, protocol_buffer, protocol_buffer_count, len(guids))

    # ---- locating -----------------------------------------------------------------------------------------------

    @service("LocateHandle", "dgqqq")
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
        return SUCCESS

    @service("LocateHandleBuffer", "dgqqq")
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
        return self._give_pool(struct.pack(f"<{len(found)}Q", *found), buffer, no_handles, len(found))

    def _search(self, search_type: int, protocol: int, search_key: int) -> tuple[EfiStatus, list[int]]:
        handles = self._services.handles
        if search_type == _ALL_HANDLES:
            found = handles.locate_handles()
        elif search_type == _BY_PROTOCOL and protocol:
            found = handles.locate_handles(self._ram.guid(protocol))
        elif search_type == _BY_REGISTER_NOTIFY and search_key in self._registrations:
            waiting = self._registrations[search_key][2]
            found = [waiting.pop(0)] if waiting else []
        else:
            return _INVALID, []
        return (SUCCESS if found else EfiStatus.EFI_NOT_FOUND), found

    @service("LocateProtocol", "gqq", own_record=True)
    def locate_protocol(self, protocol: int, registration: int, interface: int) -> EfiStatus:
        """EFI_LOCATE_PROTOCOL."""
        if not interface or not protocol:
            return _INVALID
        guid = self._ram.guid(protocol)
        status, thing = self._services.locate_protocol(guid)
        if registration in self._registrations:
            waiting = self._registrations[registration][2]
            if not waiting:
                return EfiStatus.EFI_NOT_FOUND
            thing = self._services.handles.protocols(waiting.pop(0)).get(guid)
        handle = next(iter(self._services.handles.locate_handles(guid)), 0)
        address = self._firmware.interfaces.address_of(handle, guid, thing) if status is SUCCESS else None
        self._ram.put_u64(interface, address or 0)
        return EfiStatus.EFI_NOT_FOUND if status is SUCCESS and address is None else status

    @service("LocateDevicePath", "gqq")
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

    # ---- drivers ------------------------------------------------------------------------------------------------

    @service("ConnectController", "qqqb")
    def connect_controller(
        self, controller_handle: int, driver_image_handle: int, remaining_device_path: int, recursive: int
    ) -> EfiStatus:
        """EFI_CONNECT_CONTROLLER: the firmware's devices are connected, and it starts no other drivers."""
        return EfiStatus.EFI_NOT_FOUND if controller_handle in self._services.handles else _INVALID

    def _give_pool(self, data: bytes, buffer: int, count: int, number: int) -> EfiStatus:
        """A pool buffer that the caller frees."""
        with self._services.trace.on_behalf_of("dxe"):
            status, address = self._services.allocate_pool(_BS_DATA, max(len(data), 1))
        if status is not SUCCESS or address is None:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        self._ram.write(address, data)
        self._ram.put_u64(buffer, address)
        self._ram.put_u64(count, number)
        return SUCCESS
