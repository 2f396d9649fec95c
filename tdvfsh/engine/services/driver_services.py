"""ConnectController and DisconnectController for guest code, and guest code's driver bindings for the DXE core.

Source: UEFI 2.10 7.3.12, 7.3.13 and 11.1.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tdvfsh.dxe.driver_support import DriverBinding
from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import service, status_of
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import service_names
from tdvfsh.uefi.status import EfiStatus

_SUPPORTED: Final = 0
_START: Final = 8
_STOP: Final = 16
_VERSION: Final = 24
_IMAGE_HANDLE: Final = 32
_END_OF_PATH: Final = b"\x7f\xff"


class GuestDriverBinding:
    """EFI_DRIVER_BINDING_PROTOCOL of guest code.

    Args:
        context: The way into guest code.
        address: The protocol's structure.
    """

    def __init__(self, context: GuestContext, address: int) -> None:
        self._context = context
        self._ram = context.ram
        self._address = address

    @property
    def version(self) -> int:
        """Version."""
        return self._ram.u32(self._address + _VERSION)

    @property
    def image_handle(self) -> int:
        """ImageHandle."""
        return self._ram.u64(self._address + _IMAGE_HANDLE)

    def supported(self, controller: int, remaining: int) -> EfiStatus:
        """Supported()."""
        return self._call(_SUPPORTED, controller, remaining)

    def start(self, controller: int, remaining: int) -> EfiStatus:
        """Start()."""
        return self._call(_START, controller, remaining)

    def stop(self, controller: int, children: Sequence[int]) -> EfiStatus:
        """Stop()."""
        if not children:
            return self._call(_STOP, controller, 0, 0)
        buffer = self._context.heap.allocate(8 * len(children))
        self._ram.write(buffer, struct.pack(f"<{len(children)}Q", *children))
        status = self._call(_STOP, controller, len(children), buffer)
        self._context.heap.free(buffer)
        return status

    def _call(self, function: int, controller: int, *arguments: int) -> EfiStatus:
        code = self._ram.u64(self._address + function)
        return status_of(self._context.call(code, self._address, controller, *arguments))


class DriverServices:
    """The two services.

    Args:
        context: Guest memory, and the way into guest code.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    def binding_of(self, interface: object) -> DriverBinding | None:
        """The driver binding of an interface in the handle database: the firmware's own is one, a guest's has one."""
        if isinstance(interface, DriverBinding):
            return interface
        if not isinstance(interface, GuestInterface) or not interface.address:
            return None
        return GuestDriverBinding(self._context, interface.address)

    @service(service_names.CONNECT_CONTROLLER, "qqqb")
    def connect_controller(
        self, controller_handle: int, driver_image_handle: int, remaining_device_path: int, recursive: int
    ) -> EfiStatus:
        """EFI_CONNECT_CONTROLLER."""
        first: list[int] = []
        while driver_image_handle and (handle := self._ram.u64(driver_image_handle + 8 * len(first))):
            first.append(handle)
        return self._context.services.drivers.connect(
            controller_handle,
            first,
            remaining_device_path,
            end_of_path=bool(remaining_device_path) and self._ram.read(remaining_device_path, 2) == _END_OF_PATH,
            recursive=bool(recursive),
        )

    @service(service_names.DISCONNECT_CONTROLLER, "qqq")
    def disconnect_controller(self, controller_handle: int, driver_image_handle: int, child_handle: int) -> EfiStatus:
        """EFI_DISCONNECT_CONTROLLER."""
        return self._context.services.drivers.disconnect(
            controller_handle, driver_image_handle or None, child_handle or None
        )
