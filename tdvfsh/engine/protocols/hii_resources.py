"""The HII package list that a program carries in its resource section.

Source: UEFI 2.10 33.2.1.2; PE format specification, "The .rsrc section".
"""

from __future__ import annotations

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.formats.pe.parse import DIRECTORY_ENTRY_RESOURCE
from tdvfsh.lazy_typing import Final

_DIRECTORY: Final = 16
_ENTRY: Final = 8
_HIGH_BIT: Final = 0x80000000
_HII: Final = "HII"


def hii_package_list(ram: GuestRam, image: LoadedImage) -> int | None:
    """Address of the package list in a loaded image, or None. LoadImage has checked the bounds."""
    if image.pe is None or len(image.pe.data_directories) <= DIRECTORY_ENTRY_RESOURCE:
        return None
    rva = image.pe.data_directories[DIRECTORY_ENTRY_RESOURCE].virtual_address
    if not rva:
        return None
    root = image.image_base + rva
    for number in range(ram.u16(root + 12)):
        entry = root + _DIRECTORY + _ENTRY * number
        name, data = ram.u32(entry), ram.u32(entry + 4)
        if not name & _HIGH_BIT:
            continue
        text = root + (name & ~_HIGH_BIT)
        if ram.u16(text) == len(_HII) and ram.utf16(text + 2, len(_HII)) == _HII:
            while data & _HIGH_BIT:
                data = ram.u32(root + (data & ~_HIGH_BIT) + _DIRECTORY + 4)
            return image.image_base + ram.u32(root + data)
    return None
