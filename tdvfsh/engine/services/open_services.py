"""HandleProtocol to ProtocolsPerHandle: asking for the protocols of a handle, and which agents have opened them.

Source: UEFI 2.10 7.3; edk2 MdeModulePkg/Core/Dxe/Hand/Handle.c.
"""

from __future__ import annotations

import struct

from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER as BY_CHILD_CONTROLLER
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_DRIVER as BY_DRIVER
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_HANDLE_PROTOCOL as BY_HANDLE_PROTOCOL
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_EXCLUSIVE as EXCLUSIVE
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_GET_PROTOCOL as GET_PROTOCOL
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_TEST_PROTOCOL as TEST_PROTOCOL
from tdvfsh.engine.abi.buffers import give_array
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_ATTRIBUTES: Final = frozenset(
    (BY_HANDLE_PROTOCOL, GET_PROTOCOL, TEST_PROTOCOL, BY_CHILD_CONTROLLER, BY_DRIVER, EXCLUSIVE, BY_DRIVER | EXCLUSIVE)
)
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_ENTRY_SIZE: Final = 24  # sizeof (EFI_OPEN_PROTOCOL_INFORMATION_ENTRY)


class OpenServices:
    """HandleProtocol, OpenProtocol, CloseProtocol, OpenProtocolInformation, ProtocolsPerHandle.

    Args:
        context: Guest memory, and the way into guest code.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    @property
    def _handles(self) -> HandleDatabase:
        """The present one: going back to a snapshot replaces it."""
        return self._context.services.handles

    @service(service_names.HANDLE_PROTOCOL, "qgq")
    def handle_protocol(self, handle: int, protocol: int, interface: int) -> EfiStatus:
        """EFI_HANDLE_PROTOCOL: OpenProtocol on behalf of the context."""
        if not interface or not protocol:
            return _INVALID
        return self._open(handle, self._ram.guid(protocol), interface, (self._context.machine.firmware_image, 0, 1))

    @service(service_names.OPEN_PROTOCOL, "qgqqqd")
    def open_protocol(
        self, handle: int, protocol: int, interface: int, agent_handle: int, controller_handle: int, attributes: int
    ) -> EfiStatus:
        """EFI_OPEN_PROTOCOL."""
        if not protocol or attributes not in _ATTRIBUTES or (not interface and attributes != TEST_PROTOCOL):
            return _INVALID
        if attributes >= BY_CHILD_CONTROLLER and agent_handle not in self._handles:
            return _INVALID
        if attributes & (BY_CHILD_CONTROLLER | BY_DRIVER) and controller_handle not in self._handles:
            return _INVALID
        if attributes == BY_CHILD_CONTROLLER and handle == controller_handle:
            return _INVALID
        where = 0 if attributes == TEST_PROTOCOL else interface
        return self._open(handle, self._ram.guid(protocol), where, (agent_handle, controller_handle, attributes))

    def _open(self, handle: int, protocol: Guid, interface: int, use: tuple[int, int, int]) -> EfiStatus:
        """Store the interface's address and note the use; with ``interface`` 0 nothing is stored."""
        status, thing = self._handles.handle_protocol(handle, protocol)
        address = self._context.interfaces.address_of(handle, protocol, thing) if status is SUCCESS else None
        if status is SUCCESS and address is None:
            status = EfiStatus.EFI_UNSUPPORTED
        if status is SUCCESS:
            status = self._may_open(handle, protocol, use)
        if interface and status in (SUCCESS, EfiStatus.EFI_UNSUPPORTED, EfiStatus.EFI_ALREADY_STARTED):
            self._ram.put_u64(interface, address or 0)
        if status is SUCCESS and use[0]:
            self._handles.opens.open(handle, protocol, *use)
        return status

    def _may_open(self, handle: int, protocol: Guid, wanted: tuple[int, int, int]) -> EfiStatus:
        """Whether others leave room for a use: agent, controller, attributes."""
        attributes = wanted[2]
        if not attributes & (BY_DRIVER | EXCLUSIVE):
            return SUCCESS
        uses = self._handles.opens.of(handle, protocol)
        if attributes & BY_DRIVER and any(use[:3] == wanted for use in uses):
            return EfiStatus.EFI_ALREADY_STARTED
        drivers = [use.agent_handle for use in uses if use.attributes & BY_DRIVER]
        if any(use.attributes & EXCLUSIVE for use in uses) or (drivers and not attributes & EXCLUSIVE):
            return EfiStatus.EFI_ACCESS_DENIED
        if any(self._context.services.drivers.disconnect(handle, driver).is_error for driver in drivers):
            return EfiStatus.EFI_ACCESS_DENIED
        return SUCCESS

    @service(service_names.CLOSE_PROTOCOL, "qgqq")
    def close_protocol(self, handle: int, protocol: int, agent_handle: int, controller_handle: int) -> EfiStatus:
        """EFI_CLOSE_PROTOCOL."""
        handles = self._handles
        if not protocol or handle not in handles or agent_handle not in handles:
            return _INVALID
        if controller_handle and controller_handle not in handles:
            return _INVALID
        closed = handles.opens.close(handle, self._ram.guid(protocol), agent_handle, controller_handle)
        return SUCCESS if closed else EfiStatus.EFI_NOT_FOUND

    @service(service_names.OPEN_PROTOCOL_INFORMATION, "qgqq")
    def open_protocol_information(self, handle: int, protocol: int, entry_buffer: int, entry_count: int) -> EfiStatus:
        """EFI_OPEN_PROTOCOL_INFORMATION."""
        if not protocol or not entry_buffer or not entry_count:
            return _INVALID
        guid = self._ram.guid(protocol)
        if self._handles.handle_protocol(handle, guid).status is not SUCCESS:
            return EfiStatus.EFI_NOT_FOUND
        uses = self._handles.opens.of(handle, guid)
        data = b"".join(struct.pack("<QQII", *use) for use in uses)  # edk2 makes room for one entry where there is none
        return give_array(self._context, data or bytes(_ENTRY_SIZE), entry_buffer, entry_count, len(uses))

    @service(service_names.PROTOCOLS_PER_HANDLE, "qqq")
    def protocols_per_handle(self, handle: int, protocol_buffer: int, protocol_buffer_count: int) -> EfiStatus:
        """EFI_PROTOCOLS_PER_HANDLE: pointers to GUIDs, that of the protocol installed last first, as in edk2."""
        if handle not in self._handles or not protocol_buffer or not protocol_buffer_count:
            return _INVALID
        newest_first = reversed(self._handles.protocols(handle))
        pointers = [self._context.guid_address(guid) for guid in newest_first]
        data = struct.pack(f"<{len(pointers)}Q", *pointers)
        return give_array(self._context, data, protocol_buffer, protocol_buffer_count, len(pointers))
