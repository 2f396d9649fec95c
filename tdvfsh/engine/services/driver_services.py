"""ConnectController and DisconnectController: drivers that guests have installed are asked, started and stopped.

The firmware's own devices need no driver. Nobody here overrides the order of drivers; the highest version comes first.

Source: UEFI 2.10 7.3.12 and 7.3.13; edk2 MdeModulePkg/Core/Dxe/Hand/DriverSupport.c.
"""

from __future__ import annotations

import struct
from typing import Final

from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.protocol_uses import BY_DRIVER, ProtocolUses
from tdvfsh.engine.abi.service_table import service, status_of
from tdvfsh.uefi.guids import EFI_DRIVER_BINDING_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_SUPPORTED: Final = 0
_START: Final = 8
_STOP: Final = 16
_VERSION: Final = 24
_END_OF_PATH: Final = b"\x7f\xff"
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class DriverServices:
    """The two services, over the uses of protocols.

    Args:
        context: Guest memory, and the way into guest code.
        uses: Who has opened what.
    """

    def __init__(self, context: GuestContext, uses: ProtocolUses) -> None:
        self._context = context
        self._ram = context.ram
        self._uses = uses

    @property
    def _handles(self) -> HandleDatabase:
        """The present one: going back to a snapshot replaces it."""
        return self._context.services.handles

    @service("ConnectController", "qqqb")
    def connect_controller(
        self, controller_handle: int, driver_image_handle: int, remaining_device_path: int, recursive: int
    ) -> EfiStatus:
        """EFI_CONNECT_CONTROLLER: EFI_NOT_FOUND where no driver started."""
        if controller_handle not in self._handles:
            return _INVALID
        first: list[int] = []
        while driver_image_handle and (handle := self._ram.u64(driver_image_handle + 8 * len(first))):
            first.append(handle)
        status = self._connect(controller_handle, first, remaining_device_path)
        if recursive:
            for child in self._uses.children_of(controller_handle):
                self.connect_controller(child, 0, 0, 1)
        return status

    def _connect(self, controller: int, first: list[int], remaining_device_path: int) -> EfiStatus:
        """Ask until nobody is left who supports the controller; whoever did is asked no more."""
        drivers = self._drivers(first)
        started = False
        while (driver := self._supporter(drivers, controller, remaining_device_path)) is not None:
            drivers.remove(driver)
            started |= not self._call(driver, _START, controller, remaining_device_path).is_error
        ended = bool(remaining_device_path) and self._ram.read(remaining_device_path, 2) == _END_OF_PATH
        return SUCCESS if started or ended else EfiStatus.EFI_NOT_FOUND

    def _drivers(self, first: list[int]) -> list[int]:
        """Driver binding interfaces: the caller's in their order, then the others from the highest version down."""
        known = {
            handle: binding
            for handle in self._handles.locate_handles(EFI_DRIVER_BINDING_PROTOCOL_GUID)
            if (binding := self._binding(handle))
        }
        chosen = [known[handle] for handle in first if handle in known]
        others = sorted(known.values(), key=lambda address: -self._ram.u32(address + _VERSION))
        return list(dict.fromkeys([*chosen, *others]))

    def _supporter(self, drivers: list[int], controller: int, remaining_device_path: int) -> int | None:
        for driver in drivers:
            if not self._call(driver, _SUPPORTED, controller, remaining_device_path).is_error:
                return driver
        return None

    def _binding(self, handle: int) -> int:
        """Address of a driver's EFI_DRIVER_BINDING_PROTOCOL, 0 where it has none."""
        interface = self._handles.protocols(handle).get(EFI_DRIVER_BINDING_PROTOCOL_GUID)
        return interface.address if isinstance(interface, GuestInterface) else 0

    def _call(self, driver: int, function: int, controller: int, *arguments: int) -> EfiStatus:
        return status_of(self._context.call(self._ram.u64(driver + function), driver, controller, *arguments))

    @service("DisconnectController", "qqq")
    def disconnect_controller(self, controller_handle: int, driver_image_handle: int, child_handle: int) -> EfiStatus:
        """EFI_DISCONNECT_CONTROLLER: EFI_SUCCESS where no driver manages the controller."""
        if controller_handle not in self._handles or (child_handle and child_handle not in self._handles):
            return _INVALID
        return self.disconnect(controller_handle, driver_image_handle or None, child_handle or None)

    def disconnect(self, controller: int, driver: int | None = None, child: int | None = None) -> EfiStatus:
        """Stop one driver of a controller, or all; for one child, or for all of them.

        Returns:
            EFI_INVALID_PARAMETER: ``driver`` is none.
            EFI_NOT_FOUND: None was stopped; of edk2 also where ``driver`` does not manage the controller at all.
        """
        managing = self._uses.drivers_of(controller)
        if driver is None and not managing:
            return SUCCESS
        stopped = False
        for agent in managing if driver is None else [driver]:
            binding = self._binding(agent)
            if not binding:
                return _INVALID
            if agent in managing:
                stopped |= self._stop(binding, agent, controller, child)
        return SUCCESS if stopped else EfiStatus.EFI_NOT_FOUND

    def _stop(self, binding: int, agent: int, controller: int, child: int | None) -> bool:
        children = self._uses.children_of(controller, agent)
        if child is not None and child not in children:
            return False
        doomed = children if child is None else [child]
        if doomed:
            buffer = self._context.heap.allocate(8 * len(doomed))
            self._ram.write(buffer, struct.pack(f"<{len(doomed)}Q", *doomed))
            status = self._call(binding, _STOP, controller, len(doomed), buffer)
            self._context.heap.free(buffer)
            if status.is_error:
                return False
        if len(doomed) < len(children):
            return True
        return not self._call(binding, _STOP, controller, 0, 0).is_error

    def release(self, handle: int, protocol: Guid) -> bool:
        """Make the drivers that use an interface let go of it; where somebody holds on, all are connected again."""
        for driver in [use.agent for use in self._uses.of(handle, protocol) if use.attributes & BY_DRIVER]:
            if self.disconnect(handle, driver).is_error:
                break
        else:
            self._uses.forget_passing(handle, protocol)
        if not self._uses.of(handle, protocol):
            return True
        self.connect_controller(handle, 0, 0, 1)
        return False
