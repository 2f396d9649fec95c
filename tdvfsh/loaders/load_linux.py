"""OVMF's own old loader: firmware places setup, kernel, command line and initrd, and enters the kernel.

The kernel lands where it was built to run, by address on a coarse grid; the initrd once more beside its blob. Kernels
with an EFI handover entry then go through their EFI stub, which places both again.

Source: edk2 OvmfPkg/Library/LoadLinuxLib, OvmfPkg/Library/X86QemuLoadImageLib.
"""

from __future__ import annotations

from tdvfsh.accept.needs import Need
from tdvfsh.formats.linux import LinuxKernel
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.efi_stub import run_efi_stub, stub_needs
from tdvfsh.loaders.flow import EXIT_BOOT_SERVICES, LOAD_IMAGE, LOAD_KERNEL, START_IMAGE, BootFlow, shortage
from tdvfsh.loaders.publish import offered_initrd
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, PAGE_SIZE, pages_for

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_SETUP_LIMIT: Final = 1 * GIB
_CMDLINE_LIMIT: Final = 0xA0000
_GRID_STEPS: Final = 511
_OLDEST_VERSION: Final = 0x205
_HANDOVER_64: Final = 8  # xloadflags: XLF_EFI_HANDOVER_64


def run_load_linux(flow: BootFlow) -> EfiStatus:
    """From the blobs to the kernel.

    Returns:
        EFI_UNSUPPORTED: No relocatable Linux kernel of boot protocol 2.05 or later.
        EFI_OUT_OF_RESOURCES: One of the four pieces, or something in the EFI stub, found no room.
    """
    linux = flow.files.kernel.linux
    flow.stage = LOAD_IMAGE
    if linux is None or linux.version < _OLDEST_VERSION or not linux.relocatable_kernel:
        why = f"firmware's own Linux loader takes relocatable kernels from 2.05 on; {flow.files.kernel.path} is not one"
        return flow.fail("LoadLinux", EfiStatus.EFI_UNSUPPORTED, 0, why)
    return _LoadLinux(flow, linux).run()


class _LoadLinux:
    def __init__(self, flow: BootFlow, linux: LinuxKernel) -> None:
        self._flow = flow
        self._linux = linux
        self._size = linux.init_size if linux.version > 0x20A else 3 * flow.files.kernel.size

    def run(self) -> EfiStatus:
        flow = self._flow
        with flow.services.trace.on_behalf_of("LoadLinuxLib"):
            status = flow.run_step(LOAD_KERNEL, self._needs(), self._place_all)
            if status.is_error:
                return status
            needs = stub_needs(flow) if self._has_handover else []
            return flow.run_step(START_IMAGE, needs, self._start)

    @property
    def _has_handover(self) -> bool:
        linux = self._linux
        return linux.version >= 0x20B and bool(linux.handover_offset) and bool(linux.xloadflags & _HANDOVER_64)

    @property
    def _kernel_name(self) -> str:
        """With the handover entry the stub places the kernel once more, and that one counts."""
        return "handover_kernel" if self._has_handover else "kernel"

    @property
    def _initrd_name(self) -> str:
        """The stub takes the initrd that LoadFile2 offers, and leaves this copy alone."""
        again = self._has_handover and self._linux.uses_load_file2 and offered_initrd(self._flow) is not None
        return "handover_initrd" if again else "initrd"

    def _needs(self) -> list[Need]:
        files, linux = self._flow.files, self._linux
        step = 2 * max(linux.kernel_alignment, PAGE_SIZE)
        needs = [
            Need("setup", linux.setup_size, _LOADER_DATA, _SETUP_LIMIT),
            Need(
                what=self._kernel_name,
                size=self._size,
                memory_type=_LOADER_CODE,
                maximum=(_GRID_STEPS * step + self._size) - 1,
                minimum=step,
                alignment=step,
            ),
            Need("cmdline", len(files.cmdline) + 1, _LOADER_DATA, _CMDLINE_LIMIT),
        ]
        if files.initrd_size:
            needs.append(Need(self._initrd_name, files.initrd_size, _LOADER_DATA, linux.initrd_addr_max))
        return needs

    def _place_all(self) -> EfiStatus:
        """The four allocations; what was had before one fails is given back."""
        files, linux = self._flow.files, self._linux
        first = len(self._flow.placements)
        status = self._place("setup", linux.setup_size, _SETUP_LIMIT)
        if not status.is_error:
            status = self._place_kernel()
        if not status.is_error:
            status = self._place("cmdline", len(files.cmdline) + 1, _CMDLINE_LIMIT)
        if not status.is_error and files.initrd_size:
            status = self._place(self._initrd_name, files.initrd_size, linux.initrd_addr_max)
        if status.is_error:
            for placement in self._flow.placements[first:]:
                self._flow.services.free_pages(placement.start, pages_for(placement.size))
                self._flow.free(placement)
        return status

    def _place(self, what: str, size: int, limit: int) -> EfiStatus:
        flow = self._flow
        status, start = flow.allocate(what, _MAX, _LOADER_DATA, size, limit)
        if status.is_error:
            why = f"firmware's own Linux loader has no room for the {what} below {limit + 1:#x}: "
            return flow.fail(
                service_names.ALLOCATE_PAGES, status, size, why + shortage(flow.services, size, limit), limit
            )
        if what == self._initrd_name:
            for offset, view in flow.files.initrd_pieces():
                flow.services.contents.map_view(start + offset, view)
        return SUCCESS

    def _place_kernel(self) -> EfiStatus:
        """AllocateAddress at every second multiple of kernel_alignment until one is free."""
        flow = self._flow
        step = 2 * max(self._linux.kernel_alignment, PAGE_SIZE)
        for number in range(1, _GRID_STEPS + 1):
            status, _ = flow.allocate(
                self._kernel_name, EfiAllocateType.AllocateAddress, _LOADER_CODE, self._size, number * step
            )
            if status is SUCCESS:
                return SUCCESS
        status = EfiStatus.EFI_OUT_OF_RESOURCES
        why = (
            f"firmware's own Linux loader finds no place for the kernel at a multiple of {step:#x}: "
            f"{shortage(flow.services, self._size)}; it asks by address only, so an accept inside the allocator is "
            "never tried"
        )
        return flow.fail(service_names.ALLOCATE_PAGES, status, self._size, why, minimum=step)

    def _start(self) -> EfiStatus:
        flow, services = self._flow, self._flow.services
        if self._has_handover:
            return run_efi_stub(flow, flow.firmware_image, handover=True)
        flow.stage = EXIT_BOOT_SERVICES
        memory_map = services.get_memory_map(services.get_memory_map(0, has_buffer=False).memory_map_size or 0)
        status = services.exit_boot_services(flow.firmware_image, memory_map.map_key or 0)
        if status is SUCCESS:
            flow.lose(services.td.unaccepted_bytes, "firmware's own Linux loader drops type 15 from the e820 map")
        return status
