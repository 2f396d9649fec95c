"""systemd-boot: a Type #1 entry (kernel, initrds and options of their own) or a unified kernel image on the ESP.

It reads the initrds one after the other into pages, lets firmware load the kernel from the partition, and offers the
initrd by LoadFile2; it also names it in ``initrd=``, for kernels that do not use LoadFile2. Where the pages come from
depends on its version: see :class:`InitrdMemory`.

Source: systemd src/boot/boot.c (257): initrd_prepare, image_start; src/boot/util.h (257.5): xmalloc_initrd_pages; the
calls of Debian's 257.13 as run on the engine (tests/loaders/test_sd_boot.py).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from tdvfsh.accept.needs import Need
from tdvfsh.loaders.boot_manager import load_from_disk
from tdvfsh.loaders.flow import LOAD_IMAGE, LOAD_INITRD, START_IMAGE, BootFlow, shortage
from tdvfsh.loaders.programs import program_needs
from tdvfsh.loaders.publish import (
    note_image,
    publish_initrd,
    publish_system_partition,
    start_with_initrds_on_disk,
)
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, PAGE_SHIFT, pages_for

SD_BOOT_FILE_SIZE: Final = 0x1E600  # systemd-bootx64.efi of Debian 13
SD_BOOT_IMAGE_SIZE: Final = 0x24000
SD_BOOT_IMAGE_BASE: Final = 0x101300000
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_POOL_OVERHEAD: Final = 40
_BELOW_4G: Final = 4 * GIB - 1


class InitrdMemory(Enum):
    """Memory to which systemd-boot reads the initrds of a Type #1 entry: it changed with its version."""

    POOL = "up to 256.6: a pool that grows with each initrd"
    BELOW_4G_ONLY = "256.7 to 257.4: pages below 4 GiB for all initrds, and no other"
    BELOW_4G_FIRST = "257.5 and later: pages below 4 GiB for all initrds, else of any address"


def run_sd_boot(flow: BootFlow, initrd_memory: InitrdMemory = InitrdMemory.BELOW_4G_FIRST) -> EfiStatus:
    """From the boot manager's LoadImage of systemd-boot to the kernel's ExitBootServices.

    Args:
        flow: The boot.
        initrd_memory: What its version does.

    Returns:
        EFI_OUT_OF_RESOURCES: No room for the initrd (systemd-boot halts then), the image, or in the stub.
        EFI_NOT_FOUND: LoadImage could not read the kernel: also where the file's buffer found no room.
        Anything else that LoadImage or the image returned.
    """
    status = load_from_disk(flow, "sd-boot", SD_BOOT_FILE_SIZE, SD_BOOT_IMAGE_SIZE, SD_BOOT_IMAGE_BASE)
    if status.is_error:
        return status
    with flow.services.trace.on_behalf_of("sd-boot"):
        return _SdBoot(flow, initrd_memory).run()


