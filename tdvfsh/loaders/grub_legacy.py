"""GRUB's ``linux``, ``initrd`` and ``boot`` by the 32-bit boot protocol: GRUB itself places kernel and initrd.

Debian's 2.06 boots every kernel this way, 2.12 those without LoadFile2. GRUB leaves boot services itself, and passes
unaccepted memory to the kernel as reserved: it is lost.

Source: GRUB 2.06 grub-core/loader/i386/linux.c; order and sizes as recorded (tests/recordings/trace/grub-2.06-*).
"""

from __future__ import annotations

from tdvfsh.accept.needs import Need
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.flow import EXIT_BOOT_SERVICES, LOAD_INITRD, LOAD_KERNEL, BootFlow, shortage
from tdvfsh.loaders.grub_files import OUT_OF_MEMORY, open_file
from tdvfsh.loaders.grub_memory import Grub, GrubBuild
from tdvfsh.loaders.grub_relocator import Relocator
from tdvfsh.loaders.shim_lock import grub_asks_shim
from tdvfsh.uefi import service_names
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import MIB, PAGE_SIZE, align_down, align_up, human_size

LOWEST_KERNEL: Final = 16 * MIB
INITRD_MAX_ADDRESS: Final = 0x37FFFFFF  # GRUB_LINUX_INITRD_MAX_ADDRESS
_INITRD_MARGIN: Final = 0x10000
_FIRST_ADDRESS: Final = 1 * MIB
_OLD_KERNEL_ADDRESS: Final = 0x100000
_PAGE_BLOCK_SIZE: Final = 9 * PAGE_SIZE
"""Page tables and movers for the jump (recorded)."""
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData


def run_grub_legacy(flow: BootFlow, build: GrubBuild) -> EfiStatus:
    """From the boot manager's LoadImage of GRUB to GRUB's own ExitBootServices.

    An initrd that does not fit is not fatal: ``initrd`` fails, ``boot`` then starts the kernel without one.

    Returns:
        EFI_OUT_OF_RESOURCES: GRUB or the kernel found no room.
        EFI_UNSUPPORTED: The file is not a Linux kernel.
    """
    grub = Grub(flow, build)
    status = grub.start()
    if status.is_error:
        return status
    with flow.services.trace.on_behalf_of("grub"):
        return GrubLegacyLinux(flow, grub).run()


