"""Memory maps as users have them: the Shell's ``memmap`` and ``memmap -sfo``, and a Linux kernel's boot messages.

What boot loaders print is in :mod:`tdvfsh.formats.maps.loader_maps`, e820 maps are in
:mod:`tdvfsh.formats.maps.e820_text`.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/MemMap.c (both forms); Linux drivers/firmware/efi/efi.c
efi_md_typeattr_format() at 6.12, arch/x86/platform/efi/efi.c print_efi_memmap() of 2.6 to 4.14.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from itertools import pairwise

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.maps.e820_text import E820_DIALECTS, read_linux
from tdvfsh.formats.maps.loader_maps import read_efidebug, read_lsefimmap
from tdvfsh.formats.maps.log_text import read_text
from tdvfsh.formats.maps.rows import clean_lines, descriptor
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi import memory
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import PAGE_SHIFT, parse_decimal

_MOST_ROWS: Final = 1 << 16

_TABLE_ROW: Final = re.compile(
    r"(?:^|[\s>|:\]])(?P<type>[A-Za-z_]+|[0-9a-fA-F]{8}) +(?P<start>[0-9A-F]{16})-(?P<end>[0-9A-F]{16}) "
    r"(?P<pages>[0-9A-F]{16}) (?P<attribute>[0-9A-F]{16})\b"
)
_EFI_LINE: Final = re.compile(r"\befi: mem(?P<index>\d+):", re.IGNORECASE)
_EFI_RANGE: Final = r"range=\[0x(?P<start>[0-9a-f]+)-0x(?P<end>[0-9a-f]+)(?P<close>[\])])"
_EFI_ROW: Final = re.compile(
    r"\befi: mem(?P<index>\d+): \[(?P<type>[^|\]]+)\|(?P<flags>[^\]]*)\] +" + _EFI_RANGE, re.IGNORECASE
)
_EFI_ROW_OLD: Final = re.compile(
    r"\befi: mem(?P<index>\d+): (?P<type>type *= *\d+), (?P<flags>attr=0x[0-9a-f]+), +" + _EFI_RANGE, re.IGNORECASE
)
"""Up to Linux 3.17: a type's number, and the attribute's."""
_ARM64_ROW: Final = re.compile(r"\befi: +0x[0-9a-f]+-0x[0-9a-f]+ \[")
_TYPE_NUMBER: Final = re.compile(r"type *[ =] *(\d+)")

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
_LABELS: Final = {kind.label: kind for kind in EfiMemoryType}
_SFO_NAMES: Final = {kind.sfo_name: kind for kind in EfiMemoryType}


class MapReading(NamedTuple):
    """A memory map that was read from text.

    Attributes:
        descriptors: In the order of the text.
        form: What the rows are: ``'efi: mem' lines``, ``memmap`` …
        notes: What a user should know of how it was read.
    """

    descriptors: list[MemoryDescriptor]
    form: str
    notes: tuple[str, ...] = ()


def parse_memory_map(view: Buffer | ByteSource, path: str) -> list[MemoryDescriptor]:
    """The descriptors of :func:`read_memory_map`.

    Raises:
        FormatError: As there.
    """
    return read_memory_map(view, path).descriptors


def read_memory_map(view: Buffer | ByteSource, path: str) -> MapReading:
    """Read a memory map of any of the known forms, in the order of the file.

    A log often holds several, as a kernel's ``efi: mem`` and its e820 lines: what says more wins, and where that is
    there but not understood nothing else is taken instead.

    Raises:
        FormatError: No such map is in it, a line is not understood or contradicts itself, or ranges overlap.
    """
    source = ByteSource(view, path)
    text = read_text(source)
    found = parse_memmap_sfo(text, path)
    if found:
        return _reading(found, "memmap -sfo", path)
    lines = clean_lines(text)
    for name, parse in _EFI_FORMS:
        found = parse(lines, path)
        if found:
            notes = _lost_rows(lines) if parse is _efi_lines else ()
            return _reading(found, name, path, notes)
    for dialect in E820_DIALECTS:
        found = dialect.read(lines, path)
        if found:
            note = f"{dialect.name} know neither firmware's own memory nor attributes: all of it counts as they say"
            return _reading(found, dialect.name, path, (note,))
    _refuse_arm64(lines, path)
    raise FormatError(
        path,
        "not a memory map: neither memmap, memmap -sfo, 'efi: mem', lsefimmap, efidebug memmap nor e820 lines of "
        "Linux, Xen, tboot, GRUB, td-shim or /proc/iomem",
    )


def _reading(found: list[MemoryDescriptor], form: str, path: str, notes: tuple[str, ...] = ()) -> MapReading:
    _refuse_overlaps(found, path)
    return MapReading(found, form, notes)


def parse_memmap(text: str, path: str) -> list[MemoryDescriptor]:
    """The rows of ``memmap``'s table; what stands around them is passed over.

    Raises:
        FormatError: An unknown type, or a row whose numbers contradict each other.
    """
    return _memmap_rows(clean_lines(text), path)


def _memmap_rows(lines: Sequence[str], path: str) -> list[MemoryDescriptor]:
    descriptors = []
    for number, line in enumerate(lines, 1):
        if match := _TABLE_ROW.search(line):
            kind = _table_type(match["type"], _LABELS, path, number)
            values = (int(match[name], 16) for name in ("start", "end", "pages", "attribute"))
            descriptors.append(descriptor(kind, *values, path=path, line=number))
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
        descriptors.append(descriptor(kind, start, end, pages, attribute, path=path, line=number))
    return descriptors


def parse_efi_lines(text: str, path: str) -> list[MemoryDescriptor]:
    """The ``efi: memNN:`` lines of a kernel with ``efi=debug``: the first list in the log, in firmware's order.

    Ends are exclusive where the range closes with ``)``, as up to Linux 4.0, and inclusive where with ``]``.

    Raises:
        FormatError: A line of unknown form, an unknown type or a range that is not made of pages.
    """
    return _efi_lines(clean_lines(text), path)


def _efi_lines(lines: Sequence[str], path: str) -> list[MemoryDescriptor]:
    descriptors: list[MemoryDescriptor] = []
    for number, line in enumerate(lines, 1):
        if not _EFI_LINE.search(line):
            continue
        match = _EFI_ROW.search(line) or _EFI_ROW_OLD.search(line)
        if match is None:
            raise FormatError(
                path,
                f"line {number}: an 'efi: mem' line of unknown form: {line.strip()[:80]!r}; without these lines the "
                "e820 lines of the log would be read",
            )
        if descriptors and not match["index"].strip("0"):
            break  # the runtime map, or another boot
        start, end = int(match["start"], 16), int(match["end"], 16)
        last = end if match["close"] == "]" else end - 1
        kind = _kernel_type(match["type"].strip(), path, number)
        attribute = _kernel_attribute(match["flags"])
        pages = (last + 1 - start) >> PAGE_SHIFT
        descriptors.append(descriptor(kind, start, last, max(pages, 0), attribute, path=path, line=number))
    return descriptors


def _lost_rows(lines: Sequence[str]) -> tuple[str, ...]:
    """A note where numbers are missing from the first list: the log has lost lines."""
    seen: list[int] = []
    for line in lines:
        match = _EFI_LINE.search(line)
        if match is None:
            continue
        index = parse_decimal(match["index"]) or 0
        if seen and index == 0:
            break
        seen.append(index)
    missing = sorted(set(range(max(seen, default=0) + 1 if len(seen) < _MOST_ROWS else 0)) - set(seen))
    if not missing:
        return ()
    return (f"the log has lost 'efi: mem' lines: {len(missing)} of {max(seen) + 1}, the first is mem{missing[0]:02}",)


def _refuse_arm64(lines: Sequence[str], path: str) -> None:
    """Refuse arm64's form of the map: a TD cannot run on such a machine."""
    for number, line in enumerate(lines, 1):
        if _ARM64_ROW.search(line):
            raise FormatError(path, f"line {number}: the memory map of an arm64 machine; a TD is x86-64")


