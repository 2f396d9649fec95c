"""Driver bindings of the firmware: what their drivers start on, what they make there, and how they take it back.

A driver starts on a controller that has an interface which it was told of, as the devices of a board are known: it
opens that interface, puts others beside it and makes child controllers. Stop() undoes all of that.

Source: UEFI 2.10 11.1 and 11.5; edk2 MdeModulePkg/Core/Dxe/Hand/DriverSupport.c for who is asked when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.handles import HandleDatabase
from tdvfsh.dxe.open_protocols import (
    EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER,
    EFI_OPEN_PROTOCOL_BY_DRIVER,
    EFI_OPEN_PROTOCOL_EXCLUSIVE,
)
from tdvfsh.engine.abi.interfaces import GuestDevicePath, GuestInterface
from tdvfsh.engine.drivers.modules import DriverModule
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Protocol
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_BUSY = EFI_OPEN_PROTOCOL_BY_DRIVER | EFI_OPEN_PROTOCOL_EXCLUSIVE


class Child(Protocol):
    """A child controller that a bus driver makes."""

    @property
    def name(self) -> str | None:
        """What GetControllerName() returns for it; None for nothing."""
        ...

    def make(self) -> int:
        """Its handle, with its protocols on it."""
        ...

    def remove(self, handle: int) -> bool:
        """Take the protocols away; False where a driver of the child does not stop."""
        ...


class Interfaces:
    """Protocol interfaces of the drivers in the handle database.

    Args:
        services: Whose handle database.
        announce: Signals the registrations for a new interface.
    """

    def __init__(self, services: BootServices, announce: Callable[[int, Guid], None]) -> None:
        self._services = services
        self._announce = announce

    @property
    def handles(self) -> HandleDatabase:
        """The present one: going back to a snapshot replaces it."""
        return self._services.handles

    def install(self, handle: int | None, protocols: Mapping[Guid, object]) -> int:
        """Put interfaces on a handle, a new one for None; those that it has stay."""
        for guid, interface in protocols.items():
            if handle is None or guid not in self.handles.protocols(handle):
                handle = self.handles.install_protocol_interface(handle, guid, interface).handle
                assert handle is not None
                self._announce(handle, guid)
        assert handle is not None
        return handle

    def remove(self, handle: int, protocols: Mapping[Guid, object]) -> bool:
        """Take interfaces away that are still there, after their drivers stopped; all stay where one does not."""
        mine = [guid for guid, thing in protocols.items() if same(self.handles.protocols(handle).get(guid), thing)]
        if not all(self._services.drivers.release(handle, guid) for guid in reversed(mine)):
            return False
        for guid in reversed(mine):
            self.handles.notifies.forget(handle, guid)
            self.handles.uninstall_protocol_interface(handle, guid)
        return True


@dataclass(slots=True, eq=False)
class MadeChild:
    """A child controller on a handle of its own.

    Attributes:
        interfaces: Puts them on it and takes them away.
        protocols: Its interfaces.
        name: What GetControllerName() returns for it.
    """

    interfaces: Interfaces
    protocols: Mapping[Guid, object]
    name: str | None = None

    def make(self) -> int:
        """A new handle."""
        return self.interfaces.install(None, self.protocols)

    def remove(self, handle: int) -> bool:
        """Take its protocols away."""
        return self.interfaces.remove(handle, self.protocols)


@dataclass(frozen=True, slots=True, eq=False)
class StandingChild:
    """A child controller that was there before and stays: one of the virtual consoles.

    Attributes:
        handle: Its handle.
        name: What GetControllerName() returns for it.
    """

    handle: int
    name: str

    def make(self) -> int:
        """The handle."""
        return self.handle

    def remove(self, handle: int) -> bool:
        """Nothing."""
        return True


@dataclass(slots=True, kw_only=True)
class Device:
    """A controller that a driver manages.

    Attributes:
        interface: The interface by which the driver knows it.
        produces: What it puts on the controller's handle.
        children: The child controllers that it makes.
        name: What GetControllerName() returns for the controller; None for nothing.
    """

    interface: object
    produces: dict[Guid, object] = field(default_factory=dict)
    children: Sequence[Child] = ()
    name: str | None = None


def same(one: object, other: object) -> bool:
    """Whether two entries of the handle database are one interface."""
    if isinstance(one, GuestInterface | GuestDevicePath) and isinstance(other, GuestInterface | GuestDevicePath):
        return one.address == other.address
    return one is other


class FirmwareBinding:
    """EFI_DRIVER_BINDING_PROTOCOL of a driver of the firmware.

    Args:
        module: The driver.
        interfaces: The handle database.
        consumes: The protocol that it opens on its controllers.
        also_opens: Others that it opens there, where they are.

    Attributes:
        needs: A protocol that a controller must have, too; it is not opened.
        handle: DriverBindingHandle.
        image_handle: ImageHandle.
        devices: The controllers that it knows how to manage.
    """

    def __init__(
        self, module: DriverModule, interfaces: Interfaces, consumes: Guid, also_opens: Sequence[Guid] = ()
    ) -> None:
        self.module = module
        self.consumes = consumes
        self.handle = self.image_handle = 0
        self.devices: list[Device] = []
        self.needs: Guid | None = None
        self._also_opens = also_opens
        self._interfaces = interfaces
        self._children: dict[tuple[int, int], Child] = {}

    @property
    def version(self) -> int:
        """Version."""
        return self.module.version

    @property
    def _handles(self) -> HandleDatabase:
        return self._interfaces.handles

    def device_of(self, controller: int) -> Device | None:
        """The device of a controller's handle; None for one that this driver does not know."""
        protocols = self._handles.protocols(controller)
        interface = protocols.get(self.consumes)
        if interface is None or (self.needs is not None and self.needs not in protocols):
            return None
        return next((one for one in self.devices if same(one.interface, interface)), None)

    def manages(self, controller: int) -> bool:
        """EfiTestManagedDevice(): whether this driver has opened the controller."""
        uses = self._handles.opens.of(controller, self.consumes)
        return any(use.agent_handle == self.handle and use.attributes & EFI_OPEN_PROTOCOL_BY_DRIVER for use in uses)

    def name_of(self, controller: int, child: int) -> str | None:
        """What GetControllerName() returns for a controller, or for a child of it; None for EFI_UNSUPPORTED."""
        device = self.device_of(controller)
        if device is None or not self.manages(controller):
            return None
        if not child:
            return device.name
        if child not in self._handles.opens.children_of(controller, self.handle):
            return None
        made = self._children.get((controller, child))
        return None if made is None else made.name

    # ---- EFI_DRIVER_BINDING_PROTOCOL --------------------------------------------------------------------------------

    def supported(self, controller: int, remaining: int) -> EfiStatus:
        """Supported()."""
        if self.device_of(controller) is None:
            return EfiStatus.EFI_UNSUPPORTED
        if self.manages(controller):
            return EfiStatus.EFI_ALREADY_STARTED
        uses = self._handles.opens.of(controller, self.consumes)
        return EfiStatus.EFI_ACCESS_DENIED if any(use.attributes & _BUSY for use in uses) else SUCCESS

    def start(self, controller: int, remaining: int) -> EfiStatus:
        """Start()."""
        status = self.supported(controller, remaining)
        return self.bring_up(controller) if status is SUCCESS else status

    def bring_up(self, controller: int) -> EfiStatus:
        """Start(), whatever is open: where the machine has gone back, what the drivers had opened before still is."""
        device = self.device_of(controller)
        if device is None:
            return EfiStatus.EFI_UNSUPPORTED
        self._open(controller)
        self._interfaces.install(controller, device.produces)
        for child in device.children:
            self._adopt_child(controller, child, child.make())
        return SUCCESS

    def stop(self, controller: int, children: Sequence[int]) -> EfiStatus:
        """Stop()."""
        if children:
            gone = [self._remove_child(controller, child) for child in children]
            return SUCCESS if all(gone) else EfiStatus.EFI_DEVICE_ERROR
        device = self.device_of(controller)
        if device is not None and not self._interfaces.remove(controller, device.produces):
            return EfiStatus.EFI_DEVICE_ERROR
        for guid in (self.consumes, *self._also_opens):
            self._handles.opens.close(controller, guid, self.handle, controller)
        return SUCCESS

    # ---- what is there already --------------------------------------------------------------------------------------

    def adopt(self, controller: int, device: Device, children: Mapping[int, Child]) -> None:
        """A controller with everything on it that Start() would have put there.

        Args:
            controller: Its handle.
            device: What it is.
            children: Its child controllers by their handles.
        """
        self.devices.append(device)
        self._open(controller)
        for handle, child in children.items():
            self._adopt_child(controller, child, handle)

    def adopt_child(self, controller: int, device: Device, child: Child, handle: int) -> None:
        """One child controller more."""
        device.children = (*device.children, child)
        self._adopt_child(controller, child, handle)

    def _open(self, controller: int) -> None:
        protocols = self._handles.protocols(controller)
        for guid in (self.consumes, *(guid for guid in self._also_opens if guid in protocols)):
            self._note(controller, guid, controller, EFI_OPEN_PROTOCOL_BY_DRIVER)

    def _note(self, controller: int, guid: Guid, user: int, attributes: int) -> None:
        """Note an opening, once."""
        opens = self._handles.opens
        if (self.handle, user, attributes) not in (use[:3] for use in opens.of(controller, guid)):
            opens.open(controller, guid, self.handle, user, attributes)

    def _adopt_child(self, controller: int, child: Child, handle: int) -> None:
        self._children[controller, handle] = child
        self._note(controller, self.consumes, handle, EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER)

    def _remove_child(self, controller: int, handle: int) -> bool:
        child = self._children.get((controller, handle))
        if child is None:
            return False
        self._handles.opens.close(controller, self.consumes, self.handle, handle)
        if child.remove(handle):
            del self._children[controller, handle]
            return True
        self._adopt_child(controller, child, handle)
        return False
