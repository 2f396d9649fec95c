"""Source lines of an EFI program's code, where DWARF is in its file and the extra ``debug`` is installed.

Source: DWARF 5, 6.2 (line number information); PE sections ``.debug_*``, as GNU ld writes them.
"""

from __future__ import annotations

from bisect import bisect_right
from importlib.util import find_spec
from io import BytesIO

from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.formats.symbols.coff import section_name
from tdvfsh.lazy_typing import Any, Final

_LARGEST: Final = 64 << 20  # bytes of debug information that are read for a report
_SECTIONS: Final = (
    "debug_info", "debug_aranges", "debug_abbrev", "debug_frame", "eh_frame", "debug_str", "debug_loc", "debug_ranges",
    "debug_line", "debug_pubtypes", "debug_pubnames", "debug_addr", "debug_str_offsets", "debug_line_str",
    "debug_loclists", "debug_rnglists", "debug_sup", "gnu_debugaltlink", "debug_types",
)  # fmt: skip
_NEEDED: Final = ("debug_info", "debug_abbrev", "debug_line")


class SourceLines:
    """Lines of an image, by offset.

    Args:
        rows: Where each row of the line table begins, ascending, and its ``file:line``; empty where no code follows.
    """

    def __init__(self, rows: list[tuple[int, str]]) -> None:
        self._starts = [start for start, _ in rows]
        self._lines = [line for _, line in rows]

    def at(self, offset: int) -> str:
        """``file:line`` of the code at an offset from the image's base; empty where it is not known."""
        index = bisect_right(self._starts, offset) - 1
        return self._lines[index] if index >= 0 else ""


def source_lines(image: LoadedImage) -> SourceLines:
    """The lines of an image; damaged or missing information is no lines."""
    if image.pe is None or find_spec("elftools") is None:
        return SourceLines([])
    data, base = bytes(image.source), image.pe.image_base
    sections: dict[str, bytes] = {}
    for section in image.pe.sections:
        name = section_name(data, section.name).removeprefix(".")
        if name in _SECTIONS:
            start = section.pointer_to_raw_data
            size = min(section.size_of_raw_data, section.virtual_size or section.size_of_raw_data)
            sections[name] = data[start : start + size]
    if any(name not in sections for name in _NEEDED) or sum(map(len, sections.values())) > _LARGEST:
        return SourceLines([])
    try:
        return SourceLines(sorted(_rows(sections, base)))
    except Exception:  # a parser of others, given a file of others: a report is not to fail for it
        return SourceLines([])


def _rows(sections: dict[str, bytes], base: int) -> list[tuple[int, str]]:
    from elftools.dwarf.dwarfinfo import DebugSectionDescriptor, DwarfConfig, DWARFInfo

    described: list[Any] = [
        DebugSectionDescriptor(BytesIO(sections[name]), f".{name}", 0, len(sections[name]), 0)
        if name in sections
        else None
        for name in _SECTIONS
    ]
    information: Any = DWARFInfo(DwarfConfig(True, "x64", 8), *described)
    rows: list[tuple[int, str]] = []
    for unit in information.iter_CUs():
        program = information.line_program_for_CU(unit)
        if program is None:
            continue
        first = 0 if program["version"] >= 5 else 1
        files = [entry.name.decode("utf-8", "replace") for entry in program["file_entry"]]
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            number = state.file - first
            known = 0 <= number < len(files) and not state.end_sequence
            rows.append((state.address - base, f"{files[number]}:{state.line}" if known else ""))
    return rows
