"""A machine of the model whose guest code runs on the processor, as it is debugged."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.board.board import Board
from tdvfsh.engine.debug.gdb.files import Library
from tdvfsh.engine.debug.gdb.symbol_file import symbol_file
from tdvfsh.engine.debug.scene import CodeImage
from tdvfsh.engine.introspect.coff_symbols import symbols_of
from tdvfsh.engine.introspect.grub_modules import GrubNames
from tdvfsh.engine.introspect.kernel_symbols import KernelSymbols
from tdvfsh.engine.introspect.known_code import KnownCode
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.formats.symbols.coff import section_name
from tdvfsh.formats.text import printable
from tdvfsh.lazy_typing import Final
from tdvfsh.machine.machine import Machine
from tdvfsh.trace.journal import Trace
from tdvfsh.uefi.memory import MemoryDescriptor

KERNEL: Final = "kernel"
GRUB: Final = "grub.names"
_CONTENT: Final = 0xE0  # code, initialized or uninitialized data
_DEBUG_SECTIONS: Final = (
    ".debug", ".zdebug", ".stab", ".gnu.linkonce.wi.", ".gnu.linkonce.wt.", ".gnu_debuglink", ".gnu_debugaltlink",
)  # fmt: skip


class GuestScene:
    """The scene.

    Args:
        firmware: The machine's firmware for guest code.
    """

    def __init__(self, firmware: GuestFirmware) -> None:
        self._firmware = firmware

    @property
    def board(self) -> Board:
        """The machine."""
        return self._firmware.board

    @property
    def code(self) -> KnownCode:
        """Names for code."""
        return self._firmware.code

    @property
    def trace(self) -> Trace:
        """The journal."""
        return self._firmware.machine.trace

    @property
    def machine(self) -> Machine:
        """The machine."""
        return self._firmware.machine

    def changes(self) -> object:
        """As :class:`Scene` has it."""
        code = self._firmware.code
        modules = 0 if code.grub is None else len(code.grub.modules)
        return len(code.images), modules, code.kernel is not None and linear_of(code.kernel, self.board)

    def images(self) -> list[CodeImage]:
        """The images that were started, and the kernel once it runs at its own addresses."""
        code = self._firmware.code
        images = [_image_of(name, image) for name, image in code.images]
        for name, image in code.images:
            symbols = code.pdb_symbols(name, image)
            images += [_named_image(f"{name}.pdb", image, symbols)] if symbols else []
        images += _grub_images(code.grub) if code.grub is not None else []
        if code.kernel is not None and linear_of(code.kernel, self.board) is not None:
            images.append(kernel_image(code.kernel))
        return images

    def symbol(self, name: str) -> int | None:
        """A symbol of the kernel, of the image that was started last, or of a GRUB's modules and core."""
        code = self._firmware.code
        if code.kernel is not None:
            found = code.kernel.address_of(name)
            if found is not None:
                return found
        for file, image in reversed(code.images):
            for known, offset in (*symbols_of(image), *code.pdb_symbols(file, image)):
                if known == name:
                    return image.image_base + offset
        return None if code.grub is None else code.grub.address_of(name)

    def service(self, name: str) -> int | None:
        """Where a service's stub is."""
        return self._firmware.tables.service_address(name)

    def memory_map(self) -> Sequence[MemoryDescriptor]:
        """The machine's map, as it was last while boot services were there."""
        return self._firmware.machine.memory_map


def linear_of(kernel: KernelSymbols, board: Board) -> int | None:
    """Where a kernel runs, once it does; its first instruction at its own addresses tells."""
    if kernel.linear is None:
        kernel.contains(board.cpu.read("RIP"))
    return kernel.linear


def kernel_image(kernel: KernelSymbols) -> CodeImage:
    """A kernel, whose symbols gdb reads from a file that is made of the kernel's own table."""
    start, size = kernel.start, kernel.size
    return CodeImage(KERNEL, start, start + size, (start,), lambda: symbol_file(kernel.all_symbols(), size))


def _grub_images(grub: GrubNames) -> list[CodeImage]:
    """A GRUB's modules, and one image with all names for gdb: of its modules, and of what they use of its core."""
    modules, core = grub.modules, grub.core
    if not modules:
        return []
    names = [symbol for module in modules for symbol in module.symbols] + list(core.items())
    start = min(grub.image.image_base, *(module.start for module in modules))
    end = max(grub.image.image_base + grub.image.image_size, *(module.end for module in modules))
    symbols = [(name, address - start) for name, address in names]
    named = CodeImage(GRUB, start, end, (start,), lambda: symbol_file(symbols, end - start))
    return [*(CodeImage(f"{module.name}.mod", module.start, module.end) for module in modules), named]


def _named_image(name: str, image: LoadedImage, symbols: Sequence[tuple[str, int]]) -> CodeImage:
    """A program's names from elsewhere, by offset from its base, which gdb reads as a file of their own."""
    start, size = image.image_base, image.image_size
    return CodeImage(name, start, start + size, (start,), lambda: symbol_file(symbols, size))


def _image_of(name: str, image: LoadedImage) -> CodeImage:
    """An image.

    gdb adds the address of a section in the list of libraries to the one in the file (gdb/solib-target.c), and wants
    one for each that binutils takes for allocated (bfd/coffcode.h, styp_to_sec_flags).
    """
    data = bytes(image.source) if image.pe is not None else b""
    sections = () if image.pe is None else image.pe.sections
    allocated = tuple(
        image.image_base - (0 if image.pe is None else image.pe.image_base)
        for section in sections
        if section.characteristics & _CONTENT and not section_name(data, section.name).startswith(_DEBUG_SECTIONS)
    )
    return CodeImage(name, image.image_base, image.image_base + image.image_size, allocated, lambda: data)


def libraries_of(images: Sequence[CodeImage]) -> list[Library]:
    """What gdb is told of them; of several with one name only the last."""
    named = {image.name: image for image in images if image.contents is not None and image.sections}
    return [
        Library(f"/{printable(image.name.encode('utf-8', 'replace'))}", image.sections, image.contents)
        for image in named.values()
        if image.contents is not None
    ]
