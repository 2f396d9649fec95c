"""What a real EFI stub put into memory, read from the journal of its calls.

A pool buffer is the e820 overflow (``setup_data``) where its size is that of a header and whole entries, and it stays.

Source: the stub's own requests as tdvfsh/loaders/efi_stub.py lists them; sizes tell them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import Placement
from tdvfsh.trace import TraceRecord
from tdvfsh.uefi.guids import LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID, guid_name
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, pages_for

_SETUP_DATA_HEADER: Final = 16
_E820_ENTRY: Final = 20
_BELOW_4G: Final = 0xFFFFFFFF
_TRAMPOLINE_PAGES: Final = 2
_CODE: Final = EfiMemoryType.EfiLoaderCode
_DATA: Final = EfiMemoryType.EfiLoaderData


def in_order(records: Sequence[TraceRecord], *lists: Sequence[Placement]) -> list[Placement]:
    """Several lists of placements, each in its own order, as one in the order of the journal's calls."""
    numbered: list[tuple[int, Placement]] = []
    for placements in lists:
        position = 0
        for placement in placements:
            position = next(
                (at for at in range(position, len(records)) if _made(records[at], placement.start)), position
            )
            numbered.append((position, placement))
    return [placement for _, placement in sorted(numbered, key=lambda entry: entry[0])]


def _made(record: TraceRecord, start: int) -> bool:
    return start in (record.results.get("memory"), record.results.get("buffer"), record.results.get("image_base"))


def stub_placements(records: Sequence[TraceRecord], files: BootFiles, caller: str) -> list[Placement]:
    """Placements of the stub, in the order in which it made them; a stub may be started more than once.

    Args:
        records: The journal from StartImage on.
        files: What was booted.
        caller: The stub's name in the journal.
    """
    earlier: list[Placement] = []
    found: list[Placement] = []
    pools: dict[int, TraceRecord] = {}
    table = guid_name(LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID)
    for record in records:
        if record.service == "StartImage":
            earlier, found = earlier + found, []
        if record.caller != caller or record.status is not SUCCESS:
            continue
        if record.service == "AllocatePages":
            placement = _placement(record, files, found)
            if placement is not None:
                found.append(placement)
        elif record.service == "AllocatePool":
            buffer = _number(record.results.get("buffer"))
            pools[buffer] = record
            size = _number(record.arguments.get("size"))
            kept = record.arguments.get("pool_type") == _DATA.name and any(entry.what == "kernel" for entry in found)
            if kept and size > _SETUP_DATA_HEADER and (size - _SETUP_DATA_HEADER) % _E820_ENTRY == 0:
                found.append(Placement("setup_data", buffer, buffer + size, _DATA))
        elif record.service == "FreePool":
            start = _number(record.arguments.get("buffer"))
            found = [entry for entry in found if entry.what != "setup_data" or entry.start != start]
        elif record.service == "InstallConfigurationTable" and record.arguments.get("guid") == table:
            start = _number(record.arguments.get("table"))
            if start in pools:
                size = _number(pools[start].arguments.get("size"))
                found.append(Placement("unaccepted_table", start, start + size, EfiMemoryType.EfiACPIReclaimMemory))
        elif record.service == "FreePages":
            start = _number(record.arguments.get("memory"))
            for placement in found:
                if placement.start == start:
                    placement.freed = True
    return earlier + found


def _placement(record: TraceRecord, files: BootFiles, found: Sequence[Placement]) -> Placement | None:
    pages = _number(record.arguments.get("pages"))
    start = _number(record.results.get("memory"))
    memory_type = record.arguments.get("memory_type")
    known = {placement.what for placement in found}
    end = start + (pages << PAGE_SHIFT)
    if memory_type == _CODE.name and pages << PAGE_SHIFT == files.kernel.kernel_buffer_size:
        return Placement("kernel", start, end, _CODE)
    if memory_type != _DATA.name:
        return None
    if files.initrd_size and pages == pages_for(files.initrd_size) and "kernel" in known:
        return Placement("initrd", start, start + files.initrd_size, _DATA)
    if pages << PAGE_SHIFT == PAGE_SIZE and "boot_params" not in known:
        return Placement("boot_params", start, end, _DATA)
    if pages == _TRAMPOLINE_PAGES and record.arguments.get("memory") == _BELOW_4G:
        return Placement("trampoline", start, end, _DATA)
    return None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
