"""Red Hat's GRUB: ``linuxefi`` places kernel and initrd itself and enters by the EFI handover protocol.

Source: rhboot/grub2 fedora-44 grub-core/loader/i386/efi/linux.c.
"""

from __future__ import annotations

from tdvfsh.accept.needs import NO_LIMIT, Need
from tdvfsh.formats.linux import LinuxKernel
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.efi_stub import run_efi_stub, stub_needs
from tdvfsh.loaders.files import INITRD_PADDING
from tdvfsh.loaders.flow import LOAD_INITRD, LOAD_KERNEL, START_IMAGE, BootFlow, shortage
from tdvfsh.loaders.grub_files import open_file
from tdvfsh.loaders.grub_memory import MEASURED_FILE, Grub, GrubBuild
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SIZE, align_up, pages_for

_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_OLDEST_VERSION: Final = 0x20B
_KERNEL_64: Final = 1  # xloadflags: XLF_KERNEL_64
_ABOVE_4G: Final = 2  # xloadflags: XLF_CAN_BE_LOADED_ABOVE_4G
_PARAMS_SIZE: Final = 4096


def run_grub_red_hat(flow: BootFlow, build: GrubBuild) -> EfiStatus:
    """From the boot manager's LoadImage of GRUB to the kernel's ExitBootServices.

    Returns:
        EFI_UNSUPPORTED: No 64-bit kernel with a handover entry.
        EFI_OUT_OF_RESOURCES, EFI_NOT_FOUND: GRUB or the kernel's stub found no room.
    """
    grub = Grub(flow, build)
    status = grub.start()
    if status.is_error:
        return status
    linux = flow.files.kernel.linux
    if linux is None or not _has_handover(linux):
        flow.stage = LOAD_KERNEL
        why = f"GRUB's linuxefi does not take {flow.files.kernel.path}: no 64-bit kernel with an EFI handover entry"
        return flow.fail(service_names.LOAD_IMAGE, EfiStatus.EFI_UNSUPPORTED, 0, why)
    with flow.services.trace.on_behalf_of("grub"):
        return _RedHatLinux(flow, grub, linux).run()


def _has_handover(linux: LinuxKernel) -> bool:
    return linux.version >= _OLDEST_VERSION and bool(linux.handover_offset) and bool(linux.xloadflags & _KERNEL_64)


