"""Names in GRUB: of its modules, where they lie in its heap, and of the core's functions that they call.

A GRUB in one EFI program is stripped, but carries its modules as relocatable ELF objects in a section ``mods``. GRUB
loads each from there into its heap, and resolves the object's symbols in place: in memory the symbol tables hold the
addresses. Symbols that a module takes from elsewhere hold the addresses of the core's functions. Modules that are read
from a disk leave nothing to find them by.

Source: GRUB 2.12 grub-core/kern/dl.c, grub_dl_load_core_noinit() and grub_dl_resolve_symbols(); include/grub/kernel.h.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.lazy_typing import Final, NamedTuple

_INFO: Final = struct.Struct("<4sIQQ")
_MAGIC: Final = b"mimg"
_HEADER: Final = struct.Struct("<II")
_ELF_MODULE: Final = 0
_ELF: Final = b"\x7fELF\x02\x01"
_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_SYMBOLS: Final = 2
_ALLOCATED: Final = 2
_OF_SECTION, _OF_FILE = 3, 4
_MOST_MODULES: Final = 4096
_MOST_SECTIONS: Final = 1024
_MOST_SYMBOLS: Final = 1 << 16
_LONGEST: Final = 128
_LARGEST_MODULE: Final = 1 << 24


class GrubModule(NamedTuple):
    """A module that GRUB has loaded.

    Attributes:
        name: Its name, such as ``linux``.
        ranges: Start and end of each of its sections in memory.
        symbols: Name and address of each of its functions and variables, by address.
        imports: Name and address of what it takes from elsewhere.
    """

    name: str
    ranges: tuple[tuple[int, int], ...]
    symbols: tuple[tuple[str, int], ...]
    imports: tuple[tuple[str, int], ...]

    @property
    def start(self) -> int:
        """Its first byte."""
        return min(start for start, _ in self.ranges)

    @property
    def end(self) -> int:
        """First byte after its last."""
        return max(end for _, end in self.ranges)

    def contains(self, address: int) -> bool:
        """Whether an address lies in it."""
        return any(start <= address < end for start, end in self.ranges)

    def place(self, address: int) -> str:
        """The last symbol at or before an address that lies in it."""
        index = bisect_right(self.symbols, address, key=lambda symbol: symbol[1]) - 1
        section = next(start for start, end in self.ranges if start <= address < end)
        if index < 0 or self.symbols[index][1] < section:
            return f"{self.name}.mod+{address - self.start:#x}"
        name, at = self.symbols[index]
        return f"{self.name}.mod {name}" + (f"+{address - at:#x}" if address > at else "")


def modules_in(section: bytes) -> tuple[list[GrubModule], bool]:
    """The modules that GRUB has loaded, and whether these are all, from its section ``mods`` as it stands in memory.

    Damage ends the list.
    """
    modules: list[GrubModule] = []
    all_loaded = True
    if len(section) < _INFO.size or section[: len(_MAGIC)] != _MAGIC:
        return modules, False
    _, _, at, size = _INFO.unpack_from(section)
    end = min(size, len(section))
    for _ in range(_MOST_MODULES):
        if at + _HEADER.size > end:
            break
        kind, length = _HEADER.unpack_from(section, at)
        if length < _HEADER.size:
            break
        if kind == _ELF_MODULE:
            module = _module(section[at + _HEADER.size : min(at + min(length, _LARGEST_MODULE), end)])
            if module is not None:
                modules.append(module)
            all_loaded = all_loaded and module is not None
        at += length
    return modules, all_loaded


def _module(elf: bytes) -> GrubModule | None:
    """A module; None where it has not been loaded, or is not one."""
    rows = _section_rows(elf)
    table = next((row for row in rows if row[1] == _SYMBOLS), None)
    if table is None or table[6] >= len(rows):
        return None
    texts = rows[table[6]]
    strings = elf[texts[4] : texts[4] + texts[5]]
    starts: dict[int, int] = {}
    symbols: list[tuple[str, int]] = []
    imports: list[tuple[str, int]] = []
    for name_at, kind, section, value in _symbols(elf, table[4], table[5]):
        if kind == _OF_SECTION:
            starts[section] = value
            continue
        name = strings[name_at : name_at + _LONGEST].split(b"\0")[0].decode("ascii", "replace")
        if not name or not value or kind == _OF_FILE:
            continue
        (symbols if 0 < section < len(rows) else imports).append((name, value))
    ranges = tuple(
        (starts[number], starts[number] + row[5])
        for number, row in enumerate(rows)
        if row[2] & _ALLOCATED and row[5] and starts.get(number)
    )
    if not ranges:
        return None
    symbols = [symbol for symbol in symbols if any(start <= symbol[1] < end for start, end in ranges)]
    return GrubModule(_name(elf, rows), ranges, tuple(sorted(symbols, key=lambda symbol: symbol[1])), tuple(imports))


def _section_rows(elf: bytes) -> list[tuple[int, ...]]:
    if len(elf) < _SECTION.size or not elf.startswith(_ELF):
        return []
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    (count,) = struct.unpack_from("<H", elf, 0x3C)
    if count > _MOST_SECTIONS or table + count * _SECTION.size > len(elf):
        return []
    return [_SECTION.unpack_from(elf, table + number * _SECTION.size) for number in range(count)]


def _symbols(elf: bytes, start: int, size: int) -> Iterator[tuple[int, int, int, int]]:
    """Offset of the name, type, section and value of each symbol."""
    end = min(start + min(size, _MOST_SYMBOLS * _SYMBOL.size), len(elf))
    for at in range(start, end - _SYMBOL.size + 1, _SYMBOL.size):
        name, info, _, section, value, _ = _SYMBOL.unpack_from(elf, at)
        yield name, info & 0xF, section, value


def _name(elf: bytes, rows: list[tuple[int, ...]]) -> str:
    (index,) = struct.unpack_from("<H", elf, 0x3E)
    if index < len(rows):
        names = elf[rows[index][4] : rows[index][4] + rows[index][5]]
        for row in rows:
            if names[row[0] :].startswith(b".modname\0"):
                return elf[row[4] : row[4] + min(row[5], _LONGEST)].split(b"\0")[0].decode("ascii", "replace")
    return "module"


class GrubNames:
    """Names in one GRUB.

    Args:
        memory: Guest memory.
        image: Its EFI program.

    Attributes:
        image: As above.
    """

    def __init__(self, memory: memoryview, image: LoadedImage) -> None:
        self._memory = memory
        self.image = image
        section = next((each for each in image.pe.sections if each.name == "mods"), None) if image.pe else None
        self._span = None
        if section is not None:
            start = image.image_base + section.virtual_address
            self._span = start, start + max(section.virtual_size, section.size_of_raw_data)
        self._section = b""
        self._modules: list[GrubModule] = []
        self._all_loaded = False

    @property
    def modules(self) -> list[GrubModule]:
        """The modules that are loaded now, in the order in which they lie in the program."""
        if self._span is not None and not self._all_loaded:
            section = bytes(self._memory[self._span[0] : self._span[1]])
            if section != self._section:
                self._section = section
                self._modules, self._all_loaded = modules_in(section)
        return self._modules

    @property
    def core(self) -> dict[str, int]:
        """Functions and variables of the core, as far as modules use them."""
        modules = self.modules
        own = {name for module in modules for name, _ in module.symbols}
        return {name: value for module in modules for name, value in module.imports if name not in own}

    def address_of(self, name: str) -> int | None:
        """A symbol of a module, or of the core."""
        for module in self.modules:
            for known, value in module.symbols:
                if known == name:
                    return value
        return self.core.get(name)

    def place(self, address: int) -> str | None:
        """The module and function that an address lies in; None where it is in no module."""
        return next((module.place(address) for module in self.modules if module.contains(address)), None)
