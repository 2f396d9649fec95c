"""systemd-boot: a Type #1 entry (kernel, initrds and options of their own) or a unified kernel image on the ESP.

It reads the initrds one after the other into memory, has firmware load the kernel, and offers the initrd by LoadFile2;
it also names it in ``initrd=``, for kernels that do not use LoadFile2. Its versions differ in the order of the two, in
the memory that they take, and in what an empty initrd is to them: see :class:`SdBootBuild`.

Source: systemd src/boot/boot.c (257, 258 and later): initrd_prepare, call_image_start; src/boot/util.h (257.5):
xmalloc_initrd_pages; systemd PR 40040 (empty initrds); the calls of Debian's 257.13 and 262.1 as run on the engine
(tests/loaders/test_sd_boot.py, tests/engine/runs/test_real_systemd_boot.py).
"""

from __future__ import annotations

from enum import Enum

from tdvfsh.accept.needs import Need
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.boot_manager import load_from_disk
from tdvfsh.loaders.files import INITRD_PADDING
from tdvfsh.loaders.flow import LOAD_IMAGE, LOAD_INITRD, START_IMAGE, BootFlow, shortage, why_not_loaded
from tdvfsh.loaders.programs import program_needs
from tdvfsh.loaders.publish import (
    note_image,
    publish_initrd,
    publish_system_partition,
    start_with_initrds_on_disk,
)
from tdvfsh.loaders.shim_lock import by_shim
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, PAGE_SHIFT, align_up, pages_for

_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_LOADER_CODE: Final = EfiMemoryType.EfiLoaderCode
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_POOL_OVERHEAD: Final = 40
_TERMINATOR: Final = 2  # file_read ends what it reads with a UTF-16 zero
_BELOW_4G: Final = 4 * GIB - 1


class InitrdMemory(Enum):
    """Memory to which systemd-boot reads the initrds of a Type #1 entry: it changed with its version."""

    POOL = "up to 256.6: a pool that grows with each initrd"
    BELOW_4G_ONLY = "256.7 to 257.4: pages below 4 GiB for all initrds, and no other"
    BELOW_4G_FIRST = "257.5 and later: pages below 4 GiB for all initrds, else of any address"


@dataclass(frozen=True, slots=True)
class SdBootBuild:
    """One systemd-boot binary.

    Attributes:
        file_size: Bytes of the EFI file that the boot manager reads.
        image_size: Its SizeOfImage.
        image_base: Address to which it is linked.
        initrd_memory: Where it reads initrds to.
        reads_kernel: It reads the kernel's file itself, has firmware load it from that buffer, and looks at initrds
            only then; older ones read initrds first, and firmware reads the kernel.
        skips_empty: An entry whose initrds are all empty has none; older ones ask for no pages and halt.
    """

    file_size: int = 0x1E600  # systemd-bootx64.efi of Debian 13
    image_size: int = 0x24000
    image_base: int = 0x101300000
    initrd_memory: InitrdMemory = InitrdMemory.BELOW_4G_FIRST
    reads_kernel: bool = False
    skips_empty: bool = False


SD_BOOT_257: Final = SdBootBuild()
SD_BOOT_256: Final = SdBootBuild(initrd_memory=InitrdMemory.POOL, skips_empty=True)
SD_BOOT_256_7: Final = SdBootBuild(initrd_memory=InitrdMemory.BELOW_4G_ONLY)
SD_BOOT_262: Final = SdBootBuild(0x27A00, 0x2D000, reads_kernel=True, skips_empty=True)


def run_sd_boot(flow: BootFlow, build: SdBootBuild = SD_BOOT_257) -> EfiStatus:
    """From the boot manager's LoadImage of systemd-boot to the kernel's ExitBootServices.

    Args:
        flow: The boot.
        build: Which systemd-boot.

    Returns:
        EFI_OUT_OF_RESOURCES: No room for the initrd (systemd-boot halts then), the image, or in the stub.
        EFI_NOT_FOUND: LoadImage could not read the kernel: also where the file's buffer found no room.
        Anything else that LoadImage or the image returned.
    """
    status = load_from_disk(flow, "sd-boot", build.file_size, build.image_size, build.image_base)
    if status.is_error:
        return status
    with flow.services.trace.on_behalf_of("sd-boot"):
        return _SdBoot(flow, build).run()