class _SdBoot:
    def __init__(self, flow: BootFlow, initrd_memory: InitrdMemory) -> None:
        self._flow = flow
        self._initrd_memory = initrd_memory
        self._services = flow.services
        self._image: int | None = None

    def run(self) -> EfiStatus:
        flow, kernel = self._flow, self._flow.files.kernel
        self._path = publish_system_partition(flow)
        if flow.files.initrds:
            in_pool = self._initrd_memory is InitrdMemory.POOL
            needs = self._pool_needs() if in_pool else self._pages_needs()
            read = self._read_into_pool if in_pool else self._read_into_pages
            status = flow.run_step(LOAD_INITRD, needs, read)
            if status.is_error:
                return status
        image = [
            Need("file_buffer", kernel.size + _POOL_OVERHEAD, _BS_DATA),
            Need("image", kernel.image_pages_size, _LOADER_CODE),
        ]
        status = flow.run_step(LOAD_IMAGE, image, self._load_image)
        if status.is_error:
            return status
        needs = program_needs(flow)
        return flow.run_step(START_IMAGE, needs, self._start_image, repeat_needs=[*image, *needs])

    @property
    def _initrds_size(self) -> int:
        return sum(initrd.size for initrd in self._flow.files.initrds)

    def _pages_needs(self) -> list[Need]:
        """Pages of any address satisfy a version that falls back to them."""
        only_low = self._initrd_memory is InitrdMemory.BELOW_4G_ONLY
        limits = (_BELOW_4G,) if only_low else ()
        return [Need("initrd_file", self._initrds_size, _LOADER_DATA, *limits)]

    def _read_into_pages(self) -> EfiStatus:
        """xmalloc_initrd_pages: one allocation for all; where it fails the program halts on an assertion."""
        flow, services, size = self._flow, self._services, self._initrds_size
        status, start = services.allocate_pages(
            EfiAllocateType.AllocateMaxAddress, _LOADER_DATA, pages_for(size), _BELOW_4G
        )
        if status.is_error and self._initrd_memory is InitrdMemory.BELOW_4G_FIRST:
            status, start = services.allocate_pages(EfiAllocateType.AllocateAnyPages, _LOADER_DATA, pages_for(size), 0)
        if status.is_error:
            only_low = self._initrd_memory is InitrdMemory.BELOW_4G_ONLY
            limits = (_BELOW_4G,) if only_low else ()
            where = " below 4 GiB, and 256.7 to 257.4 take no other" if only_low else ""
            why = f"systemd-boot has no room for the initrd's file{where}: {shortage(services, size, *limits)}"
            if not size:
                why = "the entry's initrd is empty: systemd-boot asks for no pages, which firmware refuses"
            flow.messages.append("systemd-boot: assertion in xmalloc_pages() failed, halting")
            return flow.fail(service_names.ALLOCATE_PAGES, status, size, why, *limits)
        flow.place("initrd_file", start, pages_for(size) << PAGE_SHIFT, _LOADER_DATA)
        self._offer(start)
        return SUCCESS

    def _offer(self, start: int) -> None:
        pieces = self._flow.files.initrd_pieces(padding=1)
        for offset, view in pieces:
            self._services.contents.map_view(start + offset, view)
        publish_initrd(self._flow, pieces)

    def _pool_needs(self) -> list[Need]:
        """Growing the pool keeps the old one until its content is copied."""
        needs: list[Need] = []
        total = 0
        for number, initrd in enumerate(initrd for initrd in self._flow.files.initrds if initrd.size):
            total += initrd.size
            release = f"initrd_file{number - 2}" if number > 1 else None
            needs.append(Need(f"initrd_file{number}", total + _POOL_OVERHEAD, _LOADER_DATA, release=release))
        return needs

    def _read_into_pool(self) -> EfiStatus:
        """Without padding between the files, and without empty ones; an allocation that fails is a failed assertion."""
        flow, services = self._flow, self._services
        held = total = 0
        for initrd in flow.files.initrds:
            if not initrd.size:
                continue
            total += initrd.size
            status, buffer = services.allocate_pool(_LOADER_DATA, total)
            if status.is_error or not buffer:
                why = f"systemd-boot has no room for the initrd's file: {shortage(services, total)}"
                flow.fail(service_names.ALLOCATE_POOL, status, total, why)
                if held:
                    services.free_pool(held)
                    flow.mark_freed("initrd_file")
                return status
            flow.place("initrd_file", buffer, total, _LOADER_DATA)
            if held:
                services.free_pool(held)
                flow.free(flow.placements[-2])
            held = buffer
        if total:
            self._offer(held)
        return SUCCESS

    def _load_image(self) -> EfiStatus:
        flow, services, kernel = self._flow, self._services, self._flow.files.kernel
        status, self._image = services.load_image(False, flow.firmware_image, self._path)
        if status is SUCCESS:
            note_image(flow, self._image)
            return status
        asked = kernel.size if status is EfiStatus.EFI_NOT_FOUND else kernel.image_pages_size
        what = "the kernel's file" if status is EfiStatus.EFI_NOT_FOUND else "the kernel's image"
        why = f"LoadImage answers {status.short_name} to systemd-boot: no room for {what}: {shortage(services, asked)}"
        if status not in (EfiStatus.EFI_NOT_FOUND, EfiStatus.EFI_OUT_OF_RESOURCES):
            asked, why = 0, f"the firmware does not take {kernel.path} for an image it can load"
        return flow.fail(service_names.LOAD_IMAGE, status, asked, why)

    def _start_image(self) -> EfiStatus:
        flow = self._flow
        flow.stage = START_IMAGE
        if self._image is None:
            status = self._load_image()
            if status.is_error:
                return status
        assert self._image is not None
        status = start_with_initrds_on_disk(flow, self._image)
        if status.is_error:
            self._image = None
        return status
