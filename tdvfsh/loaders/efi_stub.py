"""The Linux x86 EFI stub from its PE entry to ExitBootServices, as the sequence of boot-service calls it makes.

Source: Linux drivers/firmware/efi/libstub/{x86-stub.c,efi-stub-helper.c,mem.c,randomalloc.c,unaccepted_memory.c},
6.6 and later and the same code in the 6.1 long-term branch; order, types and sizes as recorded from Debian's 6.1.176
and 6.12.107 (tests/conformance/trace.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tdvfsh.accept.needs import NO_LIMIT, Need
from tdvfsh.dxe.boot_services import MemoryMapResult
from tdvfsh.loaders.unaccepted import TABLE_HEADER_SIZE, table_span, unaccepted_table
from tdvfsh.uefi.device_path import DevicePath, VenMedia
from tdvfsh.uefi.guids import (
    EFI_LOAD_FILE2_PROTOCOL_GUID,
    LINUX_EFI_BOOT_MEMMAP_GUID,
    LINUX_EFI_INITRD_MEDIA_GUID,
    LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID,
    OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.memory import MEMORY_DESCRIPTOR_SIZE, EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB, PAGE_SIZE, align_down, align_up, human_size, pages_for

if TYPE_CHECKING:
    from tdvfsh.loaders.flow import BootFlow

LOAD_PHYSICAL_ADDRESS: Final = 16 * MIB  # CONFIG_PHYSICAL_START
KERNEL_ALIGNMENT: Final = 2 * MIB  # CONFIG_PHYSICAL_ALIGN

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_ACPI_RECLAIM: Final = EfiMemoryType.EfiACPIReclaimMemory
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_BELOW_4G: Final = 0xFFFFFFFF

_BOOT_PARAMS_SIZE: Final = 4096
_TRAMPOLINE_SIZE: Final = 2 * PAGE_SIZE  # for switching to five-level paging
_BOOT_MEMMAP_HEADER: Final = 40  # struct efi_boot_memmap before its array
_INITRD_TABLE_SIZE: Final = 16
_RANDOM_SEED_TABLE_SIZE: Final = 4 + 32
_PCI_HANDLE_BUFFER_SIZE: Final = 32  # four PCI functions, as on the recorded machine
_E820_ENTRIES: Final = 128  # what boot_params holds
_E820_ENTRY_SIZE: Final = 20
_SETUP_DATA_HEADER: Final = 16
_SMALL_NEEDS: Final = 16 * PAGE_SIZE
"""Room for the stub's page and pool requests besides kernel and initrd."""

LINUX_EFI_INITRD_TABLE_GUID: Final = Guid("5568e427-68fc-4f3d-ac74-ca555231cc68")
LINUX_EFI_RANDOM_SEED_TABLE_GUID: Final = Guid("1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b")

_NO_KASLR: Final = re.compile(r"(?:^|\s)(?:nokaslr|mem=|memmap=)")


def stub_needs(flow: BootFlow) -> list[Need]:
    """What the stub will ask for up to the kernel's buffer, for loaders that accept before they start it.

    The initrd's buffer is not among it: with KASLR the kernel may come to lie anywhere, also amid memory accepted for
    the initrd. A loader accepts for that when the stub asks it, by LoadFile2, for the initrd's size.
    """
    size = flow.files.kernel.kernel_buffer_size
    if not size:
        return []
    return [
        Need("boot_params", _SMALL_NEEDS, _LOADER_DATA),
        Need("kernel", size, _LOADER_CODE, minimum=LOAD_PHYSICAL_ADDRESS, alignment=KERNEL_ALIGNMENT),
    ]


def run_efi_stub(flow: BootFlow, handle: int) -> EfiStatus:
    """The stub's entry point.

    Returns:
        EFI_SUCCESS: Boot services are over and the kernel has what it needs.
        EFI_OUT_OF_RESOURCES: The kernel's buffer, the initrd or something smaller found no room. What the stub had
            allocated by then stays allocated: it does not clean up.
    """
    with flow.services.trace.on_behalf_of("stub"):
        return _EfiStub(flow, handle).run()


