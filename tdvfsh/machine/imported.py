"""Maps of other machines to start from: firmware memory maps as printed, and TD HOB lists as dumped."""

from __future__ import annotations

import sys
from functools import cache
from itertools import pairwise

from tdvfsh.dxe.memory.import_map import recognise, split_ram
from tdvfsh.errors import FormatError, UsageError
from tdvfsh.formats.mapped import Buffer, ByteSource, open_mapped
from tdvfsh.formats.maps.log_text import MAX_TEXT_SIZE
from tdvfsh.formats.maps.memory_maps import MapReading, read_memory_map
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.td.hob import TdHobEntry, parse_td_hob_list
from tdvfsh.td.ram import RamLayout
from tdvfsh.uefi.hob import HOB_HANDOFF, HOB_HEADER, HobType
from tdvfsh.uefi.memory import AddressSpan, EfiMemoryType, MemoryDescriptor
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import PAGE_SIZE

_UNACCEPTED: Final = EfiMemoryType.EfiUnacceptedMemoryType
_CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory
_MAX_HOB_LIST: Final = 1 << 20
STANDARD_INPUT: Final = "-"
SHOWN_INPUT: Final = "standard input"


@dataclass(frozen=True, slots=True)
class ImportedMap:
    """A machine as a file describes it.

    Attributes:
        path: The file.
        ram: Its RAM.
        accepted: The part of it that is accepted, ascending.
        descriptors: The firmware's memory map; None for a TD HOB list, which says what the VMM hands over and leaves
            the rest to the firmware.
        hob_entries: A TD HOB list's entries; empty for a memory map.
        firmware: Name of the recorded firmware whose layout the map has, or None.
        form: What the map's rows are, as ``'efi: mem' lines``.
        notes: What a user should know of how it was read.
    """

    path: str
    ram: RamLayout
    accepted: tuple[AddressSpan, ...]
    descriptors: tuple[MemoryDescriptor, ...] | None
    hob_entries: tuple[TdHobEntry, ...] = ()
    firmware: str | None = None
    form: str = "TD HOB list"
    notes: tuple[str, ...] = ()


def import_machine(path: str, td: bool = True) -> ImportedMap:
    """Read a memory map of any form that ``read_memory_map`` of ``formats.maps`` knows, or a TD HOB list.

    RAM is what the allocator's map holds, Reserved and NVS pieces of it included, and what is unaccepted.

    Args:
        path: The file; ``-`` is standard input, which is read once.
        td: False takes unaccepted ranges for accepted ones: the machine is a plain VM.

    Raises:
        HostError: It cannot be read.
        FormatError: It holds no map, or an invalid one: overlaps, no RAM, no memory to allocate from.
    """
    if path == STANDARD_INPUT:
        return _from_view(SHOWN_INPUT, memoryview(standard_input()), td)
    with open_mapped(path) as mapped:
        return _from_view(path, mapped.view, td)


@cache
def standard_input() -> bytes:
    """All of standard input: it can be read only once, and a command may start several machines.

    Raises:
        UsageError: It is a terminal.
    """
    if sys.stdin.isatty():
        raise UsageError("-: standard input is a terminal; give a file, or pipe a map into it")
    return sys.stdin.buffer.read(MAX_TEXT_SIZE + 1)


def _from_view(path: str, view: Buffer, td: bool) -> ImportedMap:
    source = ByteSource(view, path)
    head = source.peek(0, HOB_HEADER.size)
    if len(head) == HOB_HEADER.size and HOB_HEADER.unpack(head) == (HobType.HANDOFF, HOB_HANDOFF.size, 0):
        return _from_hob_list(path, source.peek(0, _MAX_HOB_LIST))
    reading = read_memory_map(source, path)
    if not td:
        plain = [
            entry._replace(memory_type=_CONVENTIONAL, attribute=0) if entry.memory_type == _UNACCEPTED else entry
            for entry in reading.descriptors
        ]
        reading = reading._replace(descriptors=plain)
    return _from_reading(path, reading)


def _from_reading(path: str, reading: MapReading) -> ImportedMap:
    descriptors = reading.descriptors
    ram, outside = split_ram(descriptors)
    accepted = [AddressSpan(entry.physical_start, entry.physical_end) for entry in ram]
    unaccepted = [
        AddressSpan(entry.physical_start, entry.physical_end) for entry in outside if entry.memory_type == _UNACCEPTED
    ]
    if not accepted:
        raise FormatError(path, "the map has no RAM that is accepted: no firmware could have printed it")
    if not any(entry.memory_type == _CONVENTIONAL for entry in ram):
        raise FormatError(path, "the map has no Conventional memory: nothing could be loaded")
    known = recognise(ram)
    return ImportedMap(
        path,
        RamLayout.of_spans([*accepted, *unaccepted]),
        RamLayout.of_spans(accepted).spans,
        tuple(descriptors),
        firmware=None if known is None else known.model.name,
        form=reading.form,
        notes=reading.notes,
    )


def _from_hob_list(path: str, data: bytes) -> ImportedMap:
    entries = parse_td_hob_list(data)
    if isinstance(entries, EfiStatus):
        raise FormatError(path, "a TD HOB list that SEC refuses: a length, type or attribute in it is invalid")
    ragged = next((entry for entry in entries if entry.start % PAGE_SIZE or entry.length % PAGE_SIZE), None)
    if ragged is not None:
        raise FormatError(path, f"a TD HOB list with RAM at {ragged.start:#x} that is not made of 4 KiB pages")
    entries = tuple(sorted(entry for entry in entries if entry.length))
    spans = [AddressSpan(entry.start, entry.end) for entry in entries]
    if not spans:
        raise FormatError(path, "a TD HOB list without RAM")
    for lower, upper in pairwise(spans):
        if upper.start < lower.end:
            raise FormatError(path, f"a TD HOB list that names the RAM at {upper.start:#x} twice")
    added = tuple(span for span, entry in zip(spans, entries, strict=True) if not entry.is_unaccepted)
    return ImportedMap(path, RamLayout.of_spans(spans), added, None, entries)
