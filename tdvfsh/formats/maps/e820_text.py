"""e820 maps as kernels, hypervisors and boot loaders print them: types by name or number, ends inclusive or not.

Source: Linux arch/x86/kernel/e820.c (2.6.24, 3.5, 6.12, 7.0); Xen arch/x86/e820.c (4.4, 4.17); tboot common/e820.c;
GRUB grub-core/commands/lsmmap.c 2.12; td-shim's printed hand-off blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from tdvfsh.errors import FormatError
from tdvfsh.formats.maps.rows import loose_descriptor, without_shared_pages
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.units import parse_decimal

_RAM: Final = EfiMemoryType.EfiConventionalMemory
_RESERVED: Final = EfiMemoryType.EfiReservedMemoryType
_NUMBERS: Final = {
    1: _RAM,
    2: _RESERVED,
    3: EfiMemoryType.EfiACPIReclaimMemory,
    4: EfiMemoryType.EfiACPIMemoryNVS,
    5: EfiMemoryType.EfiUnusableMemory,
    7: EfiMemoryType.EfiPersistentMemory,
    8: EfiMemoryType.EfiUnacceptedMemoryType,
    12: EfiMemoryType.EfiPersistentMemory,
}
"""AddressRange types; 8 is what a TDX loader passes on, 12 persistent memory before ACPI 6."""
_NAMES: Final = {
    "usable": _RAM,
    "system ram": _RAM,
    "ram": _RAM,
    "available ram": _RAM,
    "reserved": _RESERVED,
    "reserved ram": _RESERVED,
    "device reserved": _RESERVED,
    "soft reserved": _RESERVED,
    "specific purpose": _RESERVED,
    "kernel reserved": _RESERVED,
    "ram holding firmware code": _RESERVED,
    "address of ram reserved for coreboot tables": _RESERVED,
    "acpi data": EfiMemoryType.EfiACPIReclaimMemory,
    "acpi tables": EfiMemoryType.EfiACPIReclaimMemory,
    "acpi reclaimable ram": EfiMemoryType.EfiACPIReclaimMemory,
    "acpi nvs": EfiMemoryType.EfiACPIMemoryNVS,
    "acpi non-volatile storage": EfiMemoryType.EfiACPIMemoryNVS,
    "acpi non-volatile ram": EfiMemoryType.EfiACPIMemoryNVS,
    "unusable": EfiMemoryType.EfiUnusableMemory,
    "unusable memory": EfiMemoryType.EfiUnusableMemory,
    "ram with detected errors": EfiMemoryType.EfiUnusableMemory,
    "persistent": EfiMemoryType.EfiPersistentMemory,
    "persistent memory": EfiMemoryType.EfiPersistentMemory,
    "persistent ram": EfiMemoryType.EfiPersistentMemory,
    "unaccepted": EfiMemoryType.EfiUnacceptedMemoryType,
    "unaccepted memory": EfiMemoryType.EfiUnacceptedMemoryType,
}
_TYPE_NUMBER: Final = re.compile(r"type(?: |=| = )(0x[0-9a-f]+|\d+)")

_LINUX: Final = re.compile(
    r"BIOS-\w+: \[mem 0x(?P<start>[0-9a-f]+)-0x(?P<last>[0-9a-f]+)\] +(?P<type>[A-Za-z][A-Za-z0-9 ()]*)"
)
_LINUX_GAP: Final = re.compile(r"BIOS-\w+: \[gap 0x[0-9a-f]+-0x[0-9a-f]+\]")
_LINUX_OLD: Final = re.compile(
    r"BIOS-\w+: (?P<start>[0-9a-f]{6,16}) - (?P<end>[0-9a-f]{6,16}) (?:\((?P<type>[^)]*)\)|(?P<number>type \d+))"
)
_XEN: Final = re.compile(r"\(XEN\) +(?:\[[^\]]*\] +)?\[(?P<start>[0-9a-f]+), (?P<last>[0-9a-f]+)\] \((?P<type>[^)]+)\)")
_XEN_OLD: Final = re.compile(
    r"\(XEN\) +(?:\[[^\]]*\] +)?(?P<start>[0-9a-f]{16}) - (?P<end>[0-9a-f]{16}) "
    r"(?:\((?P<type>[^)]+)\)|(?P<number>type \d+))"
)
_TBOOT: Final = re.compile(r"TBOOT: +(?P<start>[0-9a-f]{8,16}) - (?P<end>[0-9a-f]{8,16}) +\((?P<number>\d+)\)")
_GRUB: Final = re.compile(
    r"base_addr = 0x(?P<start>[0-9a-f]+), length = 0x(?P<length>[0-9a-f]+), (?P<type>[A-Za-z][A-Za-z0-9 =-]*)"
)
_TD_SHIM: Final = re.compile(
    r"\b(?P<type>System memory|Unaccepted memory|Unaccepted|Reserved memory|Memory reserved)\s*: "
    r"0x(?P<start>[0-9a-f]+) - 0x(?P<end>[0-9a-f]+) \([A-Z_ ]*\)",
    re.IGNORECASE,
)
_TD_SHIM_NAMES: Final = {
    "system memory": _RAM,
    "unaccepted memory": EfiMemoryType.EfiUnacceptedMemoryType,
    "unaccepted": EfiMemoryType.EfiUnacceptedMemoryType,
    "reserved memory": _RESERVED,
    "memory reserved": _RESERVED,
}
_IOMEM: Final = re.compile(r"(?P<start>[0-9a-f]{8,16})-(?P<last>[0-9a-f]{8,16}) : (?P<type>.+)")
_E820_LINE: Final = re.compile(r"BIOS-e820: *\[?[0-9a-fm]")


class E820Dialect(NamedTuple):
    """One way to print an e820 map: what it is called, and how its lines are read."""

    name: str
    read: Callable[[Sequence[str], str], list[MemoryDescriptor]]


def _rows(patterns: Sequence[re.Pattern[str]]) -> Callable[[Sequence[str], str], list[MemoryDescriptor]]:
    def read(lines: Sequence[str], path: str) -> list[MemoryDescriptor]:
        return without_shared_pages(_ranges(_matches(lines, patterns), path))

    return read


def _matches(lines: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> Iterator[tuple[int, re.Match[str]]]:
    for number, line in enumerate(lines, 1):
        for pattern in patterns:
            if match := pattern.search(line):
                yield number, match
                break


def _ranges(matches: Iterator[tuple[int, re.Match[str]]], path: str) -> list[MemoryDescriptor]:
    found: list[MemoryDescriptor] = []
    seen: set[int] = set()
    for number, match in matches:
        groups = match.groupdict()
        start = int(groups["start"], 16)
        if start in seen:
            break  # a second boot in the same log
        seen.add(start)
        if groups.get("last"):
            end = int(groups["last"], 16) + 1
        else:
            end = int(groups["end"], 16) if groups.get("end") else start + int(groups["length"], 16)
        kind = _kind(groups.get("type") or "", groups.get("number"), path, number)
        entry = loose_descriptor(kind, start, end, path=path, line=number)
        if entry is not None:
            found.append(entry)
    return found


def _kind(name: str, number: str | None, path: str, line: int) -> int:
    """The type of a name, of ``type 20``, or of a bare number; an unknown number is reserved, as to Linux."""
    text = (number if number is not None else name).strip().lower()
    numbered = _TYPE_NUMBER.fullmatch(text)
    if numbered or text.isdecimal():
        digits = numbered[1] if numbered else text
        value = int(digits, 16) if digits.startswith("0x") else parse_decimal(digits)
        return _NUMBERS.get(value if value is not None else 0, _RESERVED)
    bare = text.split("(")[0].strip()
    kind = _NAMES.get(bare)
    if kind is None:
        kind = _TD_SHIM_NAMES.get(bare)
    if kind is None:
        raise FormatError(path, f"line {line}: unknown e820 type {bare!r}")
    return kind


def read_linux(lines: Sequence[str], path: str) -> list[MemoryDescriptor]:
    """``BIOS-e820`` lines of Linux 2.4 to 7.x; ranges that neighbour a ``[gap …]`` need no more than they say.

    Raises:
        FormatError: An unknown type, a range that ends before it begins, or a line of which the form is not known.
    """
    for number, line in enumerate(lines, 1):
        known = _LINUX.search(line) or _LINUX_OLD.search(line) or _LINUX_GAP.search(line)
        if not known and _E820_LINE.search(line):
            raise FormatError(path, f"line {number}: a 'BIOS-e820' line of unknown form: {line.strip()[:80]!r}")
    return _rows((_LINUX, _LINUX_OLD))(lines, path)


def read_iomem(lines: Sequence[str], path: str) -> list[MemoryDescriptor]:
    """``/proc/iomem``: its outermost ranges that are memory of a kind; devices are passed over.

    Raises:
        FormatError: Its addresses are hidden, as they are from users other than root.
    """
    rows = [(number, match) for number, line in enumerate(lines, 1) if (match := _IOMEM.fullmatch(line.rstrip()))]
    ram = [match for _, match in rows if match["type"].lower() == "system ram"]
    if not ram:
        return []
    if not any(int(match["last"], 16) for match in ram):
        raise FormatError(path, "/proc/iomem with all addresses 0: it has to be read as root")
    return without_shared_pages(_ranges(iter([row for row in rows if row[1]["type"].strip().lower() in _NAMES]), path))


E820_DIALECTS: Final = (
    E820Dialect("'BIOS-e820' lines", read_linux),
    E820Dialect("Xen's e820 lines", _rows((_XEN, _XEN_OLD))),
    E820Dialect("tboot's e820 lines", _rows((_TBOOT,))),
    E820Dialect("GRUB's lsmmap", _rows((_GRUB,))),
    E820Dialect("td-shim's printed HOB list", _rows((_TD_SHIM,))),
    E820Dialect("/proc/iomem", read_iomem),
)
"""In the order in which they are tried: a log may hold several."""
