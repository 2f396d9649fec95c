"""EFI_SIO_PROTOCOL of the devices behind the ISA bridge: where their ports are.

As in OVMF, whose Super I/O has no registers to program, all but GetResources() succeed and do nothing.

Source: PI 1.8 volume 5, 14.6; edk2 OvmfPkg/SioBusDxe/SioService.c.
"""

from __future__ import annotations

import struct

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.device_path import OtherNode
from tdvfsh.uefi.guids import EFI_SIO_PROTOCOL_GUID
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_FIXED_PORTS, _END_TAG = 0x4B, b"\x79\0"


class SuperIoDevice(NamedTuple):
    """A device.

    Attributes:
        node: Its node of a device path.
        port: Its first port.
        ports: How many it has.
    """

    node: OtherNode
    port: int
    ports: int


def _acpi(pnp: int, uid: int) -> OtherNode:
    return OtherNode(2, 1, struct.pack("<II", pnp << 16 | 0x41D0, uid))


SERIAL_0: Final = SuperIoDevice(_acpi(0x0501, 0), 0x3F8, 8)
SERIAL_1: Final = SuperIoDevice(_acpi(0x0501, 1), 0x2F8, 8)
KEYBOARD: Final = SuperIoDevice(_acpi(0x0303, 0), 0x60, 5)
SUPER_IO_DEVICES: Final = (SERIAL_0, SERIAL_1, KEYBOARD)


class SuperIoProtocol:
    """The protocol of one device."""

    def __init__(self, context: GuestContext, device: SuperIoDevice) -> None:
        self._context = context
        resources = struct.pack("<BHB", _FIXED_PORTS, device.port, device.ports) + _END_TAG
        self._resources = context.interfaces.structure([resources])

    def structure(self) -> int:
        """Address of the structure."""
        return self._context.interfaces.structure(
            [self.register_access, self.get_resources, self.set_resources, self.possible_resources, self.modify]
        )

    @service("EFI_SIO_PROTOCOL.RegisterAccess", "qbbbq")
    def register_access(self, this: int, write: int, exit_cfg_mode: int, register: int, value: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_SIO_PROTOCOL.GetResources", "qq")
    def get_resources(self, this: int, resource_list: int) -> EfiStatus:
        """ACPI descriptors of the ports."""
        if not resource_list:
            return EfiStatus.EFI_INVALID_PARAMETER
        self._context.ram.put_u64(resource_list, self._resources)
        return SUCCESS

    @service("EFI_SIO_PROTOCOL.SetResources", "qq")
    def set_resources(self, this: int, resource_list: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_SIO_PROTOCOL.PossibleResources", "qq")
    def possible_resources(self, this: int, resource_collection: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS

    @service("EFI_SIO_PROTOCOL.Modify", "qqq")
    def modify(self, this: int, command: int, number_of_commands: int) -> EfiStatus:
        """Nothing."""
        return SUCCESS


def register_super_io(context: GuestContext) -> None:
    """Register how the structures are made, when guest code first asks."""
    context.interfaces.register(
        EFI_SIO_PROTOCOL_GUID,
        lambda handle, thing: SuperIoProtocol(context, thing).structure() if isinstance(thing, SuperIoDevice) else None,
    )
