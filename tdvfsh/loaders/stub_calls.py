"""What all parts of the EFI stub share: the machine it runs in, and how it reads the memory map."""

from __future__ import annotations

import re
from functools import cached_property

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.dxe.memory_services import MemoryMapResult
from tdvfsh.formats.linux import StubGeneration
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import KernelFile
from tdvfsh.loaders.flow import BootFlow
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.memory import MEMORY_DESCRIPTOR_SIZE, EfiMemoryType
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import human_size

_BOOT_MEMMAP_HEADER: Final = 40  # struct efi_boot_memmap before its array


@dataclass(frozen=True)
class StubCalls:
    """One run of an EFI stub.

    Attributes:
        flow: The boot.
        kernel: Whose stub it is.
        handle: The image's handle.
        cmdline: The command line it was given.
    """

    flow: BootFlow
    kernel: KernelFile
    handle: int
    cmdline: str

    @property
    def image(self) -> LoadedImage | None:
        """The image's LoadedImage protocol."""
        return self.flow.services.images.loaded_image(self.handle)

    @cached_property
    def version(self) -> tuple[int, int]:
        """``(6, 12)`` of ``6.12.107+deb13-amd64 …``; zeros where the kernel does not say."""
        match = re.match(r"(\d+)\.(\d+)", self.kernel.linux.kernel_version if self.kernel.linux is not None else "")
        return (int(match[1]), int(match[2])) if match else (0, 0)

    @property
    def decompresses(self) -> bool:
        """Whether the stub decompresses the kernel itself (6.6 and its backports)."""
        linux = self.kernel.linux
        return linux is not None and linux.stub_generation is StubGeneration.DECOMPRESS

    @property
    def is_backport(self) -> bool:
        """Whether such a stub stands in an older kernel."""
        return self.decompresses and (0, 0) < self.version < (6, 6)

    @property
    def supports_unaccepted(self) -> bool:
        """Whether the stub tells the kernel of unaccepted memory (6.5 with CONFIG_UNACCEPTED_MEMORY)."""
        return self.kernel.linux is not None and self.kernel.linux.supports_unaccepted_memory

    @property
    def reads_map_for_e820(self) -> bool:
        """6.12 reads a whole map for e820; 6.1.176 only asks for its size (both recorded); it came with 6.5."""
        return self.version >= (6, 5) or (self.version == (0, 0) and self.decompresses)

    @property
    def locates_handle_buffers(self) -> bool:
        """PCI handles: 7.2 has firmware allocate for them, 6.12 does so itself (seen in both; it came with 6.14)."""
        return self.version >= (6, 14)

    @property
    def slack(self) -> int:
        """Descriptors to spare in its map buffers (recorded: 32 in 6.12, 8 in 6.1.176)."""
        return 32 if self.reads_map_for_e820 else 8

    def read_memory_map(self, memory_type: EfiMemoryType, table: Guid | None = None) -> tuple[MemoryMapResult, int]:
        """efi_get_memory_map: the size, a pool buffer with room to spare, the map; and the buffer, 0 without room.

        Args:
            memory_type: Of the buffer.
            table: Configuration table under which the buffer is published, before the map is read into it.
        """
        services = self.flow.services
        sized = services.get_memory_map(0, has_buffer=False)
        status, buffer = services.allocate_pool(memory_type, self.buffer_size(sized) + _BOOT_MEMMAP_HEADER)
        if status.is_error or not buffer:
            return sized._replace(status=status), 0
        if table is not None:
            services.install_configuration_table(table, buffer)
        return services.get_memory_map(self.buffer_size(sized)), buffer

    def buffer_size(self, sized: MemoryMapResult) -> int:
        """Bytes of a buffer for a map of that size."""
        return (sized.memory_map_size or 0) + self.slack * MEMORY_DESCRIPTOR_SIZE

    def no_room(self, service: str, status: EfiStatus, asked: int, what: str) -> EfiStatus:
        """One of the small requests failed."""
        self.flow.fail(service, status, asked, f"the EFI stub finds no room for {what} ({human_size(asked)})")
        return status
