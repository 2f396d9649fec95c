"""Memory maps as people have them: the Shell's ``memmap`` and ``memmap -sfo``, and a Linux kernel's boot messages.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/MemMap.c (both forms); Linux drivers/firmware/efi/efi.c
efi_md_typeattr_format() and arch/x86/kernel/e820.c e820_print_type() at 6.12.
"""

from __future__ import annotations

import csv
import re
from itertools import pairwise
from typing import Final

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.uefi import memory
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE, align_down, align_up, parse_decimal

MAX_TEXT_SIZE: Final = 64 * MIB
_ADDRESS_LIMIT: Final = 1 << 64
_RAM_ATTRIBUTE: Final = memory.EFI_MEMORY_UC | memory.EFI_MEMORY_WC | memory.EFI_MEMORY_WT | memory.EFI_MEMORY_WB

_TABLE_ROW: Final = re.compile(
    r"(?P<type>[A-Za-z_]+|[0-9a-fA-F]{8}) +(?P<start>[0-9A-F]{16})-(?P<end>[0-9A-F]{16}) "
    r"(?P<pages>[0-9A-F]{16}) (?P<attribute>[0-9A-F]{16})\s*"
)
_EFI_ROW: Final = re.compile(
    r"efi: mem(?P<index>\d+): \[(?P<type>[^|\]]+)\|(?P<flags>[^\]]*)\] "
    r"range=\[0x(?P<start>[0-9a-f]+)-0x(?P<end>[0-9a-f]+)\]"
)
_E820_ROW: Final = re.compile(
    r"BIOS-e820: \[mem 0x(?P<start>[0-9a-f]+)-0x(?P<end>[0-9a-f]+)\] (?P<type>[A-Za-z][A-Za-z0-9 ()]*)"
)
_TYPE_NUMBER: Final = re.compile(r"type[ =](\d+)")

_KERNEL_TYPES: Final = {
    "Reserved": EfiMemoryType.EfiReservedMemoryType,
    "Loader Code": EfiMemoryType.EfiLoaderCode,
    "Loader Data": EfiMemoryType.EfiLoaderData,
    "Boot Code": EfiMemoryType.EfiBootServicesCode,
    "Boot Data": EfiMemoryType.EfiBootServicesData,
    "Runtime Code": EfiMemoryType.EfiRuntimeServicesCode,
    "Runtime Data": EfiMemoryType.EfiRuntimeServicesData,
    "Conventional": EfiMemoryType.EfiConventionalMemory,
    "Conventional Memory": EfiMemoryType.EfiConventionalMemory,
    "Unusable": EfiMemoryType.EfiUnusableMemory,
    "Unusable Memory": EfiMemoryType.EfiUnusableMemory,
    "ACPI Reclaim": EfiMemoryType.EfiACPIReclaimMemory,
    "ACPI Reclaim Memory": EfiMemoryType.EfiACPIReclaimMemory,
    "ACPI Mem NVS": EfiMemoryType.EfiACPIMemoryNVS,
    "ACPI Memory NVS": EfiMemoryType.EfiACPIMemoryNVS,
    "MMIO": EfiMemoryType.EfiMemoryMappedIO,
    "Memory Mapped I/O": EfiMemoryType.EfiMemoryMappedIO,
    "MMIO Port": EfiMemoryType.EfiMemoryMappedIOPortSpace,
    "MMIO Port Space": EfiMemoryType.EfiMemoryMappedIOPortSpace,
    "PAL Code": EfiMemoryType.EfiPalCode,
    "Persistent": EfiMemoryType.EfiPersistentMemory,
    "Persistent Memory": EfiMemoryType.EfiPersistentMemory,
    "Unaccepted": EfiMemoryType.EfiUnacceptedMemoryType,
    "Unaccepted Memory": EfiMemoryType.EfiUnacceptedMemoryType,
}
_KERNEL_FLAGS: Final = {
    "RUN": memory.EFI_MEMORY_RUNTIME,
    "HP": memory.EFI_MEMORY_HOT_PLUGGABLE,
    "MR": memory.EFI_MEMORY_MORE_RELIABLE,
    "CC": memory.EFI_MEMORY_CPU_CRYPTO,
    "SP": memory.EFI_MEMORY_SP,
    "NV": memory.EFI_MEMORY_NV,
    "XP": memory.EFI_MEMORY_XP,
    "RP": memory.EFI_MEMORY_RP,
    "WP": memory.EFI_MEMORY_WP,
    "RO": memory.EFI_MEMORY_RO,
    "UCE": memory.EFI_MEMORY_UCE,
    "WB": memory.EFI_MEMORY_WB,
    "WT": memory.EFI_MEMORY_WT,
    "WC": memory.EFI_MEMORY_WC,
    "UC": memory.EFI_MEMORY_UC,
}
_E820_TYPES: Final = {
    "usable": EfiMemoryType.EfiConventionalMemory,
    "reserved": EfiMemoryType.EfiReservedMemoryType,
    "device reserved": EfiMemoryType.EfiReservedMemoryType,
    "soft reserved": EfiMemoryType.EfiReservedMemoryType,
    "acpi data": EfiMemoryType.EfiACPIReclaimMemory,
    "acpi nvs": EfiMemoryType.EfiACPIMemoryNVS,
    "unusable": EfiMemoryType.EfiUnusableMemory,
    "persistent": EfiMemoryType.EfiPersistentMemory,
}
_LABELS: Final = {kind.label: kind for kind in EfiMemoryType}
_SFO_NAMES: Final = {kind.sfo_name: kind for kind in EfiMemoryType}