def parse_e820_lines(text: str, path: str) -> list[MemoryDescriptor]:
    """The ``BIOS-e820:`` lines of a kernel's log; e820 knows no attributes, so RAM gets UC, WC, WT and WB.

    Usable ranges shrink to whole pages, others grow to them.

    Raises:
        FormatError: An unknown type or a range that ends before it begins.
    """
    return read_linux(clean_lines(text), path)


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
        if name.lower().startswith("attr="):
            return int(name[len("attr=0x") :], 16)
        attribute |= _KERNEL_FLAGS.get(name, 0)
    return attribute


def _refuse_overlaps(descriptors: list[MemoryDescriptor], path: str) -> None:
    ordered = sorted(descriptors, key=lambda descriptor: descriptor.physical_start)
    for lower, upper in pairwise(ordered):
        if lower.physical_end > upper.physical_start:
            raise FormatError(
                path,
                f"ranges overlap: {lower.physical_start:#x}-{lower.physical_end - 1:#x} and "
                f"{upper.physical_start:#x}-{upper.physical_end - 1:#x}",
            )


_EFI_FORMS: Final = (
    ("memmap", _memmap_rows),
    ("'efi: mem' lines", _efi_lines),
    ("GRUB's lsefimmap", read_lsefimmap),
    ("U-Boot's efidebug memmap", read_efidebug),
)
