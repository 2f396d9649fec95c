"""One row of a memory map as text has it: checked numbers in, a descriptor out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tdvfsh.errors import FormatError
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi import memory
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, align_down, align_up

ADDRESS_LIMIT: Final = 1 << 64
RAM_ATTRIBUTE: Final = memory.EFI_MEMORY_UC | memory.EFI_MEMORY_WC | memory.EFI_MEMORY_WT | memory.EFI_MEMORY_WB
"""What RAM has where a form knows no attributes."""
_USABLE: Final = (EfiMemoryType.EfiConventionalMemory, EfiMemoryType.EfiUnacceptedMemoryType)
_ESCAPE: Final = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0e-\x1b\x1f\x7f]")  # what does not end a line


def clean_lines(text: str) -> list[str]:
    """The lines of a log without a terminal's escape sequences and other control characters."""
    if "\x1b" in text:
        text = _ESCAPE.sub("", text)
    return _CONTROL.sub(" ", text).splitlines()


def descriptor(
    kind: int, start: int, end: int, pages: int, attribute: int, *, path: str, line: int
) -> MemoryDescriptor:
    """One row, whose last byte ``end`` and page count must say the same.

    Raises:
        FormatError: They do not, or a number has more than 64 bits.
    """
    if start % PAGE_SIZE or pages == 0 or end != start + (pages << PAGE_SHIFT) - 1 or end >= ADDRESS_LIMIT:
        raise FormatError(path, f"line {line}: {start:#x}-{end:#x} is not a range of {pages:#x} pages")
    if attribute >= ADDRESS_LIMIT:
        raise FormatError(path, f"line {line}: attribute {attribute:#x} has more than 64 bits")
    return MemoryDescriptor(kind, start, pages, attribute)


def loose_descriptor(kind: int, start: int, end: int, *, path: str, line: int) -> MemoryDescriptor | None:
    """Bytes ``[start, end)`` of a form that knows no pages: usable ranges shrink to whole pages, others grow to them.

    Returns:
        None where nothing is left of it.

    Raises:
        FormatError: It ends before it begins, or beyond 64 bits.
    """
    if not start < end <= ADDRESS_LIMIT:
        raise FormatError(path, f"line {line}: the range {start:#x}-{end - 1:#x} is empty")
    usable = kind in _USABLE
    low, high = (align_up, align_down) if usable else (align_down, align_up)
    start, end = low(start, PAGE_SIZE), high(end, PAGE_SIZE)
    if start >= end:
        return None
    return MemoryDescriptor(kind, start, (end - start) >> PAGE_SHIFT, RAM_ATTRIBUTE if usable else 0)


def without_shared_pages(descriptors: Iterable[MemoryDescriptor]) -> list[MemoryDescriptor]:
    """Where two ranges share a page because neither ends at one, the lower keeps it."""
    kept: list[MemoryDescriptor] = []
    for entry in sorted(descriptors, key=lambda entry: entry.physical_start):
        if kept and kept[-1].physical_end - entry.physical_start == PAGE_SIZE:
            start, pages = kept[-1].physical_end, entry.number_of_pages - 1
            entry = entry._replace(physical_start=start, number_of_pages=pages)
        if entry.number_of_pages:
            kept.append(entry)
    return kept
