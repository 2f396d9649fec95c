"""EDKII_IOMMU_PROTOCOL of a TD: what a bus master shall reach is copied to pages that are shared with the VMM.

A buffer of the firmware's pool is shared already; where none is free that is large enough, each page is made shared by
a MapGPA call, and private and accepted again when the mapping ends. That is counted, as all of the firmware's own DMA
is: buffers lie in pages of their own, and those stay private.

Source: edk2 OvmfPkg/IoMmuDxe/CcIoMmu.c and IoMmuBuffer.c, for checks, their order and statuses;
MdeModulePkg/Include/Protocol/IoMmu.h.
"""

from __future__ import annotations

from bisect import bisect_left

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import GuestInterface
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import EDKII_IOMMU_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, PAGE_SIZE, pages_for

_REVISION: Final = 0x10000
_4_GIB: Final = 4 * GIB
_READ, _WRITE, _COMMON_BUFFER, _READ_64, _WRITE_64, _COMMON_BUFFER_64 = range(6)
_READS, _WRITES = (_READ, _READ_64), (_WRITE, _WRITE_64)
_COMMON_BUFFERS: Final = (_COMMON_BUFFER, _COMMON_BUFFER_64)
_BUFFER_ATTRIBUTES: Final = 0x8880  # write combining, cached, dual address cycle
_DUAL_ADDRESS: Final = 0x8000
_ACCESS_READ, _ACCESS_WRITE = 1, 2
_MAP_INFO_SIZE: Final = 64
_BUFFER_TYPES: Final = (EfiMemoryType.EfiBootServicesData, EfiMemoryType.EfiRuntimeServicesData)
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER
_UNSUPPORTED: Final = EfiStatus.EFI_UNSUPPORTED


@dataclass(frozen=True, slots=True)
class _Mapping:
    """MAP_INFO: a transfer in progress."""

    operation: int
    host: int
    device: int
    size: int
    pooled: int

    @property
    def pages(self) -> int:
        """Pages that it takes."""
        return pages_for(self.size)


@dataclass(frozen=True, slots=True)
class _Buffer:
    """A buffer that is shared with a device: a page for its header, its pages, and as many to keep them in."""

    stash: int
    pages: int
    pooled: int


