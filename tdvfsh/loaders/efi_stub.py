"""The Linux x86 EFI stub from its entry to ExitBootServices, as the sequence of boot-service calls it makes.

Source: Linux drivers/firmware/efi/libstub/{x86-stub.c,efi-stub-helper.c,mem.c,unaccepted_memory.c}; order, types and
sizes as recorded from Debian's 6.1.176 and 6.12.107 (tests/loaders/test_recorded_calls.py).
"""

from __future__ import annotations

from tdvfsh.accept.needs import Need
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import KernelFile
from tdvfsh.loaders.flow import EXIT_BOOT_SERVICES, BootFlow
from tdvfsh.loaders.stub_calls import StubCalls
from tdvfsh.loaders.stub_initrd import load_initrd
from tdvfsh.loaders.stub_kernel import kernel_need, place_kernel
from tdvfsh.loaders.unaccepted import TABLE_HEADER_SIZE, table_span, unaccepted_table
from tdvfsh.uefi import service_names
from tdvfsh.uefi.guids import (
    LINUX_EFI_BOOT_MEMMAP_GUID,
    LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID,
    OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID,
    Guid,
)
from tdvfsh.uefi.memory import MEMORY_DESCRIPTOR_SIZE, EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_ACPI_RECLAIM: Final = EfiMemoryType.EfiACPIReclaimMemory
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_BELOW_4G: Final = 0xFFFFFFFF

_BOOT_PARAMS_SIZE: Final = 4096
_TRAMPOLINE_SIZE: Final = 2 * PAGE_SIZE  # for switching to five-level paging
_RANDOM_SEED_TABLE_SIZE: Final = 4 + 32
_PCI_HANDLE_BUFFER_SIZE: Final = 32  # four PCI functions, as on the recorded machine
_E820_ENTRIES: Final = 128  # what boot_params holds
_E820_ENTRY_SIZE: Final = 20
_SETUP_DATA_HEADER: Final = 16
_SMALL_NEEDS: Final = 16 * PAGE_SIZE
"""Room for the stub's page and pool requests besides kernel and initrd."""

LINUX_EFI_RANDOM_SEED_TABLE_GUID: Final = Guid("1ce1e5bc-7ceb-42f2-81e5-8aadf180f57b")


def has_efi_stub(kernel: KernelFile) -> bool:
    """Whether an EFI loader can start this kernel itself."""
    return kernel.linux is not None and kernel.pe is not None and kernel.kernel_buffer_size > 0


def stub_needs(flow: BootFlow, kernel: KernelFile | None = None) -> list[Need]:
    """What the stub will ask for up to the kernel's place, for loaders that accept before they start it.

    The initrd's buffer is not among it: with KASLR the kernel may be placed anywhere, also amid memory accepted for
    the initrd. A loader accepts for that when the stub asks it, by LoadFile2, for the initrd's size.

    Args:
        flow: The boot.
        kernel: Whose stub; the boot's own kernel where it is left out.
    """
    kernel = kernel or flow.files.kernel
    if not has_efi_stub(kernel):
        return []
    need = kernel_need(kernel)
    return [Need("boot_params", _SMALL_NEEDS, _LOADER_DATA), *([need] if need is not None else [])]


def run_efi_stub(flow: BootFlow, handle: int, kernel: KernelFile | None = None, handover: bool = False) -> EfiStatus:
    """The stub's entry point.

    Args:
        flow: The boot.
        handle: The image's handle.
        kernel: Whose stub; the boot's own kernel where it is left out.
        handover: Entered by the EFI handover protocol: boot_params, command line and perhaps an initrd are the
            caller's.

    Returns:
        EFI_SUCCESS: Boot services are over and the kernel has what it needs.
        EFI_OUT_OF_RESOURCES, EFI_NOT_FOUND: The kernel's place, the initrd or something smaller found no room. What the
            stub had allocated by then stays allocated: it does not clean up.
    """
    image = flow.services.images.loaded_image(handle)
    cmdline = image.load_options if image is not None and not handover else flow.files.cmdline
    stub = StubCalls(flow, kernel or flow.files.kernel, handle, cmdline)
    with flow.services.trace.on_behalf_of("stub"):
        status = _EfiStub(stub, handover).run()
    if status.is_error:
        flow.messages.append("EFI stub: ERROR: efi_stub_entry() failed!")
    return status