def parse_memory_map(view: Buffer | ByteSource, path: str) -> list[MemoryDescriptor]:
    """Read a memory map of any of the known forms, in the order of the file.

    A kernel's log often holds both its ``efi: mem`` and its e820 lines; the former say more and win.

    Raises:
        FormatError: No such map is in it, a line contradicts itself, or ranges overlap.
    """
    source = ByteSource(view, path)
    if source.size > MAX_TEXT_SIZE:
        raise FormatError(path, f"no memory map: {source.size} bytes are too many")
    text = decode_text(source.peek(0, source.size))
    for parse in (parse_memmap_sfo, parse_memmap, parse_efi_lines, parse_e820_lines):
        descriptors = parse(text, path)
        if descriptors:
            _refuse_overlaps(descriptors, path)
            return descriptors
    raise FormatError(path, "no memory map: neither memmap, memmap -sfo, 'efi: mem' nor 'BIOS-e820' lines")


def decode_text(data: bytes) -> str:
    """Text that the Shell or a terminal wrote: UTF-16 or UTF-8 with a mark, UTF-16 without one, or single bytes."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "replace")
    if len(data) >= 4 and data[1:64:2].count(0) == len(data[1:64:2]):
        return data.decode("utf-16-le", "replace")
    return data.decode("latin-1")


def parse_memmap(text: str, path: str) -> list[MemoryDescriptor]:
    """The rows of ``memmap``'s table; what stands around them is passed over.

    Raises:
        FormatError: An unknown type, or a row whose numbers contradict each other.
    """
    descriptors = []
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE_ROW.fullmatch(line):
            kind = _table_type(match["type"], _LABELS, path, number)
            values = (int(match[name], 16) for name in ("start", "end", "pages", "attribute"))
            descriptors.append(_descriptor(kind, *values, path=path, line=number))
    return descriptors


def parse_memmap_sfo(text: str, path: str) -> list[MemoryDescriptor]:
    """The ``MemoryMap`` rows of ``memmap -sfo``.

    Raises:
        FormatError: A row with other columns, an unknown type, or numbers that contradict each other.
    """
    descriptors = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("MemoryMap,"):
            continue
        try:
            (row,) = csv.reader([line.rstrip()], skipinitialspace=True, strict=True)
            _, name, *numbers = row
            start, end, pages, attribute = (int(field, 16) for field in numbers)
        except (ValueError, csv.Error):
            raise FormatError(path, f"line {number}: not a MemoryMap row with type and four hex numbers") from None
        kind = _table_type(name, _SFO_NAMES, path, number)
        descriptors.append(_descriptor(kind, start, end, pages, attribute, path=path, line=number))
    return descriptors


def parse_efi_lines(text: str, path: str) -> list[MemoryDescriptor]:
    """The ``efi: memNN:`` lines of a kernel with ``efi=debug``: the first list in the log, in firmware's order.

    Raises:
        FormatError: An unknown type or a range that is not made of pages.
    """
    descriptors: list[MemoryDescriptor] = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _EFI_ROW.search(line)
        if match is None:
            continue
        if descriptors and not match["index"].strip("0"):
            break  # the runtime map, or another boot
        start, end = int(match["start"], 16), int(match["end"], 16)
        kind = _kernel_type(match["type"].strip(), path, number)
        attribute = _kernel_attribute(match["flags"])
        pages = (end + 1 - start) >> PAGE_SHIFT
        descriptors.append(_descriptor(kind, start, end, pages, attribute, path=path, line=number))
    return descriptors


def parse_e820_lines(text: str, path: str) -> list[MemoryDescriptor]:
    """The ``BIOS-e820:`` lines of a kernel's log; e820 knows no attributes, so RAM gets UC, WC, WT and WB.

    Usable ranges shrink to whole pages, others grow to them.

    Raises:
        FormatError: An unknown type or a range that ends before it begins.
    """
    descriptors: list[MemoryDescriptor] = []
    seen: set[int] = set()
    for number, line in enumerate(text.splitlines(), 1):
        match = _E820_ROW.search(line)
        if match is None:
            continue
        start, end = int(match["start"], 16), int(match["end"], 16) + 1
        if start in seen:
            break  # a second boot in the same log
        seen.add(start)
        name = match["type"].split("(")[0].strip().lower()
        kind = _E820_TYPES.get(name)
        if kind is None:
            raise FormatError(path, f"line {number}: unknown e820 type {name!r}")
        if not start < end <= _ADDRESS_LIMIT:
            raise FormatError(path, f"line {number}: the range {start:#x}-{end - 1:#x} is empty")
        usable = kind is EfiMemoryType.EfiConventionalMemory
        low, high = (align_up, align_down) if usable else (align_down, align_up)
        start, end = low(start, PAGE_SIZE), high(end, PAGE_SIZE)
        if start < end:
            attribute = _RAM_ATTRIBUTE if usable else 0
            descriptors.append(MemoryDescriptor(kind, start, (end - start) >> PAGE_SHIFT, attribute))
    return _without_shared_pages(descriptors)


def _without_shared_pages(descriptors: list[MemoryDescriptor]) -> list[MemoryDescriptor]:
    """Where two ranges share a page because neither ends at one, the lower keeps it."""
    kept: list[MemoryDescriptor] = []
    for descriptor in sorted(descriptors, key=lambda descriptor: descriptor.physical_start):
        if kept and kept[-1].physical_end - descriptor.physical_start == PAGE_SIZE:
            start, pages = kept[-1].physical_end, descriptor.number_of_pages - 1
            descriptor = descriptor._replace(physical_start=start, number_of_pages=pages)
        if descriptor.number_of_pages:
            kept.append(descriptor)
    return kept


def _table_type(name: str, names: dict[str, EfiMemoryType], path: str, line: int) -> int:
    if name in names:
        return names[name]
    if len(name) == 8 and re.fullmatch(r"[0-9a-fA-F]{8}", name):  # an OEM or OS loader type
        return int(name, 16)
    raise FormatError(path, f"line {line}: unknown memory type {name!r}")


def _kernel_type(name: str, path: str, line: int) -> int:
    kind = _KERNEL_TYPES.get(name)
    if kind is not None:
        return kind
    if match := _TYPE_NUMBER.fullmatch(name):
        number = parse_decimal(match[1])
        if number is not None:
            return number & memory.MEMORY_TYPE_LAST
    raise FormatError(path, f"line {line}: unknown memory type {name!r}")


def _kernel_attribute(flags: str) -> int:
    attribute = 0
    for flag in flags.split("|"):
        name = flag.strip()
        if name.startswith("attr="):
            return int(name.removeprefix("attr=0x"), 16)
        attribute |= _KERNEL_FLAGS.get(name, 0)
    return attribute


def _descriptor(
    kind: int, start: int, end: int, pages: int, attribute: int, *, path: str, line: int
) -> MemoryDescriptor:
    """One row, whose end and page count must say the same."""
    if start % PAGE_SIZE or pages == 0 or end != start + (pages << PAGE_SHIFT) - 1 or end >= _ADDRESS_LIMIT:
        raise FormatError(path, f"line {line}: {start:#x}-{end:#x} is not a range of {pages:#x} pages")
    if attribute >= _ADDRESS_LIMIT:
        raise FormatError(path, f"line {line}: attribute {attribute:#x} has more than 64 bits")
    return MemoryDescriptor(kind, start, pages, attribute)


def _refuse_overlaps(descriptors: list[MemoryDescriptor], path: str) -> None:
    ordered = sorted(descriptors, key=lambda descriptor: descriptor.physical_start)
    for lower, upper in pairwise(ordered):
        if lower.physical_end > upper.physical_start:
            raise FormatError(
                path,
                f"ranges overlap: {lower.physical_start:#x}-{lower.physical_end - 1:#x} and "
                f"{upper.physical_start:#x}-{upper.physical_end - 1:#x}",
            )
