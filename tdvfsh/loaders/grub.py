"""GRUB 2.12 on x86_64-efi: ``linux``, ``initrd`` and ``boot`` for a kernel with an EFI stub, and ``chainloader``.

GRUB knows nothing of unaccepted memory; with option 2 or 3 in force this models a GRUB that was taught to accept.

Source: GRUB 2.12 grub-core/loader/efi/linux.c and chainloader.c; Debian's grub-core/loader/efi/peimage.c; order and
sizes as recorded from Debian 13's signed GRUB 2.12 (tests/recordings/trace/grub-2.12-*).
"""

from __future__ import annotations

from contextlib import nullcontext

from tdvfsh.accept.needs import NO_LIMIT, Need
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.formats.pe.load import load_pe
from tdvfsh.formats.pe.parse import PeRejection
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.flow import LOAD_IMAGE, LOAD_INITRD, LOAD_KERNEL, START_IMAGE, BootFlow, shortage, why_not_loaded
from tdvfsh.loaders.grub_files import OUT_OF_MEMORY, open_file
from tdvfsh.loaders.grub_legacy import GrubLegacyLinux
from tdvfsh.loaders.grub_memory import Grub, GrubBuild
from tdvfsh.loaders.programs import kernel_program, program_needs
from tdvfsh.loaders.publish import (
    KERNEL_ON_DISK,
    note_image,
    publish_initrd,
    publish_system_partition,
    start_with_initrds_on_disk,
)
from tdvfsh.loaders.shim_lock import by_shim, grub_asks_shim
from tdvfsh.uefi import service_names
from tdvfsh.uefi.device_path import DevicePath, MemoryMapped
from tdvfsh.uefi.guids import EFI_LOADED_IMAGE_PROTOCOL_GUID
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import PAGE_SHIFT, align_up, pages_for

_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_MAX: Final = EfiAllocateType.AllocateMaxAddress
_ANY: Final = EfiAllocateType.AllocateAnyPages


def run_grub(flow: BootFlow, build: GrubBuild) -> EfiStatus:
    """From the boot manager's LoadImage of GRUB to the kernel's ExitBootServices.

    Kernels that do not take their initrd by LoadFile2, and those without PE header, go the older way of
    :mod:`tdvfsh.loaders.grub_legacy`.

    Returns:
        EFI_OUT_OF_RESOURCES: Something found no room; GRUB itself would say "out of memory" or "cannot load image".
        Anything else that LoadImage or the kernel returned.
    """
    grub = Grub(flow, build)
    status = grub.start()
    return status if status.is_error else boot_linux(flow, build, grub)


def boot_linux(flow: BootFlow, build: GrubBuild, grub: Grub) -> EfiStatus:
    """``linux``, ``initrd`` and ``boot`` of a GRUB that runs; see :func:`run_grub`."""
    with flow.services.trace.on_behalf_of("grub"):
        pe = flow.files.kernel.pe
        if pe is None or (pe.major_image_version < 1 and flow.files.kernel.linux is not None):
            return GrubLegacyLinux(flow, grub).run()
        return _GrubLinux(flow, build, grub).run()


def run_chainloader(flow: BootFlow, build: GrubBuild) -> EfiStatus:
    """``chainloader /vmlinuz initrd=/initrd.img …``: GRUB reads the file, firmware loads it, and it is on its own.

    Returns:
        EFI_OUT_OF_RESOURCES: No room for the file or the image ("out of resources").
        Anything else that LoadImage or the image returned.
    """
    grub = Grub(flow, build)
    status = grub.start()
    if status.is_error:
        return status
    with flow.services.trace.on_behalf_of("grub"):
        return _Chainloader(flow, build, grub).run()


