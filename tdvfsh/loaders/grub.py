"""GRUB 2.12 on x86_64-efi: its heap, ``linux``, ``initrd`` and ``boot`` for a kernel with an EFI stub.

GRUB knows nothing of unaccepted memory; with option 2 or 3 in force this models a GRUB that was taught to accept.

Source: GRUB 2.12 grub-core/kern/efi/mm.c, grub-core/loader/efi/linux.c; Debian's grub-core/loader/efi/peimage.c; sizes
as recorded from Debian 13's signed GRUB 2.12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tdvfsh.accept.needs import NO_LIMIT, Need
from tdvfsh.loaders.direct import note_image, publish_initrd
from tdvfsh.loaders.efi_stub import run_efi_stub, stub_needs
from tdvfsh.loaders.flow import LOAD_IMAGE, LOAD_KERNEL, START_IMAGE, BootFlow, FirmwarePlayer, shortage
from tdvfsh.uefi.device_path import DevicePath, MemoryMapped
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB, align_up, pages_for

MAX_USABLE_ADDRESS: Final = 0xFFFFFFFF  # GRUB_EFI_MAX_USABLE_ADDRESS of the large code model
HEAP_SIZE: Final = 32 * MIB
HEAP_MINIMUM_ADDRESS: Final = 1 * MIB

_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_MAP_BUFFERS_SIZE: Final = 2 * 0x3000
_TRACKING_SIZE: Final = 0x18  # struct efi_allocation: GRUB keeps one for each of its page allocations


@dataclass(frozen=True, slots=True)
class GrubBuild:
    """One GRUB binary.

    Attributes:
        name: As ``--loader`` names it.
        file_size: Bytes of the EFI file that the boot manager reads.
        image_size: Its SizeOfImage.
        own_pe_loader: It loads the kernel's image itself (Debian's peimage) instead of calling LoadImage.
    """

    name: str
    file_size: int
    image_size: int
    own_pe_loader: bool


GRUB_2_12: Final = GrubBuild("grub2.12", 0x28F5C0, 0x28F000, own_pe_loader=False)
GRUB_2_12_DEBIAN: Final = replace(GRUB_2_12, name="grub2.12-debian", own_pe_loader=True)


def run_grub(flow: BootFlow, build: GrubBuild) -> EfiStatus:
    """From the boot manager's LoadImage of GRUB to the kernel's ExitBootServices.

    Returns:
        EFI_OUT_OF_RESOURCES: Something found no room; GRUB itself would say "out of memory" or "cannot load image".
        Anything else that LoadImage or the kernel returned.
    """
    return _GrubBoot(flow, build).run()


class _GrubBoot:
    def __init__(self, flow: BootFlow, build: GrubBuild) -> None:
        self._flow = flow
        self._build = build
        self._services = flow.services
        self._firmware = FirmwarePlayer(flow.services, flow.firmware_calls)
        self._file_buffer = 0
        self._image: int | None = None

    def run(self) -> EfiStatus:
        flow = self._flow
        flow.stage = LOAD_IMAGE
        status = self._load_grub()
        if status.is_error:
            return status
        with self._services.trace.on_behalf_of("grub"):
            heap = [Need("heap", HEAP_SIZE + _MAP_BUFFERS_SIZE, _LOADER_CODE, MAX_USABLE_ADDRESS, HEAP_MINIMUM_ADDRESS)]
            status = flow.run_step(START_IMAGE, heap, self._start_heap)
            if status.is_error:
                return status
            kernel = flow.files.kernel
            file_need = Need("kernel_file", kernel.size, _LOADER_DATA, MAX_USABLE_ADDRESS)
            status = flow.run_step(LOAD_KERNEL, [file_need], self._linux)
            if status.is_error:
                return status
            if flow.files.initrd_size:
                publish_initrd(flow)
            limit = MAX_USABLE_ADDRESS if self._build.own_pe_loader else NO_LIMIT
            image = Need("image", kernel.image_pages_size, _LOADER_CODE, limit)
            status = flow.run_step(LOAD_IMAGE, [image], self._load_kernel_image)
            if status.is_error:
                return status
            stub = stub_needs(flow)
            return flow.run_step(START_IMAGE, stub, self._start_kernel, repeat_needs=[image, *stub])

    def _load_grub(self) -> EfiStatus:
        """The boot manager reads GRUB into a pool buffer and loads it from there."""
        flow, services, build = self._flow, self._services, self._build
        with services.trace.on_behalf_of("bds"):
            self._firmware.run_to("file-buffer")
            status, buffer = services.allocate_pool(_BS_DATA, build.file_size)
            if status is not SUCCESS or not buffer:
                why = f"the firmware has no room for GRUB's file: {shortage(services, build.file_size)}"
                return flow.fail("LoadImage", EfiStatus.EFI_NOT_FOUND, build.file_size, why)
            self._firmware.run_to("image")
            status, start = services.allocate_pages(
                EfiAllocateType.AllocateAnyPages, _LOADER_CODE, pages_for(build.image_size), 0
            )
            if status is SUCCESS:
                flow.place("grub", start, build.image_size, _LOADER_CODE)
            services.free_pool(buffer)
            if status.is_error:
                why = f"GRUB's own image found no room: {shortage(services, build.image_size)}"
                return flow.fail("LoadImage", status, build.image_size, why)
            self._firmware.run_to_end()
        return SUCCESS

    def _start_heap(self) -> EfiStatus:
        """grub_efi_mm_init: read the map, and take the heap from the top of the largest piece, by address."""
        flow, services = self._flow, self._services
        status, buffers = self._allocate_pages(_MAX, _LOADER_DATA, _MAP_BUFFERS_SIZE, MAX_USABLE_ADDRESS)
        if status.is_error:
            return flow.fail("AllocatePages", status, _MAP_BUFFERS_SIZE, "GRUB has no room to read the memory map into")
        memory_map = services.get_memory_map(_MAP_BUFFERS_SIZE // 2)
        pieces = [
            (min(entry.physical_end, MAX_USABLE_ADDRESS + 1), max(entry.physical_start, HEAP_MINIMUM_ADDRESS))
            for entry in memory_map.descriptors
            if entry.memory_type == EfiMemoryType.EfiConventionalMemory
        ]
        left = HEAP_SIZE
        for end, start in sorted(pieces, key=lambda piece: piece[1] - piece[0]):
            size = min(left, end - start)
            if size <= 0:
                break
            status, at = self._allocate_pages(EfiAllocateType.AllocateAddress, _LOADER_CODE, size, end - size)
            if status is SUCCESS:
                flow.place("heap", at, size, _LOADER_CODE)
                left -= size
            if not left:
                break
        services.free_pages(buffers, pages_for(_MAP_BUFFERS_SIZE))
        if left:
            status = EfiStatus.EFI_OUT_OF_RESOURCES
            why = f"GRUB cannot have its heap: {shortage(services, HEAP_SIZE, MAX_USABLE_ADDRESS)}"
            return flow.fail("AllocatePages", status, HEAP_SIZE, why, MAX_USABLE_ADDRESS)
        return SUCCESS

    def _linux(self) -> EfiStatus:
        """The ``linux`` command: the whole file into pages below 4 GiB."""
        flow, services = self._flow, self._services
        kernel = flow.files.kernel
        status, start = self._allocate_pages(_MAX, _LOADER_DATA, kernel.size, MAX_USABLE_ADDRESS)
        if status.is_error:
            numbers = shortage(services, kernel.size, MAX_USABLE_ADDRESS)
            why = f"GRUB's linux command has no room for the kernel's file below 4 GiB ('out of memory'): {numbers}"
            return flow.fail("AllocatePages", status, kernel.size, why, MAX_USABLE_ADDRESS)
        services.contents.map_view(start, kernel.view)
        flow.place("kernel_file", start, kernel.size, _LOADER_DATA)
        self._file_buffer = start
        return SUCCESS

    def _load_kernel_image(self) -> EfiStatus:
        """``boot``: LoadImage from memory, or Debian's own loader; any failure is "cannot load image"."""
        flow, services = self._flow, self._services
        kernel = flow.files.kernel
        asked = kernel.image_pages_size
        if kernel.pe is None:
            why = f"{kernel.path} is no EFI image; GRUB 2.12 would take its older loader for it"
            return flow.fail("LoadImage", EfiStatus.EFI_UNSUPPORTED, 0, why)
        if self._build.own_pe_loader:
            status, self._image = self._load_by_itself(asked)
        else:
            end = self._file_buffer + kernel.size - 1
            path = DevicePath((MemoryMapped(_LOADER_DATA, self._file_buffer, end),))
            status, self._image = services.load_image(False, flow.firmware_image, path, kernel.view)
        if status is SUCCESS:
            note_image(flow, self._image)
        else:
            why = f"GRUB cannot load the kernel's image ('cannot load image'): {shortage(services, asked)}"
            flow.fail("LoadImage", status, asked, why)
        return status

    def _load_by_itself(self, size: int) -> tuple[EfiStatus, int | None]:
        """Debian's peimage: pages below GRUB's limit, sections copied by GRUB, no image handle of firmware's."""
        from tdvfsh.dxe.loaded_image import LoadedImage
        from tdvfsh.formats.pe import PeRejection
        from tdvfsh.formats.pe_load import load_pe
        from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID

        flow, services = self._flow, self._services
        kernel = flow.files.kernel
        assert kernel.pe is not None
        status, base = self._allocate_pages(_MAX, _LOADER_CODE, size, MAX_USABLE_ADDRESS)
        if status.is_error:
            return status, None
        address = align_up(base, max(kernel.pe.section_alignment, 1))
        load = load_pe(kernel.pe, kernel.view, address)
        if isinstance(load, PeRejection):
            services.free_pages(base, pages_for(size))
            return load.status, None
        for rva, length, offset in load.pieces:
            if offset is not None:
                services.contents.map_view(address + rva, kernel.view[offset : offset + length])
        image = LoadedImage(
            flow.firmware_image, None, None, address, kernel.pe.image_size, _LOADER_CODE, _LOADER_DATA,
            base, pages_for(size), load.entry_point, kernel.pe, kernel.view, 0,
        )  # fmt: skip
        result = services.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, image)
        return result.status, result.handle

    def _start_kernel(self) -> EfiStatus:
        flow, services = self._flow, self._services
        flow.stage = START_IMAGE
        if self._image is None:
            status = self._load_kernel_image()
            if status.is_error:
                return status
        image = services.images.loaded_image(self._image)
        assert image is not None
        image.load_options = f"BOOT_IMAGE=/vmlinuz {flow.files.cmdline}".rstrip()
        options = 2 * (len(image.load_options) + 1)
        status, start = self._allocate_pages(_MAX, _LOADER_DATA, options, MAX_USABLE_ADDRESS)
        if status.is_error:
            return flow.fail("AllocatePages", status, options, "GRUB has no room for the kernel's command line")
        flow.place("cmdline", start, options, _LOADER_DATA)
        handle = self._image
        if self._build.own_pe_loader:
            assert handle is not None
            image.started = True
            status = run_efi_stub(flow, handle)
        else:
            status = services.start_image(handle).status
        if status.is_error:
            services.free_pages(start, pages_for(options))
            flow.mark_freed("cmdline")
            flow.mark_freed("image")
            if self._build.own_pe_loader:
                services.free_pages(image.page_base, image.number_of_pages)
            self._image = None
        return status

    def _allocate_pages(
        self, kind: EfiAllocateType, memory_type: EfiMemoryType, size: int, memory: int
    ) -> tuple[EfiStatus, int]:
        """grub_efi_allocate_pages_real: the pages, and a pool record by which GRUB remembers them."""
        status, start = self._services.allocate_pages(kind, memory_type, pages_for(size), memory)
        if status is SUCCESS:
            self._services.allocate_pool(_LOADER_DATA, _TRACKING_SIZE)
        return status, start
