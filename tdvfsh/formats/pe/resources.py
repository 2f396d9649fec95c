"""The resource directory's bounds, as firmware checks them while it looks for an "HII" resource.

Source: edk2 MdePkg/Library/BasePeCoffLib/BasePeCoff.c at c5aa7e7d94c0, end of PeCoffLoaderLoadImage;
PE format specification, "The .rsrc section".
"""

from __future__ import annotations

from tdvfsh.formats.pe.memory import LoadedImage
from tdvfsh.lazy_typing import Final

_DIRECTORY_SIZE: Final = 16
_ENTRY_SIZE: Final = 8
_HIGH_BIT: Final = 0x80000000
_HII: Final = "HII".encode("utf-16-le")


def check_resources(loaded: LoadedImage, rva: int, size: int) -> str | None:
    """Why the directory at ``rva`` of ``size`` bytes is malformed, or None where firmware is content."""
    named, count = _entries(loaded, rva)
    if _DIRECTORY_SIZE + _ENTRY_SIZE * count > size:
        return f"the resource directory's {count} entries exceed its {size:#x} bytes"
    table = loaded.read(rva + _DIRECTORY_SIZE, _ENTRY_SIZE * named)
    for at in range(0, len(table), _ENTRY_SIZE):
        name = int.from_bytes(table[at : at + 4], "little")
        data = int.from_bytes(table[at + 4 : at + 8], "little")
        if not name & _HIGH_BIT:
            continue
        if name & ~_HIGH_BIT >= size:
            return "a resource's name lies outside the resource directory"
        text = loaded.read(rva + (name & ~_HIGH_BIT), 8)
        if text[:2] == b"\x03\x00" and text[2:] == _HII:
            why, found = _descend(loaded, rva, size, data)
            if why is not None or found:
                return why
    return None


def _entries(loaded: LoadedImage, rva: int) -> tuple[int, int]:
    counts = loaded.u32(rva + 12)
    named = counts & 0xFFFF
    return named, named + (counts >> 16)


def _descend(loaded: LoadedImage, rva: int, size: int, data: int) -> tuple[str | None, bool]:
    """Follow type, name and language to the data: (why not, whether data was found)."""
    for level in ("name", "language"):
        if not data & _HIGH_BIT:
            break
        offset = data & ~_HIGH_BIT
        if offset >= size:
            return f"the resource {level} directory lies outside the resource directory", False
        _, count = _entries(loaded, rva + offset)
        if offset + _DIRECTORY_SIZE + _ENTRY_SIZE * count > size:
            return f"the resource {level} directory's {count} entries exceed the resource directory", False
        data = loaded.u32(rva + offset + _DIRECTORY_SIZE + 4)
    if data & _HIGH_BIT:
        return None, False
    if data >= size:
        return "the HII resource's data entry lies outside the resource directory", False
    return None, True