class _GrubLinux:
    def __init__(self, flow: BootFlow, build: GrubBuild, grub: Grub) -> None:
        self._flow = flow
        self._build = build
        self._grub = grub
        self._services = flow.services
        self._file_buffer = 0
        self._image: int | None = None

    def run(self) -> EfiStatus:
        flow, kernel, limit = self._flow, self._flow.files.kernel, self._grub.limit
        file_need = Need("kernel_file", kernel.size, _LOADER_DATA, limit)
        file_needs = [*self._grub.open_needs([kernel.size]), file_need]
        status = flow.run_step(LOAD_KERNEL, file_needs, self._linux)
        if status.is_error:
            return status
        if flow.files.initrds:  # an empty one is offered too
            sizes = [initrd.size for initrd in flow.files.initrds]
            status = flow.run_step(LOAD_INITRD, self._grub.open_needs(sizes), self._initrd)
            if status.is_error:
                flow.go_on_without_initrd(OUT_OF_MEMORY)
        image = Need("image", kernel.image_pages_size, _LOADER_CODE, limit if self._build.own_pe_loader else NO_LIMIT)
        status = flow.run_step(LOAD_IMAGE, [image], self._load_kernel_image)
        if status.is_error:
            return status
        stub = program_needs(flow)
        return flow.run_step(START_IMAGE, stub, self._start_kernel, repeat_needs=[image, *stub])

    def _linux(self) -> EfiStatus:
        """The ``linux`` command: the whole file into pages below GRUB's limit, by way of a verifier's block."""
        flow, services, limit = self._flow, self._services, self._grub.limit
        kernel = flow.files.kernel
        status = open_file(flow, self._grub, "linux", "kernel", kernel.size)
        if status.is_error:
            return status
        status, start = self._grub.allocate_pages(_MAX, _LOADER_DATA, kernel.size, limit)
        if status.is_error:
            numbers = shortage(services, kernel.size, limit)
            why = f"GRUB's linux command has no room for the kernel's file below 4 GiB ('out of memory'): {numbers}"
            self._grub.close_file(kernel.size)
            return flow.fail(service_names.ALLOCATE_PAGES, status, kernel.size, why, limit)
        services.contents.map_view(start, kernel.view)
        flow.place("kernel_file", start, kernel.size, _LOADER_DATA)
        self._grub.read_file(kernel.size)
        status = grub_asks_shim(flow, kernel.view, kernel.path, needs_shim=self._build.own_pe_loader)
        self._grub.close_file(kernel.size)
        if status.is_error:
            self._grub.free_pages(start, kernel.size)
            flow.mark_freed("kernel_file")
            return status
        self._file_buffer = start
        return SUCCESS

    def _initrd(self) -> EfiStatus:
        """The ``initrd`` command: it opens all files, and offers them by LoadFile2 until the kernel has started."""
        flow, opened = self._flow, list[int]()
        for initrd in flow.files.initrds:
            status = open_file(flow, self._grub, "initrd", "initrd", initrd.size)
            if status.is_error:
                for size in opened:
                    self._grub.close_file(size)
                return status
            opened.append(initrd.size)
        publish_initrd(flow, flow.files.initrd_pieces(), self._read_initrd)
        return SUCCESS

    def _read_initrd(self) -> None:
        """LoadFile2's answer: the files go straight into the stub's buffer, by way of the disk cache or a verifier."""
        with self._services.trace.on_behalf_of("grub"):
            self._grub.read_file(self._flow.files.initrd_size)
            self._grub.grow()

    def _load_kernel_image(self) -> EfiStatus:
        """``boot``: LoadImage from memory, or Debian's own loader; any failure is "cannot load image"."""
        flow, services = self._flow, self._services
        kernel = flow.files.kernel
        asked = kernel.image_pages_size
        if self._build.own_pe_loader:
            status, self._image = self._load_by_itself(asked)
        else:
            end = self._file_buffer + kernel.size - 1
            path = DevicePath((MemoryMapped(_LOADER_DATA, self._file_buffer, end),))
            with by_shim(flow, kernel.view) if self._build.loads_by_shim else nullcontext():
                status, self._image = services.load_image(False, flow.firmware_image, path, kernel.view)
        if status is SUCCESS:
            note_image(flow, self._image)
        else:
            lack = shortage(services, asked)
            if status is EfiStatus.EFI_ACCESS_DENIED:
                asked, lack = 0, why_not_loaded(services, kernel.path)
            why = f"GRUB cannot load the kernel's image ('cannot load image'): {lack}"
            flow.fail(service_names.LOAD_IMAGE, status, asked, why)
        return status

    def _load_by_itself(self, size: int) -> tuple[EfiStatus, int | None]:
        """Debian's peimage: pages below GRUB's limit, sections copied by GRUB, no image handle of firmware's."""
        flow, services = self._flow, self._services
        kernel = flow.files.kernel
        assert kernel.pe is not None
        status, base = self._grub.allocate_pages(_MAX, _LOADER_CODE, size, self._grub.limit)
        if status.is_error:
            return status, None
        address = align_up(base, max(kernel.pe.section_alignment, 1))
        load = load_pe(kernel.pe, kernel.view, address)
        if isinstance(load, PeRejection):
            self._grub.free_pages(base, size)
            return load.status, None
        for rva, length, offset in load.pieces:
            if offset is not None:
                services.contents.map_view(address + rva, kernel.view[offset : offset + length])
        image = LoadedImage(
            parent_handle=flow.firmware_image,
            device_handle=None,
            file_path=None,
            image_base=address,
            image_size=kernel.pe.image_size,
            image_code_type=_LOADER_CODE,
            image_data_type=_LOADER_DATA,
            page_base=base,
            number_of_pages=pages_for(size),
            entry_point=load.entry_point,
            pe=kernel.pe,
            source=kernel.view,
            private_data=0,
        )
        result = services.install_protocol_interface(None, EFI_LOADED_IMAGE_PROTOCOL_GUID, image)
        return result.status, result.handle

    def _start_kernel(self) -> EfiStatus:
        flow, services, limit = self._flow, self._services, self._grub.limit
        flow.stage = START_IMAGE
        if self._image is None:
            status = self._load_kernel_image()
            if status.is_error:
                return status
        image = services.images.loaded_image(self._image)
        assert image is not None
        image.load_options = f"BOOT_IMAGE=/{KERNEL_ON_DISK} {flow.files.cmdline}".rstrip()
        options = 2 * (len(image.load_options) + 1)
        status, start = self._grub.allocate_pages(_MAX, _LOADER_DATA, options, limit)
        if status.is_error:
            return flow.fail(
                service_names.ALLOCATE_PAGES, status, options, "GRUB has no room for the kernel's command line", limit
            )
        flow.place("cmdline", start, options, _LOADER_DATA)
        handle = self._image
        program = kernel_program(flow)
        if self._build.own_pe_loader and program is not None:
            assert handle is not None
            image.started = True
            status = program(handle)
        else:
            status = services.start_image(handle).status
        if status.is_error:
            self._grub.free_pages(start, options)
            flow.mark_freed("cmdline")
            flow.mark_freed("image")
            if self._build.own_pe_loader:
                self._grub.free_pages(image.page_base, image.number_of_pages << PAGE_SHIFT)
            flow.messages.append("error: image not loaded." if self._build.own_pe_loader else _start_failed(status))
            self._image = None
        return status


