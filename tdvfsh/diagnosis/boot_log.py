"""A boot log: versions of firmware and kernel, command line, vCPUs, memory map."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tdvfsh.diagnosis.facts import NOT_RAM, Facts, Version, ram_facts, version_of
from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.formats.maps.log_text import read_text
from tdvfsh.formats.maps.memory_maps import MapReading, read_memory_map
from tdvfsh.formats.maps.rows import clean_lines
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

_KERNEL: Final = re.compile(r"Linux version (\S+)")
_CMDLINE: Final = re.compile(r"(?:Kernel command line|Command line): (.*)")
_DMI: Final = re.compile(r"DMI: (.*)")
_BIOS: Final = re.compile(r"BIOS (?:edk2-(?:stable)?)?(20\d\d)\.?(\d\d)(?!/)")
_STABLE: Final = re.compile(r"edk2-stable(20\d\d)(\d\d)")
_FIRMWARE: Final = re.compile(r"efi: EFI v[\d.]+ by (.*)")
_TD: Final = re.compile(r"tdx: Guest detected|Memory Encryption Features active: Intel TDX|tdx: Attributes")
_VCPUS: Final = (
    re.compile(r"smp: Brought up \d+ nodes?, (\d+) CPUs?"),
    re.compile(r"(?:smpboot|SMP): Allowing (\d+) CPUs"),
    re.compile(r"CPU topo: Allowing (\d+) present CPUs"),
    re.compile(r"nr_cpu_ids:(\d+)"),
)
_QUOTE: Final = re.compile(r'(?<!\\)"')
_MEMORY: Final = re.compile(r"Memory: (\d+)K/(\d+)K available")
_RAMDISK: Final = re.compile(r"RAMDISK: \[mem 0x([0-9a-f]+)-0x([0-9a-f]+)\]")


@dataclass(frozen=True)
class BootLog:
    """What a log tells.

    Attributes:
        path: Its name.
        lines: Its lines, without control characters.
        kernel: The kernel's version as it says it.
        cmdline: Its command line.
        firmware: Firmware and machine as the kernel names them.
        map: The memory map, or None.
        map_error: Why there is none.
        initrd: ``(start, end)`` of the initrd that the kernel was given, or None.
        facts: What conditions are asked about.
    """

    path: str
    lines: tuple[str, ...]
    kernel: str
    cmdline: str
    firmware: str
    map: MapReading | None
    map_error: str
    initrd: tuple[int, int] | None
    facts: Facts


def read_boot_log(source: ByteSource) -> BootLog:
    """Read a log of the firmware, a boot loader, a kernel or all of them.

    Raises:
        FormatError: It is too large to be one, or empty.
    """
    if not source.size:
        raise FormatError(source.path, "not a log: it is empty")
    lines = clean_lines(read_text(source))
    reading, error = None, ""
    try:
        reading = read_memory_map(source, source.path)
    except FormatError as refusal:
        error = str(refusal).removeprefix(f"{source.path}: ")
    kernel = _first(lines, _KERNEL)
    firmware = "; ".join(text for text in (_first(lines, _FIRMWARE), _first(lines, _DMI)) if text)
    initrd = next((match for line in lines if (match := _RAMDISK.search(line))), None)
    return BootLog(
        path=source.path,
        lines=tuple(lines),
        kernel=kernel,
        cmdline=_unquoted(_first(lines, _CMDLINE)).strip(),
        firmware=firmware,
        map=reading,
        map_error=error,
        initrd=None if initrd is None else (int(initrd[1], 16), int(initrd[2], 16) + 1),
        facts=_facts(lines, kernel, reading),
    )


def _facts(lines: Sequence[str], kernel: str, reading: MapReading | None) -> Facts:
    low_end, memory, unaccepted, table = None, None, None, None
    if reading is not None:
        low_end, unaccepted, table = ram_facts(reading.descriptors)
        memory = sum(entry.size for entry in reading.descriptors if entry.memory_type not in NOT_RAM)
    else:
        match = next((match for line in lines if (match := _MEMORY.search(line))), None)
        memory = None if match is None else int(match[2]) << 10
    vcpus = next((int(match[1]) for pattern in _VCPUS for line in lines if (match := pattern.search(line))), None)
    td = any(_TD.search(line) for line in lines) or bool(unaccepted)
    return Facts(
        td=td if td or kernel else None,
        kernel=version_of(kernel),
        edk2=_edk2(lines),
        vcpus=vcpus,
        low_end=low_end,
        memory=memory,
        unaccepted=unaccepted,
        table=table,
    )


def _edk2(lines: Sequence[str]) -> Version:
    for pattern in (_BIOS, _STABLE):
        for line in lines:
            if match := pattern.search(line):
                return int(match[1]), int(match[2])
    return ()


def _first(lines: Sequence[str], pattern: re.Pattern[str]) -> str:
    return next((match[1] for line in lines if (match := pattern.search(line))), "")


def _unquoted(value: str) -> str:
    """A value up to the quote that ends the record it stands in, as in JSON and in kata's logs."""
    quotes = _QUOTE.findall(value)
    return _QUOTE.split(value, maxsplit=1)[0] if len(quotes) % 2 else value
