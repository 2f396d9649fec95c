"""Names for the code of real firmware, by the modules of its file, whose release builds have no debug information.

A module that runs in place is found by its address in the flash or in an unpacked volume, one that was loaded by its
headers, which stand before its code.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cached_property

from tdvfsh.engine.firmware.image import FirmwareImage
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.engine.x86.return_addresses import CALL_REACH, follows_call
from tdvfsh.formats.firmware_modules import FirmwareContents, FirmwareModule
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import MIB, PAGE_SIZE

_TOP: Final = 1 << 32
_LARGEST_IMAGE: Final = 2 * MIB
_LARGEST_VOLUME: Final = 24 * MIB
_STACK_WORDS: Final = 1024
_FRAMES: Final = 10
_UPPER_HALF: Final = 1 << 63
_PE_OFFSET: Final = 0x3C
_IMAGE_BASE: Final = slice(24 + 24, 24 + 32)  # of a PE32+ image, after its signature: relocation writes it
_HEADER_SIZE: Final = 24 + 112
_VOLUME_HEADER: Final = 72
_OTHER: Final = "firmware"
_SYSTEM: Final = "operating system"


class Place(NamedTuple):
    """A module and an offset in its image."""

    module: str
    offset: int


class FirmwareCode:
    """Modules of one firmware file in the memory of a machine.

    Args:
        image: The file.

    Attributes:
        contents: What is in the file.
        ram: The machine's memory, once there is one.
        translate: Physical address of a linear page, None where it is not mapped.
    """

    def __init__(self, image: FirmwareImage) -> None:
        self._image = image
        self.contents = FirmwareContents(image.data)
        self.ram: GuestRam | None = None
        self.translate: Callable[[int], int | None] = lambda page: page
        self._known: dict[int, str] = {}

    def attach(self, ram: GuestRam, translate: Callable[[int], int | None]) -> None:
        """The machine that the firmware runs in."""
        self.ram, self.translate = ram, translate

    @property
    def modules(self) -> tuple[FirmwareModule, ...]:
        """All modules of the file."""
        return self.contents.modules

    @cached_property
    def _by_header(self) -> dict[bytes, FirmwareModule]:
        found: dict[bytes, FirmwareModule] = {}
        for module in self.modules:
            key = None if module.is_te else _header(module.image)
            if key is not None:
                found.setdefault(key, module)
        return found

    @cached_property
    def _volumes(self) -> dict[bytes, list[FirmwareModule]]:
        """Modules of each unpacked piece, by the header of the volume that it begins with."""
        pieces: dict[bytes, list[FirmwareModule]] = {}
        for module in self.modules:
            if len(module.volume) != len(self._image.data):
                at = bytes(module.volume[: 64 * PAGE_SIZE]).find(b"_FVH") - 40
                if at >= 0:
                    pieces.setdefault(bytes(module.volume[at : at + _VOLUME_HEADER]), []).append(module)
        return pieces

    # ---- names --------------------------------------------------------------------------------------------------

    def find(self, address: int) -> Place | None:
        """The module that the code at a linear address belongs to, or None."""
        base = self._image.base
        if base <= address < _TOP:
            return self._in_place(
                address - base, [each for each in self.modules if each.volume.obj is self._image.data]
            )
        if self.ram is None or address >> 48:
            return None
        page = self.translate(address & -PAGE_SIZE)
        return None if page is None else self._loaded(page + address % PAGE_SIZE)

    @staticmethod
    def _in_place(offset: int, modules: Sequence[FirmwareModule]) -> Place | None:
        for module in modules:
            if module.offset <= offset < module.offset + module.size:
                return Place(module.name, offset - module.offset)
        return None

    def _loaded(self, address: int) -> Place | None:
        """Headers of images and volumes begin on page boundaries in memory."""
        assert self.ram is not None
        view, page = self.ram.view, address & -PAGE_SIZE
        lowest = max(0, page - _LARGEST_VOLUME)
        volumes = self._volumes
        while page >= lowest:
            if address - page < _LARGEST_IMAGE and view[page] == 0x4D and view[page + 1] == 0x5A:
                key = _header(view[page : page + 0x1000])
                module = None if key is None else self._by_header.get(key)
                if module is not None and address - page < _size_of_image(module.image):
                    return Place(module.name, address - page)
            if view[page + 40] == 0x5F and bytes(view[page + 40 : page + 44]) == b"_FVH":
                modules = volumes.get(bytes(view[page : page + _VOLUME_HEADER]), [])
                start = bytes(modules[0].volume[: 64 * PAGE_SIZE]).find(b"_FVH") - 40 if modules else 0
                found = self._in_place(address - page + start, modules)
                if found is not None:
                    return found
            page -= PAGE_SIZE
        return None

    def in_memory(self) -> list[tuple[FirmwareModule, int]]:
        """Every module that is somewhere in the address space now, and the address of its image.

        RAM that was ever written is looked through page by page, for headers of images and volumes.
        """
        data = self._image.data
        found = [(each, self._image.base + each.offset) for each in self.modules if each.volume.obj is data]
        ram = self.ram
        if ram is None:
            return found
        view, volumes = ram.view, self._volumes
        pieces = [piece for start, end in ram.runs for piece in ram.touched(start, end)]
        for page in (page for start, end in pieces for page in range(start, end, PAGE_SIZE)):
            if view[page] == 0x4D and view[page + 1] == 0x5A:
                key = _header(view[page : page + PAGE_SIZE])
                module = None if key is None else self._by_header.get(key)
                if module is not None:
                    found.append((module, page))
            elif view[page + 40] == 0x5F and bytes(view[page + 40 : page + 44]) == b"_FVH":
                modules = volumes.get(bytes(view[page : page + _VOLUME_HEADER]), [])
                start = bytes(modules[0].volume[: 64 * PAGE_SIZE]).find(b"_FVH") - 40 if modules else 0
                found += [(each, page + each.offset - start) for each in modules]
        return found

    def name(self, address: int) -> str:
        """The module's name, by which the journal and tables know it."""
        known = self._known.get(address)
        if known is None:
            found = self.find(address)
            known = found.module if found is not None else _SYSTEM if address & _UPPER_HALF else _OTHER
            if found is not None or address & _UPPER_HALF:
                self._known[address] = known
        return known

    def place(self, address: int) -> str:
        """Module and offset, or the bare number."""
        found = self.find(address)
        return f"{address:#x}" if found is None else f"{found.module}+{found.offset:#x} ({address:#x})"

    def phase(self, cpu: Cpu) -> str:
        """The module that executes an instruction."""
        return self.name(cpu.read("RIP"))

    def call_stack(self, cpu: Cpu, ram: GuestRam) -> tuple[str, ...]:
        """Return addresses on the stack that follow a call in a module, the innermost first."""
        at = cpu.read("RSP") & ~7
        places: list[str] = []
        for _ in range(_STACK_WORDS):
            if not ram.accessible(at, 8) or len(places) == _FRAMES:
                break
            word = ram.u64(at)
            if word >= PAGE_SIZE and ram.accessible(word - CALL_REACH, CALL_REACH):
                found = self.find(word) if follows_call(ram.read(word - CALL_REACH, CALL_REACH)) else None
                if found is not None:
                    places.append(self.place(word))
            at += 8
        return tuple(places)


def _header(image: memoryview) -> bytes | None:
    """The PE headers, but for the base address; None where there are none."""
    if len(image) < _PE_OFFSET + 4 or bytes(image[:2]) != b"MZ":
        return None
    at = struct.unpack_from("<I", image, _PE_OFFSET)[0]
    header = bytearray(image[at : at + _HEADER_SIZE])
    if len(header) < _HEADER_SIZE or header[:4] != b"PE\0\0":
        return None
    header[_IMAGE_BASE] = bytes(8)
    return bytes(header)


def _size_of_image(image: memoryview) -> int:
    at = struct.unpack_from("<I", image, _PE_OFFSET)[0]
    size: int = struct.unpack_from("<I", image, at + 24 + 56)[0]
    return size