class _SdBoot:
    def __init__(self, flow: BootFlow, build: SdBootBuild) -> None:
        self._flow = flow
        self._build = build
        self._initrd_memory = build.initrd_memory
        self._services = flow.services
        self._image: int | None = None

    def run(self) -> EfiStatus:
        flow = self._flow
        self._path = publish_system_partition(flow)
        steps = (
            (self._load_kernel, self._read_initrds)
            if self._build.reads_kernel
            else (self._read_initrds, self._load_kernel)
        )
        for step in steps:
            status = step()
            if status.is_error:
                return status
        needs = program_needs(flow)
        return flow.run_step(START_IMAGE, needs, self._start_image, repeat_needs=[*self._image_needs(), *needs])

    def _read_initrds(self) -> EfiStatus:
        flow = self._flow
        if not flow.files.initrds or (self._build.skips_empty and not self._initrds_size):
            return SUCCESS
        if self._initrd_memory is InitrdMemory.POOL:
            return flow.run_step(LOAD_INITRD, self._pool_needs(), self._read_into_pool)
        return flow.run_step(LOAD_INITRD, self._pages_needs(), self._read_into_pages)

    def _load_kernel(self) -> EfiStatus:
        return self._flow.run_step(LOAD_IMAGE, self._image_needs(), self._load_image)

    def _image_needs(self) -> list[Need]:
        kernel = self._flow.files.kernel
        file_type = _LOADER_DATA if self._build.reads_kernel else _BS_DATA
        return [
            Need("file_buffer", self._kernel_buffer_size + _POOL_OVERHEAD, file_type),
            Need("image", kernel.image_pages_size, _LOADER_CODE),
        ]

    @property
    def _kernel_buffer_size(self) -> int:
        return self._flow.files.kernel.size + (_TERMINATOR if self._build.reads_kernel else 0)

    @property
    def _initrds_size(self) -> int:
        """Bytes that all take, each of them padded."""
        return sum(align_up(initrd.size, INITRD_PADDING) for initrd in self._flow.files.initrds)

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
                why = (
                    "the entry's initrd is empty: systemd-boot asks for no pages, which firmware refuses; "
                    "newer ones (262) skip it"
                )
            flow.messages.append("systemd-boot: assertion in xmalloc_pages() failed, halting")
            return flow.fail(service_names.ALLOCATE_PAGES, status, size, why, *limits)
        flow.place("initrd_file", start, pages_for(size) << PAGE_SHIFT, _LOADER_DATA)
        self._offer(start)
        return SUCCESS

    def _offer(self, start: int, padding: int = INITRD_PADDING) -> None:
        pieces = self._flow.files.initrd_pieces(padding)
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
        self._offer(held, padding=1)
        return SUCCESS

    def _load_image(self) -> EfiStatus:
        flow, services, kernel = self._flow, self._services, self._flow.files.kernel
        source, buffer = None, None
        if self._build.reads_kernel:
            size = self._kernel_buffer_size
            status, buffer = services.allocate_pool(_LOADER_DATA, size)
            if status.is_error or not buffer:
                why = f"systemd-boot has no room for the kernel's file: {shortage(services, size)}"
                return flow.fail(service_names.ALLOCATE_POOL, status, size, why)
            flow.place("kernel_file", buffer, kernel.size, _LOADER_DATA)
            services.contents.map_view(buffer, kernel.view)
            source = kernel.view
        with by_shim(flow, kernel.view):
            status, self._image = services.load_image(False, flow.firmware_image, self._path, source)
        if buffer is not None:
            services.free_pool(buffer)
            flow.mark_freed("kernel_file")
        if status is SUCCESS:
            note_image(flow, self._image)
            return status
        no_buffer = status is EfiStatus.EFI_NOT_FOUND and source is None
        asked = kernel.size if no_buffer else kernel.image_pages_size
        what = "the kernel's file" if no_buffer else "the kernel's image"
        why = f"LoadImage answers {status.short_name} to systemd-boot: no room for {what}: {shortage(services, asked)}"
        if status not in (EfiStatus.EFI_NOT_FOUND, EfiStatus.EFI_OUT_OF_RESOURCES):
            asked, why = 0, why_not_loaded(services, kernel.path)
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
