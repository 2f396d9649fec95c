"""ConnectController and DisconnectController: drivers are asked, started and stopped.

Drivers are asked in this order: the caller's, those that the platform names,
those of a family from the highest family version down, those that the controller's bus names, and all others from the
highest version down.

Source: UEFI 2.10 7.3.12, 7.3.13 and 11.1; edk2 MdeModulePkg/Core/Dxe/Hand/DriverSupport.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tdvfsh.dxe.driver_overrides import DriverOverrides, NoDriverOverrides
from tdvfsh.dxe.open_protocols import EFI_OPEN_PROTOCOL_BY_DRIVER
from tdvfsh.lazy_typing import TYPE_CHECKING, Protocol, runtime_checkable
from tdvfsh.uefi.guids import EFI_DRIVER_BINDING_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

if TYPE_CHECKING:
    from tdvfsh.dxe.boot_services import BootServices
    from tdvfsh.dxe.handles import HandleDatabase

_INVALID = EfiStatus.EFI_INVALID_PARAMETER


@runtime_checkable
class DriverBinding(Protocol):
    """EFI_DRIVER_BINDING_PROTOCOL; ``remaining`` is the address of a device path, 0 for none."""

    @property
    def version(self) -> int:
        """Version."""
        ...

    @property
    def image_handle(self) -> int:
        """ImageHandle: the image that the driver is of."""
        ...

    def supported(self, controller: int, remaining: int) -> EfiStatus:
        """Supported()."""
        ...

    def start(self, controller: int, remaining: int) -> EfiStatus:
        """Start()."""
        ...

    def stop(self, controller: int, children: Sequence[int]) -> EfiStatus:
        """Stop()."""
        ...


class DriverSupport:
    """The two services, over the driver bindings of the handle database.

    Args:
        services: Whose handles.

    Attributes:
        binding_of: Returns the binding of an interface in the handle database; None where nothing can run it.
        overrides: What changes the order of drivers.
    """

    def __init__(self, services: BootServices) -> None:
        self._services = services
        self.binding_of: Callable[[object], DriverBinding | None] = lambda interface: None
        self.overrides: DriverOverrides = NoDriverOverrides()

    @property
    def _handles(self) -> HandleDatabase:
        """The present one: going back to a snapshot replaces it."""
        return self._services.handles

    def connect(
        self,
        controller: int,
        first: Sequence[int] = (),
        remaining: int = 0,
        *,
        end_of_path: bool = False,
        recursive: bool = False,
    ) -> EfiStatus:
        """ConnectController.

        Args:
            controller: A handle.
            first: Driver handles that are asked before all others.
            remaining: Address of a device path for the drivers, 0 for none.
            end_of_path: Whether that is no more than its end.
            recursive: Connect the children, too.

        Returns:
            EFI_INVALID_PARAMETER: No such handle.
            EFI_NOT_FOUND: No driver started.
        """
        if controller not in self._handles:
            return _INVALID
        drivers = self._drivers(controller, first)
        started = False
        while (driver := self._supporter(drivers, controller, remaining)) is not None:
            drivers.remove(driver)  # a driver that was started is not asked again
            started |= not driver.start(controller, remaining).is_error
        if recursive:
            for child in self._handles.opens.children_of(controller):
                self.connect(child, recursive=True)
        return SUCCESS if started or end_of_path else EfiStatus.EFI_NOT_FOUND

    def _drivers(self, controller: int, first: Sequence[int]) -> list[DriverBinding]:
        """Driver bindings in the order in which they are asked, each once."""
        known = {
            handle: binding
            for handle in self._handles.locate_handles(EFI_DRIVER_BINDING_PROTOCOL_GUID)
            if (binding := self._binding(handle)) is not None
        }
        families = {
            handle: version for handle in known if (version := self.overrides.family_version(handle)) is not None
        }
        order = (
            first,
            self._of_images(known, self.overrides.platform(controller)),
            sorted(families, key=lambda handle: -families[handle]),
            self._of_images(known, self.overrides.bus_specific(controller)),
            sorted(known, key=lambda handle: -known[handle].version),
        )
        return [known[handle] for handle in dict.fromkeys(one for part in order for one in part) if handle in known]

    @staticmethod
    def _of_images(known: Mapping[int, DriverBinding], images: Iterable[int]) -> list[int]:
        """Handles of the driver bindings of images: an image may have several."""
        return [handle for image in images for handle, binding in known.items() if binding.image_handle == image]

    @staticmethod
    def _supporter(drivers: Iterable[DriverBinding], controller: int, remaining: int) -> DriverBinding | None:
        return next((driver for driver in drivers if not driver.supported(controller, remaining).is_error), None)

    def _binding(self, handle: int) -> DriverBinding | None:
        interface = self._handles.protocols(handle).get(EFI_DRIVER_BINDING_PROTOCOL_GUID)
        return None if interface is None else self.binding_of(interface)

    def disconnect(self, controller: int, driver: int | None = None, child: int | None = None) -> EfiStatus:
        """DisconnectController: stop one driver of a controller, or all; for one child, or for all of them.

        Returns:
            EFI_INVALID_PARAMETER: No such handle, or ``driver`` has no driver binding.
            EFI_NOT_FOUND: None was stopped; of edk2 also where ``driver`` does not manage the controller at all.
        """
        handles = self._handles
        if controller not in handles or (child is not None and child not in handles):
            return _INVALID
        managing = handles.opens.drivers_of(controller)
        if driver is None and not managing:
            return SUCCESS
        stopped = False
        for agent in managing if driver is None else [driver]:
            binding = self._binding(agent)
            if binding is None:
                return _INVALID
            if agent in managing:
                stopped |= self._stop(binding, agent, controller, child)
        return SUCCESS if stopped else EfiStatus.EFI_NOT_FOUND

    def _stop(self, binding: DriverBinding, agent: int, controller: int, child: int | None) -> bool:
        children = self._handles.opens.children_of(controller, agent)
        if child is not None and child not in children:
            return False
        doomed = children if child is None else [child]
        if doomed and binding.stop(controller, doomed).is_error:
            return False
        return len(doomed) < len(children) or not binding.stop(controller, ()).is_error

    def release(self, handle: int, protocol: Guid) -> bool:
        """Disconnect the drivers that use an interface; where one does not stop, all are connected again."""
        for entry in self._handles.opens.of(handle, protocol):
            if entry.attributes & EFI_OPEN_PROTOCOL_BY_DRIVER and self.disconnect(handle, entry.agent_handle).is_error:
                break
        else:
            self._handles.opens.forget_passing(handle, protocol)
        if not self._handles.opens.of(handle, protocol):
            return True
        self.connect(handle, recursive=True)
        return False
