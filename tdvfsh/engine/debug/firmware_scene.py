"""Real firmware from its reset vector, and the kernel that it starts, as they are debugged."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.debug.gdb.symbol_file import symbol_file
from tdvfsh.engine.debug.guest_scene import kernel_image
from tdvfsh.engine.debug.scene import CodeImage
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.firmware.boot_services import find_boot_services
from tdvfsh.engine.firmware.core_map import find_core_map, read_core_map
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.engine.introspect.kernel_symbols import KERNEL_MAP, KernelSymbols
from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.engine.x86.page_walk import walk
from tdvfsh.formats.firmware_modules import FirmwareModule
from tdvfsh.lazy_typing import Final
from tdvfsh.trace.journal import Trace
from tdvfsh.uefi.memory import MemoryDescriptor
from tdvfsh.uefi.service_names import BOOT_SERVICES
from tdvfsh.units import LARGE_PAGE_SIZE, PAGE_SHIFT

_HEADER_SIZE: Final = 24
_ENTRY_POINT: Final = 40  # in PE headers; in a TE header 8
_TE_ENTRY_POINT: Final = 8
_TE_STRIPPED: Final = 6
_TE_HEADER: Final = 40
_LARGE_PAGES: Final = 512
_SELDOM: Final = 4096


class FirmwareScene:
    """The scene.

    Args:
        run: The run.
    """

    def __init__(self, run: FirmwareRun) -> None:
        self._run = run
        self._kernel: KernelSymbols | None = None
        self._services: int | None = None
        self._sent = 0
        self._looks = 0
        self._before, run.board.console = run.board.console, self._hear

    @property
    def board(self) -> Board:
        """The machine."""
        return self._run.board

    @property
    def code(self) -> KnownCode:
        """Names for code."""
        return self._run.code

    @property
    def trace(self) -> Trace:
        """The journal."""
        return self._run.trace

    @property
    def machine(self) -> None:
        """The firmware brings everything itself."""
        return None

    def _hear(self, byte: int) -> None:
        """The console's bytes are moments at which to look whether more was loaded, less and less often."""
        self._sent += 1
        if not self._sent & self._sent - 1 or not self._sent % _SELDOM:
            self._looks += 1
        if self._before is not None:
            self._before(byte)

    def changes(self) -> object:
        """As :class:`Scene` has it; loaded modules are looked for where the console says something."""
        return self._looks, self._find_kernel() is not None

    def _find_kernel(self) -> KernelSymbols | None:
        """The kernel, once it runs at its own addresses: its first large pages are mapped in a row."""
        board = self.board
        if self._kernel is None and board.cpu.read("RIP") >= KERNEL_MAP:
            view, table, mode = board.ram.view, board.cpu.read("CR3"), board.cpu.read("CR4")
            mapped = [
                walk(view, table, KERNEL_MAP + number * LARGE_PAGE_SIZE, board.td.shared_mask, mode)
                for number in range(_LARGE_PAGES)
            ]
            first = next((number for number, each in enumerate(mapped) if each is not None), None)
            if first is not None:
                last = next((number for number in range(first, _LARGE_PAGES) if mapped[number] is None), _LARGE_PAGES)
                found = mapped[first]
                assert found is not None
                start = found.physical & ~board.td.shared_mask
                end = min(start + (last - first) * LARGE_PAGE_SIZE, board.ram.end)
                self._kernel = KernelSymbols(view, start, end, board.translate)
                self._kernel.contains(board.cpu.read("RIP"))
        return self._kernel

    def images(self) -> list[CodeImage]:
        """The firmware's modules that are in memory, and the kernel."""
        images = [_image_of(module, at) for module, at in self._run.code.in_memory()]
        kernel = self._find_kernel()
        return images if kernel is None else [*images, kernel_image(kernel)]

    def symbol(self, name: str) -> int | None:
        """A symbol of the kernel; modules of release firmware have none."""
        kernel = self._find_kernel()
        return None if kernel is None else kernel.address_of(name)

    def service(self, name: str) -> int | None:
        """Where a boot service's code begins; None before the DXE core has made its table."""
        if name not in BOOT_SERVICES:
            return None
        if self._services is None:
            self._services = find_boot_services(self.board)
        if self._services is None:
            return None
        at = self._services + _HEADER_SIZE + 8 * BOOT_SERVICES.index(name)
        return int.from_bytes(self.board.ram.view[at : at + 8], "little")

    def memory_map(self) -> Sequence[MemoryDescriptor]:
        """The DXE core's own list of descriptors.

        Raises:
            EngineError: It has not made one yet.
        """
        core = find_core_map(self.board)
        if core is None:
            raise EngineError("the DXE core has no memory map yet")
        return [
            MemoryDescriptor(piece.memory_type, piece.start, piece.end - piece.start >> PAGE_SHIFT, piece.capabilities)
            for piece in read_core_map(self.board, core)
        ]


def _image_of(module: FirmwareModule, at: int) -> CodeImage:
    entry = _entry_point(module)
    names = [(module.name, 0)] + ([(f"{module.name}.entry", entry)] if entry is not None else [])
    size = max(module.size, 1)
    return CodeImage(module.name, at, at + size, (at,), lambda: symbol_file(names, size))


def _entry_point(module: FirmwareModule) -> int | None:
    """Offset of a module's entry point from its image."""
    image = module.image
    try:
        if module.is_te:
            stripped: int = struct.unpack_from("<H", image, _TE_STRIPPED)[0]
            address: int = struct.unpack_from("<I", image, _TE_ENTRY_POINT)[0]
            return address - stripped + _TE_HEADER
        header: int = struct.unpack_from("<I", image, 0x3C)[0]
        entry: int = struct.unpack_from("<I", image, header + _ENTRY_POINT)[0]
    except struct.error:
        return None
    return entry