class IoMmuProtocol:
    """The protocol.

    Args:
        context: Guest memory and pages.
    """

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram
        self._mappings: dict[int, _Mapping] = {}
        self._buffers: dict[int, _Buffer] = {}
        self._pool = sorted(context.machine.dma.pool_buffers)

    def install(self) -> None:
        """Make the handle."""
        structure = self._context.interfaces.structure(
            [_REVISION, self.set_attribute, self.map, self.unmap, self.allocate_buffer, self.free_buffer]
        )
        install = self._context.services.handles.install_protocol_interface
        install(None, EDKII_IOMMU_PROTOCOL_GUID, GuestInterface(structure))

    # ---- buffers ------------------------------------------------------------------------------------------------

    def _take(self, pages: int) -> int:
        """Pages of the smallest free buffer of the pool that is large enough; 0 where there is none."""
        place = bisect_left(self._pool, pages)
        return self._pool.pop(place) if place < len(self._pool) else 0

    def _give_back(self, pooled: int) -> None:
        if pooled:
            self._pool.insert(bisect_left(self._pool, pooled), pooled)

    def _allocate(self, pages: int, memory_type: int, *, anywhere: bool) -> tuple[EfiStatus, int]:
        where = EfiAllocateType.AllocateAnyPages if anywhere else EfiAllocateType.AllocateMaxAddress
        status, start = self._context.core.pages.allocate_pages(where, memory_type, pages, _4_GIB - 1)
        return status, 0 if status.is_error else start

    def _free(self, start: int, pages: int) -> EfiStatus:
        return self._context.core.pages.free_pages(start, pages)

    def _copy(self, source: int, target: int, size: int) -> None:
        for offset, part in self._context.slices(size):
            self._ram.write(target + offset, self._ram.read(source + offset, part))
            self._context.wrote(target + offset, part)

    # ---- services -----------------------------------------------------------------------------------------------

    @service("EDKII_IOMMU_PROTOCOL.Map", "qdqqqq")
    def map(
        self, this: int, operation: int, host_address: int, number_of_bytes: int, device_address: int, mapping: int
    ) -> EfiStatus:
        """Share a buffer with a device: a copy for one direction, or a buffer of AllocateBuffer() itself."""
        if not (host_address and number_of_bytes and device_address and mapping):
            return _INVALID
        status, mapped = self._map(operation, host_address, self._ram.u64(number_of_bytes))
        if status is not SUCCESS or mapped is None:
            self._ram.put_u64(number_of_bytes, 0)
            return status
        if operation in _READS:
            self._copy(host_address, mapped.device, mapped.size)
        token = self._context.heap.allocate(_MAP_INFO_SIZE)
        self._mappings[token] = mapped
        self._ram.put_u64(device_address, mapped.device)
        self._ram.put_u64(mapping, token)
        return SUCCESS

    def _map(self, operation: int, host: int, size: int) -> tuple[EfiStatus, _Mapping | None]:
        if operation in _COMMON_BUFFERS:
            if operation == _COMMON_BUFFER and host + pages_for(size) * PAGE_SIZE > _4_GIB:
                return _UNSUPPORTED, None
            buffer = self._buffers.get(host)
            if buffer is None:  # edk2 asserts that its header lies before it
                return _INVALID, None
            return SUCCESS, _Mapping(operation, host, host, size, buffer.pooled)
        if operation > _COMMON_BUFFER_64:
            return _INVALID, None
        pages, kind = pages_for(size), EfiMemoryType.EfiBootServicesData
        status, device = self._allocate(pages, kind, anywhere=operation in (_READ_64, _WRITE_64))
        if status.is_error:
            return status, None
        return SUCCESS, _Mapping(operation, host, device, size, self._take(pages))

    @service("EDKII_IOMMU_PROTOCOL.Unmap", "qq")
    def unmap(self, this: int, mapping: int) -> EfiStatus:
        """Share it no longer: what a device has written is then in the caller's buffer."""
        mapped = self._mappings.pop(mapping, None)
        if mapped is None:
            return _INVALID
        if mapped.operation in _WRITES:
            self._copy(mapped.device, mapped.host, mapped.size)
        if not mapped.pooled:
            self._context.machine.dma.mapping_ended(mapped.pages)
        if mapped.operation not in _COMMON_BUFFERS:
            self._give_back(mapped.pooled)
            self._free(mapped.device, mapped.pages)
        self._context.heap.free(mapping)
        return SUCCESS

    @service("EDKII_IOMMU_PROTOCOL.AllocateBuffer", "qddqqq")
    def allocate_buffer(
        self, this: int, allocate_type: int, memory_type: int, pages: int, host_address: int, attributes: int
    ) -> EfiStatus:
        """A buffer for both directions, shared while it is mapped; ``allocate_type`` is ignored, as edk2 does."""
        if attributes & ~_BUFFER_ATTRIBUTES:
            return _UNSUPPORTED
        if not host_address or memory_type not in _BUFFER_TYPES:
            return _INVALID
        status, stash = self._allocate(pages, EfiMemoryType.EfiBootServicesData, anywhere=True)
        if status.is_error:
            return EfiStatus.EFI_OUT_OF_RESOURCES
        status, header = self._allocate(pages + 1, memory_type, anywhere=bool(attributes & _DUAL_ADDRESS))
        if status.is_error:
            self._free(stash, pages)
            return status
        self._buffers[header + PAGE_SIZE] = _Buffer(stash, pages, self._take(pages))
        self._ram.put_u64(host_address, header + PAGE_SIZE)
        return SUCCESS

    @service("EDKII_IOMMU_PROTOCOL.FreeBuffer", "qqq")
    def free_buffer(self, this: int, pages: int, host_address: int) -> EfiStatus:
        """Free it."""
        buffer = self._buffers.get(host_address)
        if buffer is None or pages != buffer.pages:
            return _INVALID
        del self._buffers[host_address]
        self._give_back(buffer.pooled)
        self._free(buffer.stash, pages)
        return self._free(host_address - PAGE_SIZE, pages + 1)

    @service("EDKII_IOMMU_PROTOCOL.SetAttribute", "qqqq")
    def set_attribute(self, this: int, device_handle: int, mapping: int, io_mmu_access: int) -> EfiStatus:
        """Nothing: the access must be the one that the mapping is for."""
        mapped = self._mappings.get(mapping)
        if mapped is None:
            return _INVALID
        allowed = _ACCESS_READ if mapped.operation in _READS else _ACCESS_WRITE
        if mapped.operation in _COMMON_BUFFERS:
            allowed = _ACCESS_READ | _ACCESS_WRITE
        return SUCCESS if io_mmu_access in (0, allowed) else _INVALID
