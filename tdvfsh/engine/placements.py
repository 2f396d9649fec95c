"""What a real EFI stub put into memory, read from the journal of its calls.

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

_BELOW_4G: Final = 0xFFFFFFFF
_TRAMPOLINE_PAGES: Final = 2
_CODE: Final = EfiMemoryType.EfiLoaderCode
_DATA: Final = EfiMemoryType.EfiLoaderData


def stub_placements(records: Sequence[TraceRecord], files: BootFiles, caller: str) -> list[Placement]:
    """Placements of the stub, in the order in which it made them.

    Args:
        records: The journal from StartImage on.
        files: What was booted.
        caller: The stub's name in the journal.
    """
    found: list[Placement] = []
    pools: dict[int, TraceRecord] = {}
    table = guid_name(LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID)
    for record in records:
        if record.caller != caller or record.status is not SUCCESS:
            continue
        if record.service == "AllocatePages":
            placement = _placement(record, files, found)
            if placement is not None:
                found.append(placement)
        elif record.service == "AllocatePool":
            pools[_number(record.results.get("buffer"))] = record
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
    return found


def _placement(record: TraceRecord, files: BootFiles, found: Sequence[Placement]) -> Placement | None:
    pages = _number(record.arguments.get("pages"))
    start = _number(record.results.get("memory"))
    memory_type = record.arguments.get("memory_type")
    known = {placement.what for placement in found if not placement.freed}
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
