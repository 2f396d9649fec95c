"""What a real GRUB and a real EFI stub put into memory, noted in the boot's flow and the journal as they do it.

Their calls do not say what they are for: sizes and types tell them apart, as tdvfsh/loaders lists them. A pool
buffer is the e820 overflow (``setup_data``) where its size is that of a header and whole entries, and it stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.loaders.flow import BootFlow, Placement
from tdvfsh.trace.records import (
    AllocatePagesCall,
    AllocatePoolCall,
    FreePagesCall,
    FreePoolCall,
    ServiceCall,
    TraceRecord,
)
from tdvfsh.uefi.guids import LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID, guid_name
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.service_names import INSTALL_CONFIGURATION_TABLE, START_IMAGE
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import pages_for

_SETUP_DATA_HEADER: Final = 16
_E820_ENTRY: Final = 20
_BELOW_4G: Final = 0xFFFFFFFF
_TRAMPOLINE_PAGES: Final = 2
_CODE: Final = EfiMemoryType.EfiLoaderCode
_DATA: Final = EfiMemoryType.EfiLoaderData


class CallReader(Protocol):
    """Interface that knows the habits of one program."""

    def read(self, record: TraceRecord) -> None:
        """Look at one more record of the journal."""
        ...


class PlacementWatch:
    """Distributor of the journal's records: shows each to the readers once, in order.

    Args:
        flow: The boot.
        readers: Of the programs that take part in it.
    """

    def __init__(self, flow: BootFlow, readers: Sequence[CallReader]) -> None:
        self._records = flow.services.trace
        self._readers = readers
        self._next = len(self._records)

    def skip(self) -> None:
        """What was called so far was looked at by another run."""
        self._next = len(self._records)

    def catch_up(self) -> None:
        """Look at what was called since the last time."""
        records = self._records.records
        while self._next < len(records):
            record = records[self._next]
            self._next += 1
            for reader in self._readers:
                reader.read(record)


class StubReader:
    """The EFI stub's calls; a stub may be started more than once.

    Args:
        flow: The boot.
        caller: The stub's name in the journal.
    """

    def __init__(self, flow: BootFlow, caller: str) -> None:
        self._flow = flow
        self._caller = caller
        self._first = 0
        self._pools: dict[int, AllocatePoolCall] = {}
        self._table = guid_name(LINUX_EFI_UNACCEPTED_MEM_TABLE_GUID)

    def read(self, record: TraceRecord) -> None:
        """Look at one more record of the journal."""
        if record.service == START_IMAGE:
            self._first = len(self._flow.placements)
        if record.caller != self._caller or record.status is not SUCCESS:
            return
        match record:
            case AllocatePagesCall():
                self._pages(record)
            case AllocatePoolCall():
                self._pool(record)
            case FreePoolCall():
                self._forget_setup_data(record.buffer)
            case FreePagesCall():
                for placement in self._own:
                    if placement.start == record.memory:
                        self._flow.free(placement)
            case ServiceCall(service=service) if service == INSTALL_CONFIGURATION_TABLE:
                self._configuration_table(record)

    @property
    def _own(self) -> list[Placement]:
        return self._flow.placements[self._first :]

    def _pages(self, record: AllocatePagesCall) -> None:
        start, end = record.range
        files, place = self._flow.files, self._flow.place
        known = {placement.what for placement in self._own}
        if record.memory_type == _CODE and end - start == files.kernel.kernel_buffer_size:
            place("kernel", start, end - start, _CODE)
        elif record.memory_type != _DATA:
            return
        elif files.initrd_size and record.pages == pages_for(files.initrd_size) and "kernel" in known:
            place("initrd", start, files.initrd_size, _DATA)
        elif record.pages == 1 and "boot_params" not in known:
            place("boot_params", start, end - start, _DATA)
        elif record.pages == _TRAMPOLINE_PAGES and record.asked == _BELOW_4G:
            place("trampoline", start, end - start, _DATA)

    def _pool(self, record: AllocatePoolCall) -> None:
        start, _ = record.range
        self._pools[start] = record
        over = record.size - _SETUP_DATA_HEADER
        kept = record.pool_type == _DATA and any(entry.what == "kernel" for entry in self._own)
        if kept and over > 0 and over % _E820_ENTRY == 0:
            self._flow.place("setup_data", start, record.size, _DATA)

    def _forget_setup_data(self, buffer: int) -> None:
        """A buffer that is freed was another one."""
        for placement in self._own:
            if placement.what == "setup_data" and placement.start == buffer:
                self._flow.free(placement)
                self._flow.placements.remove(placement)

    def _configuration_table(self, record: ServiceCall) -> None:
        installed = record.arguments.get("table")
        pool = self._pools.get(installed) if isinstance(installed, int) else None
        if record.arguments.get("guid") == self._table and pool is not None:
            self._flow.place("unaccepted_table", pool.range[0], pool.size, EfiMemoryType.EfiACPIReclaimMemory)


class GrubReader:
    """GRUB's calls.

    Args:
        flow: The boot.
        caller: GRUB's name in the journal.
    """

    def __init__(self, flow: BootFlow, caller: str) -> None:
        self._flow = flow
        self._caller = caller
        self._own: list[Placement] = []

    def read(self, record: TraceRecord) -> None:
        """Look at one more record of the journal."""
        if isinstance(record, FreePagesCall) and record.succeeded:
            for placement in self._own:
                if placement.start == record.memory:
                    self._flow.free(placement)
        if isinstance(record, AllocatePagesCall) and record.caller == self._caller and record.succeeded:
            self._pages(record)

    def _pages(self, record: AllocatePagesCall) -> None:
        flow, kernel = self._flow, self._flow.files.kernel
        start, end = record.range
        if record.memory_type == _CODE and record.allocate_type == EfiAllocateType.AllocateAddress:
            flow.place("heap", start, end - start, _CODE)
        elif record.memory_type == _DATA and record.pages == pages_for(kernel.size):
            flow.place("kernel_file", start, kernel.size, _DATA)
        elif record.memory_type == _CODE and end - start >= kernel.image_pages_size > 0:
            flow.place("image", start, kernel.image_pages_size, _CODE)
        else:
            return
        self._own.append(flow.placements[-1])