class _RedHatLinux:
    def __init__(self, flow: BootFlow, grub: Grub, linux: LinuxKernel) -> None:
        self._flow = flow
        self._grub = grub
        self._linux = linux
        self._high = NO_LIMIT if linux.xloadflags & _ABOVE_4G else grub.limit
        sizes = [align_up(initrd.size, INITRD_PADDING) for initrd in flow.files.initrds]
        self._initrd_size = sum(sizes)

    def run(self) -> EfiStatus:
        flow, linux, limit = self._flow, self._linux, self._grub.limit
        needs = [
            *self._kernel_file_needs(flow.files.kernel.size),
            Need("boot_params", _PARAMS_SIZE, _LOADER_DATA, limit),
            Need("cmdline", linux.cmdline_size + 1, _LOADER_DATA, limit),
            Need("handover_kernel", linux.init_size, _LOADER_CODE, limit),
        ]
        status = flow.run_step(LOAD_KERNEL, needs, self._load_kernel)
        if status.is_error:
            return status
        if self._initrd_size:
            initrd = Need("initrd", self._initrd_size, _LOADER_DATA, self._initrd_limit)
            files = self._grub.open_needs(entry.size for entry in flow.files.initrds)
            status = flow.run_step(LOAD_INITRD, [*files, initrd], self._load_initrd)
            if status.is_error:
                return status
        stub = stub_needs(flow)
        return flow.run_step(START_IMAGE, stub, lambda: run_efi_stub(flow, flow.firmware_image, handover=True))

    @property
    def _initrd_limit(self) -> int:
        return NO_LIMIT if self._linux.xloadflags & _ABOVE_4G else self._linux.initrd_addr_max

    def _load_kernel(self) -> EfiStatus:
        """``linuxefi``: the file into the heap, then parameters, command line and the kernel's own place."""
        flow, linux = self._flow, self._linux
        first = len(flow.placements)
        size = flow.files.kernel.size
        status = open_file(flow, self._grub, "linuxefi", "kernel", size)
        if status.is_error:
            return status
        status = self._grub.hold_file(size)
        self._grub.close_file(size)
        if status.is_error:
            why = f"GRUB's heap cannot hold the kernel's file ('out of memory'): {shortage(flow.services, size)}"
            return flow.fail(service_names.ALLOCATE_PAGES, status, size, why, self._grub.limit)
        for what, length in (("boot_params", _PARAMS_SIZE), ("cmdline", linux.cmdline_size + 1)):
            if not status.is_error:
                limits = (self._grub.limit, self._high)
                status = self._try(what, _LOADER_DATA, length, limits, f"cannot allocate {what}")
        if not status.is_error:
            status = self._place_kernel()
        self._grub.release_file(size)
        if status.is_error:
            for placement in flow.placements[first:]:
                if placement.what not in ("heap", MEASURED_FILE):
                    self._grub.free_pages(placement.start, placement.size)
                    flow.free(placement)
        return status

    def _kernel_file_needs(self, size: int) -> list[Need]:
        """Its own block of the heap, and a verifier's beside it."""
        return self._grub.open_needs([size, size]) or self._grub.growth_need(size)

    def _place_kernel(self) -> EfiStatus:
        """By address at pref_address, else anywhere below GRUB's limit: code32_start has only 32 bits."""
        linux, flow = self._linux, self._flow
        status, start = self._grub.allocate_pages(
            EfiAllocateType.AllocateAddress, _LOADER_CODE, linux.init_size, linux.pref_address
        )
        if status is SUCCESS:
            flow.place("handover_kernel", start, align_up(linux.init_size, PAGE_SIZE), _LOADER_CODE)
            return status
        return self._try("handover_kernel", _LOADER_CODE, linux.init_size, (self._grub.limit,), "can't allocate kernel")

    def _load_initrd(self) -> EfiStatus:
        """``initrdefi``: each file padded to 4 bytes, the last too."""
        flow = self._flow
        sizes = [initrd.size for initrd in flow.files.initrds]
        for number, size in enumerate(sizes):
            status = open_file(flow, self._grub, "initrdefi", "initrd", size)
            if status.is_error:
                self._close(sizes[:number])
                return status
        status = self._place_initrd()
        self._close(sizes)
        return status

    def _close(self, sizes: list[int]) -> None:
        for size in sizes:
            self._grub.close_file(size)

    def _place_initrd(self) -> EfiStatus:
        flow = self._flow
        status = self._try("initrd", _LOADER_DATA, self._initrd_size, (self._initrd_limit,), "can't allocate initrd")
        placed = flow.placed("initrd")
        if placed is not None and not status.is_error:
            for offset, view in flow.files.initrd_pieces():
                flow.services.contents.map_view(placed.start + offset, view)
            flow.fit(placed, self._initrd_size)
        return status

    def _try(
        self, what: str, memory_type: EfiMemoryType, size: int, limits: tuple[int, ...], message: str
    ) -> EfiStatus:
        """AllocateMaxAddress under each limit in turn; an equal one is not tried twice."""
        flow = self._flow
        status = EfiStatus.EFI_OUT_OF_RESOURCES
        for limit in dict.fromkeys(limits):
            status, start = self._grub.allocate_pages(_MAX, memory_type, size, limit)
            if status is SUCCESS:
                flow.place(what, start, pages_for(size) * PAGE_SIZE, memory_type)
                return status
        why = f"GRUB has no room ('{message}'): {shortage(flow.services, size, limits[-1])}"
        return flow.fail(service_names.ALLOCATE_PAGES, status, size, why, limits[-1])