class _Chainloader:
    def __init__(self, flow: BootFlow, build: GrubBuild, grub: Grub) -> None:
        self._flow = flow
        self._build = build
        self._grub = grub
        self._services = flow.services
        self._image: int | None = None

    def run(self) -> EfiStatus:
        flow, kernel = self._flow, self._flow.files.kernel
        self._path = publish_system_partition(flow)
        image = [
            *self._grub.open_needs([kernel.size]),
            Need("kernel_file", kernel.size, _LOADER_CODE),
            Need("image", kernel.image_pages_size, _LOADER_CODE),
        ]
        status = flow.run_step(LOAD_IMAGE, image, self._load)
        if status.is_error:
            return status
        needs = program_needs(flow)
        if flow.files.initrd_size:  # by initrd=, so the size is not requested from GRUB
            needs.append(Need("initrd", flow.files.initrd_size, _LOADER_DATA))
        return flow.run_step(START_IMAGE, needs, self._start, repeat_needs=[*image, *needs])

    def _load(self) -> EfiStatus:
        """The file into pages of any address, LoadImage from there, and the pages back."""
        flow, services, kernel = self._flow, self._services, self._flow.files.kernel
        status = open_file(flow, self._grub, "chainloader", "file", kernel.size)
        if status.is_error:
            return status
        status, start = services.allocate_pages(_ANY, _LOADER_CODE, pages_for(kernel.size), 0)
        if status.is_error:
            why = f"GRUB's chainloader has no room for the file ('out of resources'): {shortage(services, kernel.size)}"
            self._grub.close_file(kernel.size)
            return flow.fail(service_names.ALLOCATE_PAGES, status, kernel.size, why)
        flow.place("kernel_file", start, kernel.size, _LOADER_CODE)
        self._grub.read_file(kernel.size)
        services.contents.map_view(start, kernel.view)
        status = grub_asks_shim(flow, kernel.view, kernel.path, needs_shim=self._build.own_pe_loader)
        if status.is_error:
            return status
        status, self._image = services.load_image(False, flow.firmware_image, self._path, kernel.view)
        if status is SUCCESS:
            note_image(flow, self._image)
        else:
            asked = kernel.image_pages_size
            lack = shortage(services, asked)
            if status is EfiStatus.EFI_ACCESS_DENIED:
                asked, lack = 0, why_not_loaded(services, kernel.path)
            why = f"firmware cannot load the image ('{_chain_error(status)}'): {lack}"
            flow.fail(service_names.LOAD_IMAGE, status, asked, why)
        services.free_pages(start, pages_for(kernel.size))
        flow.mark_freed("kernel_file")
        self._grub.close_file(kernel.size)
        return status

    def _start(self) -> EfiStatus:
        flow = self._flow
        flow.stage = START_IMAGE
        if self._image is None:
            status = self._load()
            if status.is_error:
                return status
        assert self._image is not None
        status = start_with_initrds_on_disk(flow, self._image)
        if status.is_error:
            self._image = None
        return status


def _start_failed(status: EfiStatus) -> str:
    return f"error: start_image() returned {status.value:#x}."


def _chain_error(status: EfiStatus) -> str:
    return "out of resources" if status is EfiStatus.EFI_OUT_OF_RESOURCES else "cannot load image"
