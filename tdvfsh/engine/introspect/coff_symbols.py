"""The COFF symbols that some EFI programs still carry, such as Debian's shim: names for addresses in reports."""

from __future__ import annotations

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.formats.symbols.coff import coff_symbols


def symbol_at(image: LoadedImage, offset: int) -> str | None:
    """The last symbol at or before ``offset`` from the image's base, as ``name+0x12``; None where there is none.

    Only symbols of the same section count; names that begin with a dot are those of sections.
    """
    if image.pe is None:
        return None
    sections = image.pe.sections
    number = next(
        (
            position
            for position, section in enumerate(sections, 1)
            if 0 <= offset - section.virtual_address < max(section.virtual_size, section.size_of_raw_data)
        ),
        0,
    )
    if not number:
        return None
    place = offset - sections[number - 1].virtual_address
    best: tuple[int, str] | None = None
    for name, value, section_number in coff_symbols(image.source):
        if section_number == number and value <= place and (best is None or value > best[0]):
            best = (value, name)
    return None if best is None else f"{best[1]}+{place - best[0]:#x}"


def symbols_of(image: LoadedImage) -> list[tuple[str, int]]:
    """Name and offset from the image's base of each symbol."""
    if image.pe is None:
        return []
    starts = [section.virtual_address for section in image.pe.sections]
    return [
        (name, starts[section_number - 1] + value)
        for name, value, section_number in coff_symbols(image.source)
        if section_number <= len(starts)
    ]
