"""The images that firmware has started and the kernel that runs after them, by address.

Source: PE sections of the loaded images; the call stack is read from the stack's own words, since EFI code is built
without frame pointers: a word counts as a return address where a call instruction stands right before it.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import islice
from pathlib import Path

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.introspect.coff_symbols import symbol_at
from tdvfsh.engine.introspect.grub_modules import GrubNames
from tdvfsh.engine.introspect.kernel_symbols import FRAMES, KernelSymbols, accept_phase
from tdvfsh.engine.introspect.pdb_symbols import pdb_symbols
from tdvfsh.engine.introspect.source_lines import SourceLines, source_lines
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.engine.x86.return_addresses import CALL_REACH, follows_call
from tdvfsh.lazy_typing import Final
from tdvfsh.units import PAGE_SIZE

_STACK_WORDS: Final = 512
_FRAMES: Final = 8


class LoadedCode:
    """Images and kernel of one machine.

    Args:
        other: What the journal calls code that lies in no started image.

    Attributes:
        other: As above; it changes when an operating system takes over.
        kernel: Names of the kernel that runs; None before one does, or where its names are not known.
        memory: Guest memory, in which names are looked for; None where there is none.
        folder: The host's folder in which PDBs are looked for; None where there is none.
    """

    def __init__(self, other: str = "guest") -> None:
        self.other = other
        self.kernel: KernelSymbols | None = None
        self.memory: memoryview | None = None
        self.folder: Path | None = None
        self._pdbs: dict[int, tuple[LoadedImage, list[tuple[str, int]]]] = {}
        self._grub: GrubNames | None = None
        self._images: list[tuple[str, LoadedImage]] = []
        self._lines: dict[int, tuple[LoadedImage, SourceLines]] = {}

    @property
    def images(self) -> tuple[tuple[str, LoadedImage], ...]:
        """Name and image of all that were started, in order."""
        return tuple(self._images)

    def started(self, name: str, image: LoadedImage) -> None:
        """An image is about to run."""
        self._images.append((name, image))
        if self.memory is not None and image.pe is not None and any(each.name == "mods" for each in image.pe.sections):
            self._grub = GrubNames(self.memory, image)

    @property
    def grub(self) -> GrubNames | None:
        """Names of the GRUB that was started last, until an operating system runs."""
        return self._grub if self.kernel is None else None

    def image_at(self, address: int) -> tuple[str, LoadedImage] | None:
        """Name and image that ``address`` lies in, among those that were started; None outside of them."""
        for name, image in reversed(self._images):
            if image.image_base <= address < image.image_base + image.image_size:
                return name, image
        return None

    def name(self, address: int) -> str:
        """The caller's name in the journal for code at ``address``."""
        found = self.image_at(address)
        return found[0] if found is not None else self.other

    def place(self, address: int) -> str:
        """Image, section and offset that an address lies in; in a running kernel its function."""
        found = self.image_at(address)
        if found is None:
            if self.kernel is None or not self.kernel.contains(address):
                module = None if self.grub is None else self.grub.place(address)
                return f"{address:#x}" if module is None else f"{module} ({address:#x})"
            return f"kernel {self.kernel.name(address)} ({address:#x})"
        name, image = found
        offset = address - image.image_base
        symbol, line = symbol_at(image, offset) or self._pdb_symbol(name, image, offset), self._line(image, offset)
        names = f"{f' <{symbol}>' if symbol else ''}{f' {line}' if line else ''}"
        return f"{name}{_section(image, offset)}+{offset:#x}{names} ({address:#x})"

    def pdb_symbols(self, name: str, image: LoadedImage) -> list[tuple[str, int]]:
        """Name and offset of each symbol of the PDB beside an image, by offset; none where there is none."""
        known = self._pdbs.get(image.image_base)
        if known is None or known[0] is not image:
            symbols = [] if self.folder is None else pdb_symbols(image, name, self.folder)
            known = self._pdbs[image.image_base] = image, symbols
        return known[1]

    def _pdb_symbol(self, name: str, image: LoadedImage, offset: int) -> str | None:
        """The last symbol at or before an offset in the same section."""
        symbols = self.pdb_symbols(name, image)
        index = bisect_right(symbols, offset, key=lambda symbol: symbol[1]) - 1
        if index < 0 or _section_number(image, symbols[index][1]) != _section_number(image, offset):
            return None
        return f"{symbols[index][0]}+{offset - symbols[index][1]:#x}"

    def _line(self, image: LoadedImage, offset: int) -> str:
        lines = self._lines.get(image.image_base)
        if lines is None or lines[0] is not image:
            lines = self._lines[image.image_base] = image, source_lines(image)
        return lines[1].at(offset)

    def call_stack(self, cpu: Cpu, ram: GuestRam) -> tuple[str, ...]:
        """Return addresses on the stack that follow a call in a loaded image, or in the running kernel."""
        at = cpu.read("RSP") & ~7
        pointer = cpu.read("RIP")
        if self.kernel is not None and self.kernel.contains(pointer):

            def read(address: int, size: int) -> bytes | None:
                return ram.read(address, size) if ram.accessible(address, size) else None

            return self.kernel.call_chain(at, read, pointer, _FRAMES + 1)[1:]
        places: list[str] = []
        for _ in range(_STACK_WORDS):
            if not ram.accessible(at, 8) or len(places) == _FRAMES:
                break
            word = ram.u64(at)
            if word >= PAGE_SIZE and self._is_code(word) and _follows_call(ram, word):
                places.append(self.place(word))
            at += 8
        return tuple(places)

    def _is_code(self, address: int) -> bool:
        grub = self.grub
        return self.image_at(address) is not None or (grub is not None and grub.place(address) is not None)

    def phase(self, cpu: Cpu) -> str:
        """The image, or the part of the kernel, that executes an instruction: for a kernel by its call stack."""
        pointer = cpu.read("RIP")
        if self.kernel is None or not self.kernel.contains(pointer):
            return self.name(pointer)
        callers = self.kernel.callers(cpu.read("RSP"), cpu.memory.read, pointer)
        return f"kernel, {accept_phase(islice(callers, FRAMES))}"


def _section_number(image: LoadedImage, offset: int) -> int | None:
    """Index of the section that an offset from the image's base lies in."""
    for number, section in enumerate(image.pe.sections if image.pe is not None else ()):
        size = max(section.virtual_size, section.size_of_raw_data)
        if section.virtual_address <= offset < section.virtual_address + size:
            return number
    return None


def _section(image: LoadedImage, offset: int) -> str:
    number = _section_number(image, offset)
    name = "" if image.pe is None or number is None else image.pe.sections[number].name
    return f" {name}" if name else ""


def _follows_call(ram: GuestRam, address: int) -> bool:
    return ram.accessible(address - CALL_REACH, CALL_REACH) and follows_call(ram.read(address - CALL_REACH, CALL_REACH))
