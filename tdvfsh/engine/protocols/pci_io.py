"""EFI_PCI_IO_PROTOCOL for the functions that QEMU's q35 always has.

None has an expansion ROM. Configuration space and memory that a bus master reaches are the root bridge's; registers in
memory and at ports are not reached, and no base address register is described: EFI_UNSUPPORTED.

Source: UEFI 2.10 14.4; edk2 MdeModulePkg/Bus/Pci/PciBusDxe/PciIo.c, for the checks.
"""

from __future__ import annotations

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.devices.pci_functions import CONFIGURATION_SIZE, LPC, Q35_FUNCTIONS, PciFunction
from tdvfsh.engine.protocols.pci_root_bridge_io import PciRootBridgeIoProtocol
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath, Pci, PciRoot
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_PCI_IO_PROTOCOL_GUID, Guid
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_NAME: Final = "EFI_PCI_IO_PROTOCOL"
_OPERATIONS: Final = 3
_WIDTHS: Final = 12
_WORD, _COMMAND = 1, 4
_GET, _SET, _ENABLE, _DISABLE, _SUPPORTED = range(5)
_ENABLES: Final = 0x700  # ports, memory, bus master: the command register's first bits
_COMMAND_SHIFT: Final = 8
_OF_ALL: Final = 0xF880  # write combining, cached, disable, embedded device and ROM, dual address cycle
_OF_LPC: Final = 0x10001  # ports of the ISA bus
_DUAL_ADDRESS: Final = 0x8000
_BUFFER_ATTRIBUTES: Final = 0x880  # write combining, cached


class PciIoProtocol:
    """One function."""

    def __init__(self, context: GuestContext, function: PciFunction, bridge: PciRootBridgeIoProtocol) -> None:
        self._bridge = bridge
        self._ram = context.ram
        self._interfaces = context.interfaces
        self._function = function
        self._cell = self._supported = self._others = 0

    def structure(self) -> int:
        """Address of the structure; RomSize and RomImage are 0."""
        missing = self._interfaces.missing
        return self._interfaces.structure(
            [
                *missing(_NAME, "PollMem", "PollIo", "Mem.Read", "Mem.Write", "Io.Read", "Io.Write"),
                self.pci_read,
                self.pci_write,
                *missing(_NAME, "CopyMem"),
                self.map, self.unmap, self.allocate_buffer, self.free_buffer, self.flush,
                self.get_location,
                self.attributes,
                self.get_bar_attributes,
                *missing(_NAME, "SetBarAttributes"),
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
        if self._others & _DUAL_ADDRESS:
            operation += _OPERATIONS
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
        attributes |= self._others & _DUAL_ADDRESS
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
        status = self._check(width, offset, count, buffer)
        return self._bridge.pci_read(this, width, self._address(offset), count, buffer) if status is SUCCESS else status

    @service("EFI_PCI_IO_PROTOCOL.Pci.Write", "qddqq")
    def pci_write(self, this: int, width: int, offset: int, count: int, buffer: int) -> EfiStatus:
        """Write it."""
        status = self._check(width, offset, count, buffer)
        return (
            self._bridge.pci_write(this, width, self._address(offset), count, buffer) if status is SUCCESS else status
        )

    @staticmethod
    def _check(width: int, offset: int, count: int, buffer: int) -> EfiStatus:
        if width >= _WIDTHS or not buffer:
            return EfiStatus.EFI_INVALID_PARAMETER
        inside = offset + (count << (width & 3)) <= CONFIGURATION_SIZE
        return SUCCESS if inside else EfiStatus.EFI_UNSUPPORTED

    def _address(self, offset: int) -> int:
        return self._function.device << 16 | self._function.function << 8 | offset << 32

    def _command(self, value: int | None = None) -> int:
        """The command register, after it was written."""
        cell = self._cell = self._cell or self._interfaces.structure([bytes(8)])
        if value is not None:
            self._ram.write(cell, value.to_bytes(2, "little"))
            self._bridge.pci_write(0, _WORD, self._address(_COMMAND), 1, cell)
        self._bridge.pci_read(0, _WORD, self._address(_COMMAND), 1, cell)
        return self._ram.u16(cell)

    def _supports(self) -> int:
        """Attributes that can be set: those of bits in the command register that keep what is written, and others."""
        if not self._supported:
            before = self._command()
            kept = self._command(before | _ENABLES >> _COMMAND_SHIFT)
            self._command(before)
            self._supported = kept << _COMMAND_SHIFT & _ENABLES | _OF_ALL | _OF_LPC * (self._function == LPC)
        return self._supported

    @service("EFI_PCI_IO_PROTOCOL.Attributes", "qdqq")
    def attributes(self, this: int, operation: int, attributes: int, result: int) -> EfiStatus:
        """Get, set, enable, disable, or say which there are; those of the command register are set there."""
        if operation in (_GET, _SUPPORTED) and result:
            now = self._command() << _COMMAND_SHIFT & _ENABLES | self._others
            self._ram.put_u64(result, now if operation == _GET else self._supports())
            return SUCCESS
        if operation not in (_SET, _ENABLE, _DISABLE):
            return EfiStatus.EFI_INVALID_PARAMETER
        supports = self._supports()
        if attributes & _ENABLES == _ENABLES:
            attributes &= supports
        if attributes & ~supports:
            return EfiStatus.EFI_UNSUPPORTED
        command, enables = self._command(), (attributes & _ENABLES) >> _COMMAND_SHIFT
        if operation == _DISABLE:
            self._command(command & ~enables)
            self._others &= ~attributes
            return SUCCESS
        if operation == _SET:
            command, self._others = command & ~(_ENABLES >> _COMMAND_SHIFT), 0
        self._command(command | enables)
        self._others |= attributes & ~_ENABLES
        return SUCCESS

    @service("EFI_PCI_IO_PROTOCOL.GetBarAttributes", "qbqq")
    def get_bar_attributes(self, this: int, bar_index: int, supports: int, resources: int) -> EfiStatus:
        """No base address register is described."""
        return EfiStatus.EFI_UNSUPPORTED if supports or resources else EfiStatus.EFI_INVALID_PARAMETER

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
