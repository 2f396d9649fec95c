"""The memory services, between guest pointers and the DXE core.

Source: UEFI 2.10 7.2; which out-parameters are written when, as edk2 MdeModulePkg/Core/Dxe/Mem/Page.c and Pool.c.
"""

from __future__ import annotations

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.uefi import service_names
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_INVALID = EfiStatus.EFI_INVALID_PARAMETER


class MemoryServices:
    """AllocatePages to FreePool, GetMemoryMap, AcceptMemory."""

    def __init__(self, context: GuestContext) -> None:
        self._services = context.services
        self._ram = context.ram

    @service(service_names.ALLOCATE_PAGES, "ddqq", own_record=True)
    def allocate_pages(self, allocate_type: int, memory_type: int, pages: int, memory: int) -> EfiStatus:
        """EFI_ALLOCATE_PAGES."""
        asked = self._ram.u64(memory) if memory else None
        status, start = self._services.allocate_pages(allocate_type, memory_type, pages, asked)
        if memory and start != asked:
            self._ram.put_u64(memory, start)
        return status

    @service(service_names.FREE_PAGES, "qq", own_record=True)
    def free_pages(self, memory: int, pages: int) -> EfiStatus:
        """EFI_FREE_PAGES."""
        return self._services.free_pages(memory, pages)

    @service(service_names.ALLOCATE_POOL, "dqq", own_record=True)
    def allocate_pool(self, pool_type: int, size: int, buffer: int) -> EfiStatus:
        """EFI_ALLOCATE_POOL."""
        status, start = self._services.allocate_pool(pool_type, size, has_buffer=bool(buffer))
        if buffer:
            self._ram.put_u64(buffer, start or 0)
        return status

    @service(service_names.FREE_POOL, "q", own_record=True)
    def free_pool(self, buffer: int) -> EfiStatus:
        """EFI_FREE_POOL; FreePool(NULL) is an error that loaders make on their normal way."""
        return self._services.free_pool(buffer)

    @service(service_names.GET_MEMORY_MAP, "qqqqq", own_record=True)
    def get_memory_map(
        self, memory_map_size: int, memory_map: int, map_key: int, descriptor_size: int, descriptor_version: int
    ) -> EfiStatus:
        """EFI_GET_MEMORY_MAP."""
        ram = self._ram
        size = ram.u64(memory_map_size) if memory_map_size else None
        wants = (bool(map_key), bool(descriptor_size), bool(descriptor_version))
        result = self._services.get_memory_map(size, bool(memory_map), wants)
        if result.status is SUCCESS:
            ram.write(memory_map, b"".join(entry.pack() for entry in result.descriptors))
        if result.status is not EfiStatus.EFI_UNSUPPORTED and size is not None:
            ram.put_u64(memory_map_size, result.memory_map_size or 0)
        if result.map_key is not None:
            ram.put_u64(map_key, result.map_key)
        if result.descriptor_size is not None:
            ram.put_u64(descriptor_size, result.descriptor_size)
        if result.descriptor_version is not None:
            ram.put_u32(descriptor_version, result.descriptor_version)
        return result.status

    @service(service_names.ACCEPT_MEMORY, "qq", own_record=True)
    def accept_memory(self, start_address: int, size: int) -> EfiStatus:
        """AcceptMemory, the RFC's option 3: the entry after CreateEventEx."""
        return self._services.accept_memory(start_address, size)
