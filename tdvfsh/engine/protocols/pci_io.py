"""EFI_PCI_IO_PROTOCOL for the functions that QEMU's q35 always has: their configuration space can be read.

None has an expansion ROM. Memory that a bus master reaches is the root bridge's; everything else but reading
configuration answers EFI_UNSUPPORTED.

Source: UEFI 2.10 14.4; edk2 MdeModulePkg/Bus/Pci/PciBusDxe/PciIo.c, for the checks.
"""

from __future__ import annotations

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.devices.pci_functions import CONFIGURATION_SIZE, Q35_FUNCTIONS, PciFunction
from tdvfsh.engine.protocols.pci_root_bridge_io import PciRootBridgeIoProtocol
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath, Pci, PciRoot
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_PCI_IO_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_NAME: Final = "EFI_PCI_IO_PROTOCOL"
_OPERATIONS: Final = 3
_BUFFER_ATTRIBUTES: Final = 0x880  # write combining, cached


class PciIoProtocol:
    """One function."""

    def __init__(self, context: GuestContext, function: PciFunction, bridge: PciRootBridgeIoProtocol) -> None:
        self._bridge = bridge
        self._ram = context.ram
        self._interfaces = context.interfaces
        self._function = function
        self._configuration = function.configuration()

    def structure(self) -> int:
        """Address of the structure; RomSize and RomImage are 0."""
        missing = self._interfaces.missing
        return self._interfaces.structure(
            [
                *missing(_NAME, "PollMem", "PollIo", "Mem.Read", "Mem.Write", "Io.Read", "Io.Write"),
                self.pci_read,
                *missing(_NAME, "Pci.Write", "CopyMem"),
                self.map, self.unmap, self.allocate_buffer, self.free_buffer, self.flush,
                self.get_location,
                *missing(_NAME, "Attributes", "GetBarAttributes", "SetBarAttributes"),
                0,
                0,
            ]
        )  # fmt: skip

    @service("EFI_PCI_IO_PROTOCOL.Map", "qdqqqq")
    def map(
        self, this: int, operation: int, host_address: int, number_of_bytes: int, device_address: int, mapping: int
    ) -> EfiStatus:
        """Say where the function, as a bus master, reaches a buffer."""
        if operation >= _OPERATIONS or not (host_address and number_of_bytes and device_address and mapping):
            return EfiStatus.EFI_INVALID_PARAMETER
        return self._bridge.map(this, operation, host_address, number_of_bytes, device_address, mapping)

    @service("EFI_PCI_IO_PROTOCOL.Unmap", "qq")
    def unmap(self, this: int, mapping: int) -> EfiStatus:
        """End a mapping."""
        return self._bridge.unmap(this, mapping)

    @service("EFI_PCI_IO_PROTOCOL.AllocateBuffer", "qddqqq")
    def allocate_buffer(
        self, this: int, allocate_type: int, memory_type: int, pages: int, host_address: int, attributes: int
    ) -> EfiStatus:
        """Pages that the function reaches."""
        if attributes & ~_BUFFER_ATTRIBUTES:
            return EfiStatus.EFI_UNSUPPORTED
        if not host_address:
            return EfiStatus.EFI_INVALID_PARAMETER
        return self._bridge.allocate_buffer(this, allocate_type, memory_type, pages, host_address, attributes)

    @service("EFI_PCI_IO_PROTOCOL.FreeBuffer", "qqq")
    def free_buffer(self, this: int, pages: int, host_address: int) -> EfiStatus:
        """Free them."""
        return self._bridge.free_buffer(this, pages, host_address)

    @service("EFI_PCI_IO_PROTOCOL.Flush", "q")
    def flush(self, this: int) -> EfiStatus:
        """Nothing is posted."""
        return self._bridge.flush(this)

    @service("EFI_PCI_IO_PROTOCOL.Pci.Read", "qddqq")
    def pci_read(self, this: int, width: int, offset: int, count: int, buffer: int) -> EfiStatus:
        """Configuration space, ``count`` units of 1, 2, 4 or 8 bytes."""
        size = count << (width & 3)
        if width > 11 or not buffer:
            return EfiStatus.EFI_INVALID_PARAMETER
        if offset + size > CONFIGURATION_SIZE:
            return EfiStatus.EFI_UNSUPPORTED
        self._ram.write(buffer, self._configuration[offset : offset + size])
        return SUCCESS

    @service("EFI_PCI_IO_PROTOCOL.GetLocation", "qqqqq")
    def get_location(self, this: int, segment: int, bus: int, device: int, function: int) -> EfiStatus:
        """Segment 0, bus 0."""
        here = self._function
        for pointer, value in ((segment, 0), (bus, 0), (device, here.device), (function, here.function)):
            if not pointer:
                return EfiStatus.EFI_INVALID_PARAMETER
            self._ram.put_u64(pointer, value)
        return SUCCESS


def register_pci_functions(context: GuestContext, bridge: PciRootBridgeIoProtocol) -> None:
    """Register how the structures are made, when guest code first asks."""
    context.interfaces.register(
        EFI_PCI_IO_PROTOCOL_GUID,
        lambda handle, thing: (
            PciIoProtocol(context, thing, bridge).structure() if isinstance(thing, PciFunction) else None
        ),
    )


def pci_functions() -> list[dict[Guid, object]]:
    """The protocols of each function of q35: its device path, and this one."""
    return [
        {
            EFI_DEVICE_PATH_PROTOCOL_GUID: DevicePath((PciRoot(0), Pci(function.device, function.function))),
            EFI_PCI_IO_PROTOCOL_GUID: function,
        }
        for function in Q35_FUNCTIONS
    ]
