"""QEMU's firmware configuration device: items by number, files by name, read byte by byte or by DMA.

Source: QEMU docs/specs/fw_cfg.rst, hw/nvram/fw_cfg.c.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping
from enum import IntEnum

from tdvfsh.formats.mapped import copy_of
from tdvfsh.lazy_typing import Final, Protocol

Contents = bytes | bytearray | memoryview

PORT: Final = 0x510
PORTS: Final = 12
_DATA: Final = 1
_DMA_HIGH: Final = 4
_DMA_LOW: Final = 8
_DMA_SIGNATURE: Final = b"QEMU CFG"
_KEY_MASK: Final = 0x3FFF
_FIRST_FILE: Final = 0x20
_NAME_SIZE: Final = 56
_TRADITIONAL_AND_DMA: Final = 3
_ACCESS: Final = struct.Struct(">IIQ")
_STATUS: Final = struct.Struct(">I")
_PIECE: Final = 1 << 20


class FwCfgItem(IntEnum):
    """Items that have numbers of their own."""

    SIGNATURE = 0x00
    INTERFACE_VERSION = 0x01
    SYSTEM_UUID = 0x02
    RAM_SIZE = 0x03
    GRAPHICS_ENABLED = 0x04
    SMP_CPU_COUNT = 0x05
    KERNEL_ADDRESS = 0x07
    KERNEL_SIZE = 0x08
    INITRD_ADDRESS = 0x0A
    INITRD_SIZE = 0x0B
    BOOT_DEVICE = 0x0C
    BOOT_MENU = 0x0E
    MAXIMUM_CPU_COUNT = 0x0F
    KERNEL_ENTRY = 0x10
    KERNEL_DATA = 0x11
    INITRD_DATA = 0x12
    COMMAND_LINE_ADDRESS = 0x13
    COMMAND_LINE_SIZE = 0x14
    COMMAND_LINE_DATA = 0x15
    SETUP_ADDRESS = 0x16
    SETUP_SIZE = 0x17
    SETUP_DATA = 0x18
    FILE_DIRECTORY = 0x19


_KNOWN: Final = frozenset(FwCfgItem)


class _Control(IntEnum):
    ERROR = 1
    READ = 2
    SKIP = 4
    SELECT = 8
    WRITE = 16


class DmaMemory(Protocol):
    """Memory as a device reaches it, by guest physical address."""

    def read(self, address: int, size: int) -> bytes | None:
        """``size`` bytes; None where there is no RAM."""
        ...

    def write(self, address: int, data: Contents) -> bool:
        """Store bytes; False where there is no RAM."""
        ...


class FwCfg:
    """The device.

    Args:
        items: Contents by number, see :class:`FwCfgItem`; they are not copied.
        files: Contents by name; what is made by a call is made whenever the guest selects it, and always as long.
        memory: What DMA reaches.
        missing: Counts what is asked for and lacking.

    Attributes:
        moved: Bytes that the guest has read, by item.
        selected: Called with an item's number when the guest selects it.
    """

    def __init__(
        self,
        items: Mapping[int, Contents],
        files: Mapping[str, Contents | Callable[[], Contents]],
        memory: DmaMemory,
        missing: Counter[str],
    ) -> None:
        self._memory = memory
        self._missing = missing
        self._items: dict[int, Contents] = {
            FwCfgItem.SIGNATURE: b"QEMU",
            FwCfgItem.INTERFACE_VERSION: struct.pack("<I", _TRADITIONAL_AND_DMA),
            **items,
        }
        self._names = {_FIRST_FILE + number: name for number, name in enumerate(sorted(files))}
        self._makers: dict[int, Callable[[], Contents]] = {}
        for key, name in self._names.items():
            file = files[name]
            if callable(file):
                self._makers[key] = file
                file = file()
            self._items[key] = file
        self._items[FwCfgItem.FILE_DIRECTORY] = self._directory()
        self._key = 0
        self._at = 0
        self._descriptor = 0
        self.moved: Counter[int] = Counter()
        self.selected: Callable[[int], None] | None = None

    def _directory(self) -> bytes:
        entries = [
            struct.pack(f">IHH{_NAME_SIZE}s", len(self._items[key]), key, 0, name.encode("ascii"))
            for key, name in self._names.items()
        ]
        return struct.pack(">I", len(entries)) + b"".join(entries)

    def read(self, offset: int, size: int) -> int:
        """The selected item's next bytes, or the DMA interface's signature."""
        if offset == _DATA:
            return int.from_bytes(self._next(1), "little")
        if offset >= _DMA_HIGH:
            return int.from_bytes(_DMA_SIGNATURE[offset - _DMA_HIGH :][:size], "little")
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Select an item, or start a DMA by the address of its descriptor, which is big-endian."""
        if offset == 0 and size == 2:
            self._select(value)
        elif offset == _DMA_HIGH and size == 4:
            self._descriptor = _swapped(value) << 32
        elif offset == _DMA_LOW and size == 4:
            descriptor, self._descriptor = self._descriptor | _swapped(value), 0
            self._transfer(descriptor)
        else:
            self._missing[f"fw_cfg register {offset:#x} (write of {size} bytes)"] += 1

    def _select(self, key: int) -> None:
        self._key, self._at = key & _KEY_MASK, 0
        if self._key in self._makers:
            self._items[self._key] = self._makers[self._key]()
        if self.selected is not None:
            self.selected(self._key)
        if self._key not in self._items and self._key not in _KNOWN:
            self._missing[f"fw_cfg item {self._key:#x}"] += 1

    def _next(self, size: int) -> Contents:
        """Moves on; zeros past the item's end."""
        item = self._items.get(self._key, b"")
        part = item[self._at : self._at + size]
        self._at += size
        self.moved[self._key] += len(part)
        if isinstance(part, memoryview):
            part = copy_of(part)  # of a file that may have been cut meanwhile
        return part if len(part) == size else bytes(part).ljust(size, b"\0")

    def _transfer(self, descriptor: int) -> None:
        raw = self._memory.read(descriptor, _ACCESS.size)
        if raw is None:
            self._missing[f"fw_cfg DMA descriptor at {descriptor:#x}, where there is no RAM"] += 1
            return
        control, length, address = _ACCESS.unpack(raw)
        if control & _Control.SELECT:
            self._select(control >> 16)
        status = 0
        if control & _Control.READ:
            status = self._copy(address, length)
        elif control & _Control.SKIP:
            self._at += length
        elif control & _Control.WRITE:
            self._missing[f"a write to fw_cfg item {self._key:#x}"] += 1
            status = _Control.ERROR
        self._memory.write(descriptor, _STATUS.pack(status))

    def _copy(self, address: int, length: int) -> int:
        """The item's next bytes to memory, in pieces: what lies past its end is as long as the guest says."""
        for at in range(0, length, _PIECE):
            if not self._memory.write(address + at, self._next(min(_PIECE, length - at))):
                return _Control.ERROR
        return 0


def _swapped(value: int) -> int:
    return int.from_bytes(value.to_bytes(4, "little"), "big")