class GrubLegacyLinux:
    """``linux``, ``initrd`` and ``boot`` of a GRUB that runs."""

    def __init__(self, flow: BootFlow, grub: Grub) -> None:
        self._flow = flow
        self._grub = grub
        self._relocator = Relocator(flow, grub)
        self._kernel_read = False

    def run(self) -> EfiStatus:
        """The three commands; see :func:`run_grub_legacy`."""
        flow = self._flow
        linux = flow.files.kernel.linux
        if linux is None:
            flow.stage = LOAD_KERNEL
            why = f"{flow.files.kernel.path} is not a Linux kernel, and GRUB's older loader takes nothing else"
            return flow.fail(service_names.LOAD_IMAGE, EfiStatus.EFI_UNSUPPORTED, 0, why)
        if linux.version >= 0x20A:
            self._size = align_up(linux.init_size, PAGE_SIZE)
            self._space = self._size
        else:
            self._size = align_up(linux.size - linux.setup_size, PAGE_SIZE)
            self._space = 3 * self._size
        self._alignment = max(linux.kernel_alignment, PAGE_SIZE)
        self._relocatable = linux.relocatable_kernel
        self._preferred = linux.pref_address
        self._initrd_limit = min(linux.initrd_addr_max, INITRD_MAX_ADDRESS)
        status = flow.run_step(LOAD_KERNEL, self._kernel_needs(), self._linux)
        if status.is_error:
            flow.messages += [OUT_OF_MEMORY, "error: you need to load the kernel first."]
            return status
        if flow.files.initrd_size:
            status = flow.run_step(LOAD_INITRD, self._initrd_needs(), self._initrd)
            if status.is_error:
                flow.go_on_without_initrd(OUT_OF_MEMORY)
        boot = Need("page_block", _PAGE_BLOCK_SIZE, _LOADER_DATA, self._grub.limit, alignment=PAGE_SIZE)
        return flow.run_step(EXIT_BOOT_SERVICES, [boot], self._boot)

    def _kernel_needs(self) -> list[Need]:
        size, limit = self._size, self._grub.limit
        return [
            *self._grub.file_need(self._flow.files.kernel.size),
            *self._grub.open_needs([self._flow.files.kernel.size]),
            Need(
                what="kernel_source",
                size=size,
                memory_type=_LOADER_DATA,
                maximum=limit,
                minimum=_FIRST_ADDRESS,
                alignment=PAGE_SIZE,
            ),
            Need(
                what="kernel",
                size=size,
                memory_type=_LOADER_DATA,
                maximum=limit,
                minimum=LOWEST_KERNEL,
                alignment=self._alignment,
            ),
        ]

    def _linux(self) -> EfiStatus:
        flow = self._flow
        size = flow.files.kernel.size
        if not self._kernel_read:
            status = open_file(flow, self._grub, "linux", "kernel", size)
            if status.is_error:
                return status
            status = self._grub.read_file(size)
            if status.is_error:
                return self._heap_too_small("linux", "kernel", size)
            kernel = flow.files.kernel
            status = grub_asks_shim(flow, kernel.view, kernel.path, needs_shim=False)
            self._grub.close_file(size)
            if status.is_error:
                return status
            self._kernel_read = True
        if self._relocatable:
            start = self._at_preferred_address()
            if start is None:
                end = self._grub.limit + 1
                start = self._relocator.lowest("kernel", self._size, self._alignment, LOWEST_KERNEL, end)
        else:
            start = self._relocator.at("kernel", self._size, _OLD_KERNEL_ADDRESS)
        if start is None:
            numbers = shortage(flow.services, self._size, self._grub.limit, LOWEST_KERNEL)
            why = (
                f"GRUB's linux command finds no place at or above 16 MiB for the kernel ('out of memory'): {numbers}; "
                "it reads the memory map itself, so an accept inside the allocator is never tried"
            )
            return self._fail(self._size, why, LOWEST_KERNEL)
        return SUCCESS

    def _at_preferred_address(self) -> int | None:
        """The first attempt asks for a range without length, so it only finds memory to copy from, and loses that.

        GRUB 2.06 to master; recorded as a second block of init_size bytes, lowest in memory, that is never used.
        """
        preferred = self._preferred
        return self._relocator.lowest("kernel", self._size, 1, preferred, preferred)

    def _initrd_needs(self) -> list[Need]:
        low, high = self._initrd_range()
        size = align_up(self._flow.files.initrd_size, PAGE_SIZE)
        needs = self._grub.file_need(self._flow.files.initrd_size)
        needs += self._grub.open_needs(initrd.size for initrd in self._flow.files.initrds)
        if low + size <= high:
            needs.append(Need("initrd", size, _LOADER_DATA, self._grub.limit, low))
        return needs

    def _initrd_range(self) -> tuple[int, int]:
        """Where the initrd may lie: above the kernel, and ending where GRUB means it to begin."""
        kernel = self._flow.placed("kernel")
        low = (kernel.start if kernel is not None else 0) + self._space
        size = align_up(self._flow.files.initrd_size, PAGE_SIZE)
        return low, align_down(self._initrd_limit - _INITRD_MARGIN - size, PAGE_SIZE)

    def _initrd(self) -> EfiStatus:
        flow = self._flow
        size = flow.files.initrd_size
        sizes = [initrd.size for initrd in flow.files.initrds]
        for number, length in enumerate(sizes):
            status = open_file(flow, self._grub, "initrd", "initrd", length)
            if status.is_error:
                self._close(sizes[:number])
                return status
        status = self._place_initrd(size)
        self._close(sizes)
        return status

    def _close(self, sizes: list[int]) -> None:
        for size in sizes:
            self._grub.close_file(size)

    def _place_initrd(self, size: int) -> EfiStatus:
        flow = self._flow
        if self._grub.read_file(size).is_error:
            return self._heap_too_small("initrd", "initrd", size)
        low, high = self._initrd_range()
        pages = align_up(size, PAGE_SIZE)
        start = self._relocator.highest("initrd", pages, low, high) if high > low else None
        if start is None:
            numbers = shortage(flow.services, pages, high - 1, low)
            why = (
                f"GRUB's initrd command finds no place between the kernel's end ({low:#x}) and {high:#x}, or no memory "
                f"to copy from ('out of memory'): {numbers}"
            )
            return self._fail(pages, why, low, high - 1)
        for offset, view in flow.files.initrd_pieces():
            flow.services.contents.map_view(start + offset, view)
        flow.fit(flow.placements[-1], size)
        return SUCCESS

    def _boot(self) -> EfiStatus:
        """``boot``: a place for the jump's page tables, e820 from the map, ExitBootServices until it works."""
        flow, relocator = self._flow, self._relocator
        services = flow.services
        relocator.read_map()
        relocator.read_map()
        relocator.look_in_heap()  # the real-mode part: no Conventional memory below 1 MiB counts
        if relocator.highest("page_block", _PAGE_BLOCK_SIZE, _FIRST_ADDRESS, self._grub.limit + 1) is None:
            why = f"GRUB has no room for the kernel's page tables: {shortage(services, _PAGE_BLOCK_SIZE)}"
            return self._fail(_PAGE_BLOCK_SIZE, why, _FIRST_ADDRESS)
        relocator.read_map()
        relocator.read_map()
        status = services.exit_boot_services(flow.firmware_image, relocator.read_map().map_key or 0)
        if status is EfiStatus.EFI_INVALID_PARAMETER:
            status = services.exit_boot_services(flow.firmware_image, relocator.read_map().map_key or 0)
        if status is SUCCESS:
            flow.lose(services.td.unaccepted_bytes, "GRUB passes memory of type 15 to the kernel as reserved")
        return status

    def _heap_too_small(self, command: str, what: str, size: int) -> EfiStatus:
        heap = self._grub.heap or (0, 0)
        why = (
            f"GRUB's {command} command has no room in its heap for the {what} ('out of memory'): a verifier wants it "
            f"in one block of {human_size(size)}, the heap of {human_size(heap[1] - heap[0])} was sized when GRUB "
            f"started, and {human_size(self._flow.services.td.unaccepted_bytes)} of RAM is still unaccepted"
        )
        return self._fail(size, why)

    def _fail(self, asked: int, why: str, minimum: int = 0, maximum: int | None = None) -> EfiStatus:
        limit = self._grub.limit if maximum is None else maximum
        return self._flow.fail(service_names.GET_MEMORY_MAP, EfiStatus.EFI_OUT_OF_RESOURCES, asked, why, limit, minimum)