class _EfiStub:
    def __init__(self, flow: BootFlow, handle: int) -> None:
        self._flow = flow
        self._services = flow.services
        self._handle = handle
        image = flow.services.images.loaded_image(handle)
        self._cmdline = image.load_options if image is not None else ""
        linux = flow.files.kernel.linux
        self._supports_unaccepted = linux is not None and linux.supports_unaccepted_memory
        # 6.12 keeps 32 descriptors to spare and reads a map for e820; 6.1.176 has 8 and only asks for the size.
        self._is_recent = linux is not None and _version(linux.kernel_version) >= (6, 12)
        self._slack = 32 if self._is_recent else 8

    def run(self) -> EfiStatus:
        for step in (
            self._prepare,
            self._place_kernel,
            self._load_initrd,
            self._collect_tables,
            self._allocate_e820,
            self._exit_boot_services,
        ):
            status = step()
            if status.is_error:
                return status
        return SUCCESS

    def _prepare(self) -> EfiStatus:
        flow = self._flow
        status, _ = flow.allocate("boot_params", _MAX, _LOADER_DATA, _BOOT_PARAMS_SIZE)
        if status.is_error:
            return self._no_room("AllocatePages", status, _BOOT_PARAMS_SIZE, "boot_params")
        status, _ = self._services.allocate_pool(_LOADER_DATA, len(self._cmdline) + 1)
        if status.is_error:
            return self._no_room("AllocatePool", status, len(self._cmdline) + 1, "the command line")
        status, _ = flow.allocate("trampoline", _MAX, _LOADER_DATA, _TRAMPOLINE_SIZE, _BELOW_4G)
        if status.is_error:
            return self._no_room("AllocatePages", status, _TRAMPOLINE_SIZE, "the paging trampoline")
        options = self._services.allocate_pool(_LOADER_DATA, len(self._cmdline) + 1)
        if options.buffer:
            self._services.free_pool(options.buffer)
        return SUCCESS

    def _place_kernel(self) -> EfiStatus:
        """efi_decompress_kernel: read the map, choose a slot, ask for it by address."""
        from tdvfsh.loaders.flow import LOAD_KERNEL, shortage

        flow = self._flow
        flow.stage = LOAD_KERNEL
        size = flow.files.kernel.kernel_buffer_size
        memory_map, buffer = self._read_memory_map(_LOADER_DATA)
        if memory_map.status.is_error:
            return self._no_room("GetMemoryMap", memory_map.status, 0, "the memory map")
        seed = 0 if _NO_KASLR.search(self._cmdline) else flow.kaslr_seed
        address = choose_slot(memory_map, size, seed)
        if address is None:
            status = EfiStatus.EFI_OUT_OF_RESOURCES
            numbers = shortage(self._services, size, minimum=LOAD_PHYSICAL_ADDRESS)
            flow.fail(
                "GetMemoryMap",
                status,
                size,
                f"the EFI stub finds no 2 MiB aligned place at or above 16 MiB for the kernel: {numbers}; it reads the "
                "memory map itself and asks for nothing, so an accept inside the allocator is never tried",
                minimum=LOAD_PHYSICAL_ADDRESS,
            )
            flow.stub_progress.append("EFI stub: ERROR: Failed to decompress kernel")
        else:
            status, _ = flow.allocate("kernel", EfiAllocateType.AllocateAddress, _LOADER_CODE, size, address)
        self._services.free_pool(buffer)
        return status

    def _load_initrd(self) -> EfiStatus:
        """efi_load_initrd, by LoadFile2."""
        from tdvfsh.loaders.flow import LOAD_INITRD, shortage
        from tdvfsh.loaders.media import InitrdLoadFile2

        flow, services = self._flow, self._services
        path = DevicePath((VenMedia(LINUX_EFI_INITRD_MEDIA_GUID),))
        status, device, _ = services.handles.locate_device_path(EFI_LOAD_FILE2_PROTOCOL_GUID, path)
        if status is not SUCCESS or device is None:
            return SUCCESS
        source = services.handles.handle_protocol(device, EFI_LOAD_FILE2_PROTOCOL_GUID).interface
        if not isinstance(source, InitrdLoadFile2):
            return SUCCESS
        flow.stage = LOAD_INITRD
        source.load_file("", boot_policy=False)
        status, start = flow.allocate("initrd", _MAX, _LOADER_DATA, source.size)
        if status.is_error:
            why = f"the EFI stub finds no room for the initrd: {shortage(services, source.size)}"
            flow.stub_progress.append(f"EFI stub: ERROR: Failed to load initrd: {status.value:#x}")
            return flow.fail("AllocatePages", status, source.size, why)
        for offset, view in source.pieces:
            services.contents.map_view(start + offset, view)
        flow.placements[-1].end = start + source.size
        _, table = services.allocate_pool(_LOADER_DATA, _INITRD_TABLE_SIZE)
        services.install_configuration_table(LINUX_EFI_INITRD_TABLE_GUID, table)
        return SUCCESS

    def _collect_tables(self) -> EfiStatus:
        """Random seed, PCI ROMs: small requests whose failure is not fatal. Then SNP's opt-out, absent on TDX."""
        from tdvfsh.loaders.flow import EXIT_BOOT_SERVICES

        services = self._services
        self._flow.stage = EXIT_BOOT_SERVICES
        status, seed = services.allocate_pool(_ACPI_RECLAIM, _RANDOM_SEED_TABLE_SIZE)
        if status is SUCCESS:
            services.install_configuration_table(LINUX_EFI_RANDOM_SEED_TABLE_GUID, seed)
        handles = services.allocate_pool(_LOADER_DATA, _PCI_HANDLE_BUFFER_SIZE)
        if handles.buffer:
            services.free_pool(handles.buffer)
        if self._supports_unaccepted:
            services.locate_protocol(OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID)
        return SUCCESS

    def _allocate_e820(self) -> EfiStatus:
        services = self._services
        if not self._is_recent:
            size = services.get_memory_map(0, has_buffer=False).memory_map_size or 0
            status = self._allocate_e820_overflow(size // MEMORY_DESCRIPTOR_SIZE)
            return self._allocate_unaccepted_table() if self._supports_unaccepted and not status.is_error else status
        memory_map, buffer = self._read_memory_map(_LOADER_DATA)
        if memory_map.status.is_error:
            return self._no_room("GetMemoryMap", memory_map.status, 0, "the memory map")
        status = self._allocate_e820_overflow(len(memory_map.descriptors))
        if self._supports_unaccepted and not status.is_error:
            status = self._allocate_unaccepted_table()
        services.free_pool(buffer)
        return status

    def _allocate_e820_overflow(self, descriptors: int) -> EfiStatus:
        """Room for e820 entries beyond the 128 that boot_params holds."""
        overflow = descriptors - _E820_ENTRIES + self._slack
        if overflow <= 0:
            return SUCCESS
        size = _SETUP_DATA_HEADER + overflow * _E820_ENTRY_SIZE
        status, buffer = self._services.allocate_pool(_LOADER_DATA, size)
        if status.is_error or not buffer:
            return self._no_room("AllocatePool", status, size, "the e820 overflow")
        self._flow.place("setup_data", buffer, size, _LOADER_DATA)
        return SUCCESS

    def _allocate_unaccepted_table(self) -> EfiStatus:
        """allocate_unaccepted_bitmap: sized by the span of all unaccepted ranges."""
        services = self._services
        span = table_span(services.memory_map_view().descriptors)
        if span is None or LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID in services.core.configuration_tables:
            return SUCCESS
        size = TABLE_HEADER_SIZE + span[1]
        status, buffer = services.allocate_pool(_ACPI_RECLAIM, size)
        if status.is_error or not buffer:
            return self._no_room("AllocatePool", status, size, "the unaccepted-memory table")
        self._flow.place("unaccepted_table", buffer, size, _ACPI_RECLAIM)
        return services.install_configuration_table(LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID, buffer)

    def _exit_boot_services(self) -> EfiStatus:
        """The final map in a pool buffer, ExitBootServices, and one more try with the same buffer."""
        services = self._services
        memory_map, buffer = self._read_memory_map(_ACPI_RECLAIM)
        if memory_map.status.is_error:
            return self._no_room("GetMemoryMap", memory_map.status, 0, "the final memory map")
        services.install_configuration_table(LINUX_EFI_BOOT_MEMMAP_GUID, buffer)
        status = services.exit_boot_services(self._handle, memory_map.map_key or 0)
        if status is EfiStatus.EFI_INVALID_PARAMETER:
            memory_map = services.get_memory_map(self._buffer_size(memory_map))
            status = services.exit_boot_services(self._handle, memory_map.map_key or 0)
        if status is SUCCESS and self._supports_unaccepted:
            table = unaccepted_table(memory_map.descriptors)
            if table is not None:
                services.trace.note(
                    "process_unaccepted_memory",
                    phys_base=table.phys_base,
                    bitmap_bytes=table.size,
                    units=table.units,
                    accepted_now=sum(end - start for start, end in table.accepted_now),
                )
        return status

    def _read_memory_map(self, memory_type: EfiMemoryType) -> tuple[MemoryMapResult, int]:
        """efi_get_memory_map: the size, a pool buffer with room to spare, the map; and the buffer."""
        services = self._services
        sized = services.get_memory_map(0, has_buffer=False)
        status, buffer = services.allocate_pool(memory_type, self._buffer_size(sized) + _BOOT_MEMMAP_HEADER)
        if status.is_error or not buffer:
            return sized._replace(status=status), 0
        return services.get_memory_map(self._buffer_size(sized)), buffer

    def _buffer_size(self, sized: MemoryMapResult) -> int:
        return (sized.memory_map_size or 0) + self._slack * MEMORY_DESCRIPTOR_SIZE

    def _no_room(self, service: str, status: EfiStatus, asked: int, what: str) -> EfiStatus:
        self._flow.fail(service, status, asked, f"the EFI stub finds no room for {what} ({human_size(asked)})")
        return status


def choose_slot(memory_map: MemoryMapResult, size: int, seed: int) -> int | None:
    """efi_random_alloc: the slot that ``seed`` picks among all that can hold ``size`` bytes; the lowest for seed 0.

    Args:
        memory_map: As GetMemoryMap gave it; slots count in its order.
        size: Bytes.
        seed: 32 bits.
    """
    size = pages_for(size) * PAGE_SIZE
    slots: list[tuple[int, int]] = []
    for entry in memory_map.descriptors:
        if entry.memory_type != EfiMemoryType.EfiConventionalMemory:
            continue
        first = align_up(max(entry.physical_start, LOAD_PHYSICAL_ADDRESS), KERNEL_ALIGNMENT)
        last = align_down(min(entry.physical_end, NO_LIMIT) - size, KERNEL_ALIGNMENT)
        if first <= last:
            slots.append((first, (last - first) // KERNEL_ALIGNMENT + 1))
    total = sum(count for _, count in slots)
    if not total:
        return None
    target = seed * total >> 32
    for first, count in slots:
        if target < count:
            return first + target * KERNEL_ALIGNMENT
        target -= count
    return None


def _version(text: str) -> tuple[int, int]:
    """``(6, 12)`` of ``6.12.107+deb13-amd64 …``; zeros where there is none."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)
