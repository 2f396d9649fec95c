"""EFI_PCI_IO_PROTOCOL for the functions that QEMU's q35 always has: their configuration space can be read.

None has an expansion ROM or a driver; everything but reading configuration answers EFI_UNSUPPORTED.

Source: UEFI 2.10 14.4.
"""

from __future__ import annotations

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.devices.pci_functions import CONFIGURATION_SIZE, Q35_FUNCTIONS, PciFunction
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath, Pci, PciRoot
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_PCI_IO_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_NAME: Final = "EFI_PCI_IO_PROTOCOL"


class PciIoProtocol:
    """One function."""

    def __init__(self, context: GuestContext, function: PciFunction) -> None:
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
                *missing(_NAME, "Pci.Write", "CopyMem", "Map", "Unmap", "AllocateBuffer", "FreeBuffer", "Flush"),
                self.get_location,
                *missing(_NAME, "Attributes", "GetBarAttributes", "SetBarAttributes"),
                0,
                0,
            ]
        )

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


def register_pci_functions(context: GuestContext) -> None:
    """Register how the structures are made, when guest code first asks."""
    context.interfaces.register(
        EFI_PCI_IO_PROTOCOL_GUID,
        lambda handle, thing: PciIoProtocol(context, thing).structure() if isinstance(thing, PciFunction) else None,
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
