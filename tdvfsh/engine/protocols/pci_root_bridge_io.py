"""EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL for bus 0 of q35: its windows of ports and memory, and configuration space.

Attributes, checks and statuses are those of OVMF's host bridge. Its windows are what ACPI says of the machine, and the
configuration names them whole: the functions that q35 always has need nothing of them. What a bus master shall reach
lies below 4 GiB, or is copied to where it does.

In a TD a device reaches shared pages alone, which the IOMMU protocol has.

Source: UEFI 2.10 14.2; edk2 MdeModulePkg/Bus/Pci/PciHostBridgeDxe/PciRootBridgeIo.c, for the checks and their order;
UefiCpuPkg/CpuIo2Dxe (no ports of 64 bits); OvmfPkg/Library/PciHostBridgeUtilityLib, for attributes and ports; OvmfPkg
PlatformInitLib/MemDetect.c, for the least address of the memory window.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import Enum, auto

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import service
from tdvfsh.engine.devices.devices import Devices
from tdvfsh.engine.devices.io_apic import ADDRESS as IO_APIC_ADDRESS
from tdvfsh.engine.protocols.io_mmu import IoMmuProtocol
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.device_path import DevicePath, PciRoot
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, pages_for

_LEGACY_PORTS: Final = 0x1000
_PORTS: Final = (0x6000, 0x10000)
_LEAST_MEMORY: Final = 2 * GIB
_4_GIB: Final = 4 * GIB
_VGA: Final = (0xA0000, 0xC0000)
_CONFIGURATION_SIZE: Final = 0x1000
_PORT_ATTRIBUTES: Final = 0x70060  # IDE's two, and those of 16 bits of ISA and VGA
_VGA_MEMORY, _MOTHERBOARD = 0x8, 0x1
_SUPPORTED: Final = _PORT_ATTRIBUTES | _VGA_MEMORY | _MOTHERBOARD
_BUFFER_ATTRIBUTES: Final = 0x8880  # write combining, cached, dual address cycle
_DUAL_ADDRESS: Final = 0x8000
_WIDTHS, _POLLED_WIDTHS = 12, 4
_64_BITS: Final = 3
_FIFO, _FILL = 1, 2
_OPERATIONS: Final = 6
_WIDE: Final = 3  # operations from here on may use addresses above 4 GiB
_BUS_MASTER_READ, _BUS_MASTER_WRITE, _COMMON_BUFFER = range(3)
_NO_MAPPING: Final = (1 << 64) - 1
_UNIT_NS: Final = 100
_FIRST_WAIT_NS: Final = 1_000
_ADDRESS_SPACE: Final = struct.Struct("<BHBBBQQQQQ")
_QWORD, _QWORD_SIZE, _END_TAG = 0x8A, 0x2B, b"\x79\0"
_MEMORY_RANGE, _PORT_RANGE, _BUS_RANGE = range(3)
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_UNSUPPORTED: Final = EfiStatus.EFI_UNSUPPORTED
_PIECE: Final = 4096  # elements between two looks at the run's limit


class _Space(Enum):
    MEMORY = auto()
    PORTS = auto()
    CONFIGURATION = auto()


class _Mapping(NamedTuple):
    """A transfer that goes through pages below 4 GiB."""

    operation: int
    host: int
    size: int
    pages: int


class PciRootBridgeIoProtocol:
    """The protocol.

    Args:
        context: Guest memory and pages.
        devices: What is on the bus.
        stall: Lets nanoseconds pass.
        low_memory_end: Where RAM below 4 GiB ends.
        io_mmu: Shares pages with devices, in a TD; None where devices reach all memory.
    """

    def __init__(
        self,
        context: GuestContext,
        devices: Devices,
        stall: Callable[[int], None],
        low_memory_end: int,
        io_mmu: IoMmuProtocol | None,
    ) -> None:
        self._context = context
        self._ram = context.ram
        self._devices = devices
        self._stall = stall
        self._io_mmu = io_mmu
        self._attributes = _SUPPORTED
        self._mappings: dict[int, _Mapping] = {}
        self._resources = 0
        start, end = max(low_memory_end, _LEAST_MEMORY), IO_APIC_ADDRESS
        high = devices.pci.high_memory
        self._windows = [(start, end)] * (start < end) + ([] if high is None else [high])

    def install(self) -> int:
        """Make the handle, with the device path ``PciRoot(0x0)``; returns it."""
        interfaces = self._context.interfaces
        self._resources = interfaces.structure([self._configuration()])
        structure = interfaces.structure(
            [
                0, self.poll_mem, self.poll_io, self.mem_read, self.mem_write, self.io_read, self.io_write,
                self.pci_read, self.pci_write, self.copy_mem,
                self.map, self.unmap, self.allocate_buffer, self.free_buffer,
                self.flush, self.get_attributes, self.set_attributes, self.configuration, 0,
            ]
        )  # fmt: skip
        handles = self._context.services.handles
        path = DevicePath((PciRoot(0),))
        handle = handles.install_protocol_interface(None, EFI_DEVICE_PATH_PROTOCOL_GUID, path).handle
        handles.install_protocol_interface(handle, EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_GUID, GuestInterface(structure))
        return handle or 0

    def _configuration(self) -> bytes:
        ranges = [(_BUS_RANGE, 0, 0, 1), (_PORT_RANGE, 0, *_PORTS)]
        ranges += [(_MEMORY_RANGE, 32 if end <= _4_GIB else 64, start, end) for start, end in self._windows]
        return (
            b"".join(
                _ADDRESS_SPACE.pack(_QWORD, _QWORD_SIZE, kind, 0, 0, granularity, start, end - 1, 0, end - start)
                for kind, granularity, start, end in ranges
            )
            + _END_TAG
        )

    # ---- access -------------------------------------------------------------------------------------------------

    def _check(self, space: _Space, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        """Whether a transfer may be done."""
        if not buffer or width >= _WIDTHS:
            return _INVALID
        size = 1 << (width & 3)
        length = size if width >> 2 == _FIFO else count * size
        if count * size > _NO_MAPPING:
            return _INVALID
        if address & (size - 1):
            return _UNSUPPORTED
        if address + length > _NO_MAPPING:
            return _INVALID
        return SUCCESS if self._in_range(space, address, length) else _INVALID

    def _in_range(self, space: _Space, address: int, length: int) -> bool:
        if space is _Space.PORTS:
            if address + length <= _LEGACY_PORTS and self._attributes & _PORT_ATTRIBUTES:
                return True
            return _PORTS[0] <= address and address + length <= _PORTS[1]
        if space is _Space.MEMORY:
            vga = [_VGA] if self._attributes & _VGA_MEMORY else []
            return any(start <= address and address + length <= end for start, end in self._windows + vga)
        bus, device, function, register = _place(address)
        return bus == 0 and device < 32 and function < 8 and register + length <= _CONFIGURATION_SIZE

    def _read(self, space: _Space, address: int, size: int) -> int:
        if space is _Space.PORTS:
            return self._devices.ports.read(address, size)
        if space is _Space.MEMORY:
            return self._devices.read(address, size)
        bus, device, function, register = _place(address)
        return self._devices.pci.configuration(bus, device << 3 | function, register, size)

    def _write(self, space: _Space, address: int, size: int, value: int) -> None:
        if space is _Space.PORTS:
            self._devices.ports.write(address, size, value)
        elif space is _Space.MEMORY:
            self._devices.write(address, size, value)
        else:
            bus, device, function, register = _place(address)
            self._devices.pci.configure(bus, device << 3 | function, register, size, value)

    def _steps(self, space: _Space, width: int, address: int, count: int, buffer: int) -> Iterator[tuple[int, int]]:
        """Where each element of a transfer is on the bus, and in memory."""
        size, kind, shift = 1 << (width & 3), width >> 2, 0
        if space is _Space.CONFIGURATION:
            address, shift = address & 0xFFFFFF00 | _place(address)[3] << 32, 32
        for index in range(count):
            if index and not index % _PIECE:
                self._context.check_limit()
            offset = index * size
            yield address + (0 if kind == _FIFO else offset << shift), buffer + (0 if kind == _FILL else offset)

    def _transfer(self, space: _Space, reads: bool, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        status = self._check(space, width, address, count, buffer)
        if status is not SUCCESS:
            return status
        if space is _Space.PORTS and width & 3 == _64_BITS:
            return _INVALID
        size = 1 << (width & 3)
        for at, memory in self._steps(space, width, address, count, buffer):
            if reads:
                self._ram.write(memory, self._read(space, at, size).to_bytes(size, "little"))
            else:
                self._write(space, at, size, int.from_bytes(self._ram.read(memory, size), "little"))
        return SUCCESS

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Mem.Read", "qdqqq")
    def mem_read(self, this: int, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        """Read registers in the bridge's memory."""
        return self._transfer(_Space.MEMORY, True, width, address, count, buffer)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Mem.Write", "qdqqq")
    def mem_write(self, this: int, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        """Write them."""
        return self._transfer(_Space.MEMORY, False, width, address, count, buffer)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Io.Read", "qdqqq")
    def io_read(self, this: int, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        """Read ports."""
        return self._transfer(_Space.PORTS, True, width, address, count, buffer)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Io.Write", "qdqqq")
    def io_write(self, this: int, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        """Write them."""
        return self._transfer(_Space.PORTS, False, width, address, count, buffer)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Pci.Read", "qdqqq")
    def pci_read(self, this: int, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        """Read configuration space."""
        return self._transfer(_Space.CONFIGURATION, True, width, address, count, buffer)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Pci.Write", "qdqqq")
    def pci_write(self, this: int, width: int, address: int, count: int, buffer: int) -> EfiStatus:
        """Write it."""
        return self._transfer(_Space.CONFIGURATION, False, width, address, count, buffer)

    def _poll(
        self, space: _Space, width: int, address: int, mask: int, value: int, delay: int, result: int
    ) -> EfiStatus:
        """Read until the bits are as wanted: waits grow from 1 microsecond to the rest of the delay."""
        if not result or width >= _POLLED_WIDTHS:
            return _INVALID
        left, wait, end = delay * _UNIT_NS, _FIRST_WAIT_NS, False
        while True:
            status = self._transfer(space, True, width, address, 1, result)
            if status is not SUCCESS or self._ram.u64(result) & mask == value or not delay:
                return status
            if end:
                return EfiStatus.EFI_TIMEOUT
            wait, end = min(wait, left), wait >= left
            self._stall(wait)
            left, wait = left - wait, 2 * wait

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.PollMem", "qdqqqqq")
    def poll_mem(
        self, this: int, width: int, address: int, mask: int, value: int, delay: int, result: int
    ) -> EfiStatus:
        """Read a register in memory until it has a value, for ``delay`` units of 100 ns."""
        return self._poll(_Space.MEMORY, width, address, mask, value, delay, result)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.PollIo", "qdqqqqq")
    def poll_io(self, this: int, width: int, address: int, mask: int, value: int, delay: int, result: int) -> EfiStatus:
        """Read a port until it has a value, for ``delay`` units of 100 ns."""
        return self._poll(_Space.PORTS, width, address, mask, value, delay, result)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.CopyMem", "qdqqq")
    def copy_mem(self, this: int, width: int, dest_address: int, src_address: int, count: int) -> EfiStatus:
        """Copy registers in the bridge's memory, which may overlap."""
        if width >= _POLLED_WIDTHS:
            return _INVALID
        if dest_address == src_address:
            return SUCCESS
        size = 1 << width
        order = range(count)
        if src_address < dest_address < src_address + count * size:
            order = order[::-1]
        for number, index in enumerate(order):
            if number and not number % _PIECE:
                self._context.check_limit()
            for address in (src_address, dest_address):
                status = self._check(_Space.MEMORY, width, address + index * size, 1, 1)
                if status is not SUCCESS:
                    return status
            value = self._read(_Space.MEMORY, src_address + index * size, size)
            self._write(_Space.MEMORY, dest_address + index * size, size, value)
        return SUCCESS

    # ---- memory that bus masters reach ----------------------------------------------------------------------------

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Map", "qdqqqq")
    def map(
        self, this: int, operation: int, host_address: int, number_of_bytes: int, device_address: int, mapping: int
    ) -> EfiStatus:
        """Say where a bus master reaches a buffer."""
        if not (host_address and number_of_bytes and device_address and mapping) or operation >= _OPERATIONS:
            return _INVALID
        if self._io_mmu is not None:
            return self._io_mmu.map(this, operation, host_address, number_of_bytes, device_address, mapping)
        size = self._ram.u64(number_of_bytes)
        if operation >= _WIDE or host_address + size <= _4_GIB:
            self._ram.put_u64(device_address, host_address)
            self._ram.put_u64(mapping, _NO_MAPPING)
            return SUCCESS
        if operation == _COMMON_BUFFER:
            return _UNSUPPORTED
        below, kind = EfiAllocateType.AllocateMaxAddress, EfiMemoryType.EfiBootServicesData
        status, start = self._context.core.pages.allocate_pages(below, kind, pages_for(size), _4_GIB - 1)
        if status.is_error:
            self._ram.put_u64(number_of_bytes, 0)
            return status
        self._mappings[start] = _Mapping(operation, host_address, size, pages_for(size))
        if operation == _BUS_MASTER_READ:
            self._copy(host_address, start, size)
        self._ram.put_u64(device_address, start)
        self._ram.put_u64(mapping, start)
        return SUCCESS

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Unmap", "qq")
    def unmap(self, this: int, mapping: int) -> EfiStatus:
        """End a mapping: what a bus master has written is then in the buffer."""
        if self._io_mmu is not None:
            return self._io_mmu.unmap(this, mapping)
        if mapping == _NO_MAPPING:
            return SUCCESS
        mapped = self._mappings.pop(mapping, None)
        if mapped is None:
            return _INVALID
        if mapped.operation == _BUS_MASTER_WRITE:
            self._copy(mapping, mapped.host, mapped.size)
        self._context.core.pages.free_pages(mapping, mapped.pages)
        return SUCCESS

    def _copy(self, source: int, target: int, size: int) -> None:
        for offset, part in self._context.slices(size):
            self._ram.write(target + offset, self._ram.read(source + offset, part))

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.AllocateBuffer", "qddqqq")
    def allocate_buffer(
        self, this: int, allocate_type: int, memory_type: int, pages: int, host_address: int, attributes: int
    ) -> EfiStatus:
        """Pages that a bus master reaches, wherever they are: ``allocate_type`` is ignored, as edk2 does."""
        if attributes & ~_BUFFER_ATTRIBUTES:
            return _UNSUPPORTED
        if not host_address:
            return _INVALID
        if memory_type not in (EfiMemoryType.EfiBootServicesData, EfiMemoryType.EfiRuntimeServicesData):
            return _INVALID
        if self._io_mmu is not None:
            return self._io_mmu.allocate_buffer(this, allocate_type, memory_type, pages, host_address, attributes)
        any_address, below = EfiAllocateType.AllocateAnyPages, EfiAllocateType.AllocateMaxAddress
        where = any_address if attributes & _DUAL_ADDRESS else below
        status, start = self._context.core.pages.allocate_pages(where, memory_type, pages, _4_GIB - 1)
        if not status.is_error:
            self._ram.put_u64(host_address, start)
        return status

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.FreeBuffer", "qqq")
    def free_buffer(self, this: int, pages: int, host_address: int) -> EfiStatus:
        """Free them."""
        if self._io_mmu is not None:
            return self._io_mmu.free_buffer(this, pages, host_address)
        return self._context.core.pages.free_pages(host_address, pages)

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Flush", "q")
    def flush(self, this: int) -> EfiStatus:
        """Nothing is posted."""
        return SUCCESS

    # ---- attributes and resources -----------------------------------------------------------------------------------

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.GetAttributes", "qqq")
    def get_attributes(self, this: int, supports: int, attributes: int) -> EfiStatus:
        """What can be set, and what is."""
        if not supports and not attributes:
            return _INVALID
        if supports:
            self._ram.put_u64(supports, _SUPPORTED)
        if attributes:
            self._ram.put_u64(attributes, self._attributes)
        return SUCCESS

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.SetAttributes", "qqqq")
    def set_attributes(self, this: int, attributes: int, resource_base: int, resource_length: int) -> EfiStatus:
        """Set them."""
        if attributes & ~_SUPPORTED:
            return _UNSUPPORTED
        self._attributes = attributes
        return SUCCESS

    @service("EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL.Configuration", "qq")
    def configuration(self, this: int, resources: int) -> EfiStatus:
        """ACPI descriptors of the bus number, the ports and the memory windows."""
        self._ram.put_u64(resources, self._resources)
        return SUCCESS


def _place(address: int) -> tuple[int, int, int, int]:
    """Bus, device, function and register of an EFI_PCI_ROOT_BRIDGE_IO_PROTOCOL_PCI_ADDRESS."""
    register = address >> 32 or address & 0xFF
    return address >> 24 & 0xFF, address >> 16 & 0xFF, address >> 8 & 0xFF, register