class _EfiStub:
    def __init__(self, stub: StubCalls, handover: bool) -> None:
        self._stub = stub
        self._flow = stub.flow
        self._services = stub.flow.services
        self._handover = handover

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
        flow, stub = self._flow, self._stub
        text = len(stub.cmdline) + 1
        if not self._handover:
            status, _ = flow.allocate("boot_params", _MAX, _LOADER_DATA, _BOOT_PARAMS_SIZE)
            if status.is_error:
                return stub.no_room(service_names.ALLOCATE_PAGES, status, _BOOT_PARAMS_SIZE, "boot_params")
            status, _ = self._services.allocate_pool(_LOADER_DATA, text)
            if status.is_error:
                return stub.no_room(service_names.ALLOCATE_POOL, status, text, "the command line")
        if stub.decompresses:
            status, _ = flow.allocate("trampoline", _MAX, _LOADER_DATA, _TRAMPOLINE_SIZE, _BELOW_4G)
            if status.is_error:
                return stub.no_room(service_names.ALLOCATE_PAGES, status, _TRAMPOLINE_SIZE, "the paging trampoline")
        options = self._services.allocate_pool(_LOADER_DATA, text)
        if options.buffer:
            self._services.free_pool(options.buffer)
        return SUCCESS

    def _place_kernel(self) -> EfiStatus:
        return place_kernel(self._stub)

    def _load_initrd(self) -> EfiStatus:
        return load_initrd(self._stub, has_one=self._handover and self._flow.placed("initrd") is not None)

    def _collect_tables(self) -> EfiStatus:
        """Random seed, PCI ROMs: small requests whose failure is not fatal. Then SNP's opt-out, absent on TDX."""
        services = self._services
        self._flow.stage = EXIT_BOOT_SERVICES
        if services.profile.rng_protocol:
            status, seed = services.allocate_pool(_ACPI_RECLAIM, _RANDOM_SEED_TABLE_SIZE)
            if status is SUCCESS:
                services.install_configuration_table(LINUX_EFI_RANDOM_SEED_TABLE_GUID, seed)
        if self._stub.locates_handle_buffers:
            with services.trace.on_behalf_of("dxe"):  # LocateHandleBuffer allocates inside the firmware
                handles = services.allocate_pool(EfiMemoryType.EfiBootServicesData, _PCI_HANDLE_BUFFER_SIZE)
        else:
            handles = services.allocate_pool(_LOADER_DATA, _PCI_HANDLE_BUFFER_SIZE)
        if handles.buffer:
            services.free_pool(handles.buffer)
        if self._stub.supports_unaccepted:
            services.locate_protocol(OVMF_SEV_MEMORY_ACCEPTANCE_PROTOCOL_GUID)
        return SUCCESS

    def _allocate_e820(self) -> EfiStatus:
        services, stub = self._services, self._stub
        if not stub.reads_map_for_e820:
            size = services.get_memory_map(0, has_buffer=False).memory_map_size or 0
            status = self._allocate_e820_overflow(size // MEMORY_DESCRIPTOR_SIZE)
            return self._allocate_unaccepted_table() if stub.supports_unaccepted and not status.is_error else status
        memory_map, buffer = stub.read_memory_map(_LOADER_DATA)
        if memory_map.status.is_error:
            return stub.no_room(service_names.GET_MEMORY_MAP, memory_map.status, 0, "the memory map")
        status = self._allocate_e820_overflow(len(memory_map.descriptors))
        if stub.supports_unaccepted and not status.is_error:
            status = self._allocate_unaccepted_table()
        services.free_pool(buffer)
        return status

    def _allocate_e820_overflow(self, descriptors: int) -> EfiStatus:
        """Room for e820 entries beyond the 128 that boot_params holds."""
        overflow = descriptors - _E820_ENTRIES + self._stub.slack
        if overflow <= 0:
            return SUCCESS
        size = _SETUP_DATA_HEADER + overflow * _E820_ENTRY_SIZE
        status, buffer = self._services.allocate_pool(_LOADER_DATA, size)
        if status.is_error or not buffer:
            return self._stub.no_room(service_names.ALLOCATE_POOL, status, size, "the e820 overflow")
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
            return self._stub.no_room(service_names.ALLOCATE_POOL, status, size, "the unaccepted-memory table")
        self._flow.place("unaccepted_table", buffer, size, _ACPI_RECLAIM)
        return services.install_configuration_table(LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID, buffer)

    def _exit_boot_services(self) -> EfiStatus:
        """The final map in a pool buffer, ExitBootServices, and one more try with the same buffer."""
        services, stub = self._services, self._stub
        memory_map, _ = stub.read_memory_map(
            _ACPI_RECLAIM if stub.decompresses else _LOADER_DATA, LINUX_EFI_BOOT_MEMMAP_GUID
        )
        if memory_map.status.is_error:
            return stub.no_room(service_names.GET_MEMORY_MAP, memory_map.status, 0, "the final memory map")
        status = services.exit_boot_services(stub.handle, memory_map.map_key or 0)
        if status is EfiStatus.EFI_INVALID_PARAMETER:
            memory_map = services.get_memory_map(stub.buffer_size(memory_map))
            status = services.exit_boot_services(stub.handle, memory_map.map_key or 0)
        if status is not SUCCESS:
            return status
        if not stub.supports_unaccepted:
            self._flow.lose(services.td.unaccepted_bytes, "this kernel does not know unaccepted memory")
            return SUCCESS
        table = unaccepted_table(memory_map.descriptors)
        if table is not None:
            services.trace.note(
                "process_unaccepted_memory",
                phys_base=table.phys_base,
                bitmap_bytes=table.size,
                units=table.units,
                accepted_now=sum(end - start for start, end in table.accepted_now),
            )
        return SUCCESS
