"""Repeating a recording's memory calls on a machine that starts from the recording's first map.

Each answer is compared with the recorded one. Where they differ the model is then put where the firmware was, so that
one miss is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.memory.memory_attributes_table import TABLE_TYPES
from tdvfsh.dxe.memory.memory_map import CONVENTIONAL
from tdvfsh.dxe.memory.pool import BLOCK_SIZES, POOL_HEAD_SIZE, POOL_OVERHEAD
from tdvfsh.uefi.memory import MEMORY_DESCRIPTOR_SIZE, MemoryDescriptor
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, pages_for
from tests.conformance.recording import Event
from tests.conformance.tally import Tally

_NO_PLACE: Final = 0xAAAA  # what the test application puts into a pointer before it asks for a pool

_OTHER_SERVICES: Final = frozenset(
    {
        "OutputString", "Stall", "CreateEvent", "CloseEvent", "LocateHandleBuffer", "free", "SetWatchdogTimer",
        "InstallProtocol", "UninstallProtocol",
    }
)  # fmt: skip

POOL_FREE_LISTS: Final = "BootServicesData, ACPI and runtime pools have free blocks from before the recording"
UNKNOWN_BUFFER: Final = "a buffer that was allocated before the recording"
NOT_FIRMWARE: Final = "the application's own bookkeeping, not an answer of firmware"
SILENT_OPERATION: Final = "the map key around a step of the walk that made no call"
FIRMWARE_POOLS: Final = "pages that firmware's own pools took or gave between two recorded calls"


class Replay:
    """One recording's replay.

    Args:
        services: The machine.
        tally: Where results are counted.
    """

    def __init__(self, services: BootServices, tally: Tally) -> None:
        self.services = services
        self.tally = tally
        self.key_before = services.core.memory_map.key
        self.hidden_pages: set[int] = set()
        self.unknown_blocks: set[int] = set()
        self.handlers: dict[str, Callable[[Event], None]] = {
            "AllocatePages": self.allocate_pages,
            "FreePages": self.free_pages,
            "AllocatePool": self.allocate_pool,
            "FreePool": self.free_pool,
            "AT": self.at,
            "KEY": self.key,
            "MAP": self.map,
            "FINALMAP": self.map,
            "GetMemoryMap": self.get_memory_map,
            "SKIP": self.skipped_call,
            "": self.plain,
        }

    @property
    def core(self) -> DxeCore:
        """The DXE core under test."""
        return self.services.core

    def run(self, events: Sequence[Event]) -> None:
        """Repeat every event; those that no handler knows are not answers of firmware."""
        for event in events:
            handler = self.handlers.get(event.verb)
            if handler is not None:
                handler(event)

    # ---- pages --------------------------------------------------------------------------------------------------

    def allocate_pages(self, event: Event) -> None:
        """``AllocatePages t= m= n= in= -> STATUS out=``, or one with a NULL pointer."""
        core = self.core
        self.key_before = core.memory_map.key
        if "NULL" in event.words:
            memory_type = 16 if "badtype" in event.words else 2
            status = self.services.allocate_pages(2 if "addr" in event.words else 0, memory_type, 1, None).status
            self.tally.compare(event.line, event.status, short_name(status))
            return
        memory_type, pages = event.number("m"), event.number("n")
        result = self.services.allocate_pages(event.number("t"), memory_type, pages, event.number("in"))
        recorded = event.result("out")
        expected = f"{event.status} {recorded:#X}"
        if self.tally.compare(event.line, expected, f"{short_name(result.status)} {result.memory:#X}"):
            return
        if not result.status.is_error:
            core.memory_map.convert_pages(result.memory, pages, CONVENTIONAL)
        if event.status == "SUCCESS":
            self.force(recorded, pages, memory_type)

    def free_pages(self, event: Event) -> None:
        """``FreePages a= n= -> STATUS``."""
        self.key_before = self.core.memory_map.key
        address, pages = event.number("a"), event.number("n")
        status = self.services.free_pages(address, pages)
        if not self.tally.compare(event.line, event.status, short_name(status)) and event.status == "SUCCESS":
            self.force(address, pages, CONVENTIONAL)

    def force(self, start: int, pages: int, memory_type: int) -> None:
        """Put the map where firmware's is, whatever stands there."""
        memory_map = self.core.memory_map
        end = start + (pages << PAGE_SHIFT)
        self.core.pool.forget_pages(start, end)
        while start < end:
            entry = memory_map.find(start)
            if entry is None:
                return
            piece = min(end, entry.end)
            count = (piece - start) >> PAGE_SHIFT
            if entry.memory_type != CONVENTIONAL and entry.memory_type != memory_type:
                memory_map.convert_pages(start, count, CONVENTIONAL)
                entry = memory_map.find(start)
            if memory_type != CONVENTIONAL and entry is not None and entry.memory_type == CONVENTIONAL:
                memory_map.convert_pages(start, count, memory_type)
            start = piece

    def skipped_call(self, event: Event) -> None:
        """``SKIP``: a call that the application thought better of."""
        self.key_before = self.core.memory_map.key

    # ---- pools --------------------------------------------------------------------------------------------------

    def allocate_pool(self, event: Event) -> None:
        """``AllocatePool m= size= -> STATUS out=``, or one with a NULL pointer."""
        self.key_before = self.core.memory_map.key
        if "NULL" in event.words:
            status = self.services.allocate_pool(16 if "badtype" in event.words else 2, 1, False).status
            self.tally.compare(event.line, event.status, short_name(status))
            return
        memory_type, size = event.number("m"), event.number("size")
        recorded = event.result("out")
        if event.status == "SUCCESS" and self._from_hidden_list(recorded, memory_type, size):
            self._adopt(recorded, memory_type, size)
            return
        result = self.services.allocate_pool(memory_type, size)
        got = result.buffer if result.buffer is not None else _NO_PLACE
        if self.tally.compare(event.line, f"{event.status} {recorded:#X}", f"{short_name(result.status)} {got:#X}"):
            return
        if result.buffer:
            self.core.pool.free_pool(result.buffer)
        if event.status == "SUCCESS":
            total = size + POOL_OVERHEAD
            self.force(recorded & -PAGE_SIZE, pages_for(total), memory_type)
            self.core.pool.adopt_buffer(memory_type, recorded, size)

    def _from_hidden_list(self, buffer: int, memory_type: int, size: int) -> bool:
        """Whether a small pool lies in a page that was its type's before, so that a free block was at hand."""
        if not is_small(size) or self.core.pool.owns_page(memory_type, buffer):
            return False
        entry = self.core.memory_map.find(buffer - POOL_HEAD_SIZE)
        return entry is not None and entry.memory_type == memory_type

    def _adopt(self, buffer: int, memory_type: int, size: int) -> None:
        """Take a buffer from a free list that the recording does not show, unless the list's head is known by now."""
        pool = self.core.pool
        head = pool.next_block(memory_type, size)
        if head == buffer - POOL_HEAD_SIZE:
            pool.allocate_pool(memory_type, size)
            self.tally.agree += 1
        else:
            if head is not None and not pool.owns_page(memory_type, head):
                pool.forget_free_block(head)  # the table's first place, seen at last
            pool.adopt_buffer(memory_type, buffer, size)
            self.tally.skip(POOL_FREE_LISTS)
        if memory_type in TABLE_TYPES and self.core.memory_attributes_table is not None:
            self.core.memory_attributes_table.rebuild(self.core)

    def free_pool(self, event: Event) -> None:
        """``FreePool p= -> STATUS``."""
        self.key_before = self.core.memory_map.key
        buffer = event.number("p")
        if event.status == "SUCCESS" and self.core.pool.type_of(buffer) is None:
            self.tally.skip(UNKNOWN_BUFFER)
            return
        status = self.services.free_pool(buffer)
        self.tally.compare(event.line, event.status, short_name(status))

    # ---- the map ------------------------------------------------------------------------------------------------

    def at(self, event: Event) -> None:
        """``AT address type= start= pages=``: the descriptor that holds an address."""
        address = int(event.words[0], 0)
        held = next(
            (
                entry
                for entry in self.services.memory_map_view().descriptors
                if entry.physical_start <= address < entry.physical_end
            ),
            None,
        )
        got = None
        if held is not None:
            got = (held.memory_type, held.physical_start, held.number_of_pages)
        expected = (event.number("type"), event.number("start"), event.number("pages"))
        self.tally.compare(event.line, _hexes(expected), _hexes(got))

    def key(self, event: Event) -> None:
        """``KEY what same|changed delta=``: by how much the last call moved the map key."""
        delta = self.core.memory_map.key - self.key_before
        recorded = event.number("delta")
        if event.words[0] == "op" and delta and recorded == 0:
            self.tally.skip(SILENT_OPERATION)
        elif recorded and not delta and event.words[0] in _OTHER_SERVICES:
            self.tally.skip(FIRMWARE_POOLS)
        else:
            self.tally.compare(event.line, event.number("delta"), delta)
        self.key_before = self.core.memory_map.key

    def map(self, event: Event) -> None:
        """A whole map: the places of free memory and of everything else."""
        expected = [_shown(entry) for entry in event.descriptors]
        got = [_shown(entry) for entry in self.services.memory_map_view().descriptors]
        if expected == got:
            self.tally.agree += 1
            return
        missing = [entry for entry in expected if entry not in got]
        extra = [entry for entry in got if entry not in expected]
        self.tally.compare(event.line, ", ".join(missing) or "nothing more", ", ".join(extra) or "nothing more")

    def get_memory_map(self, event: Event) -> None:
        """``GetMemoryMap case -> STATUS size= key= ds= dv=``, or ``in=size`` of a traced call."""
        needed = len(self.services.memory_map_view().descriptors) * MEMORY_DESCRIPTOR_SIZE
        size: int | None
        if "in" in event.given:
            size, buffer, wants = event.number("in"), event.results.get("buf") != "0x0", (True, True, True)
        else:
            size, buffer, wants = _map_arguments(event.label, needed)
        result = self.services.get_memory_map(size, buffer, wants)
        got = {"size": _or(result.memory_map_size, 0x55)}
        if "key" in event.results:
            got |= {
                "key": "untouched" if result.map_key is None else "set",
                "ds": _or(result.descriptor_size, 0x77),
                "dv": _or(result.descriptor_version, 0x77),
            }
        expected = {name: event.results[name] for name in got}
        self.tally.compare(event.line, f"{event.status} {expected}", f"{short_name(result.status)} {got}")

    def plain(self, event: Event) -> None:
        """``need=``: how many bytes the map takes; other lines of this kind are the application's own."""
        if "need" in event.given:
            needed = len(self.services.memory_map_view().descriptors) * MEMORY_DESCRIPTOR_SIZE
            self.tally.compare(event.line, event.number("need"), needed)


def _map_arguments(label: str, needed: int) -> tuple[int | None, bool, tuple[bool, bool, bool]]:
    """What the test application passes to GetMemoryMap in the case it calls ``label``."""
    size: int | None = 4 * needed
    if label.startswith("NULL size"):
        size = None
    elif label.startswith("size"):
        size = int(label.split()[0].removeprefix("size"))
    elif label.startswith("need"):
        size = needed + int(label.removeprefix("need") or 0)
    elif label.startswith("all NULL"):
        size = 0
    buffer = not ("NULLmap" in label or "NULL map" in label or label.startswith("all NULL"))
    everything = label.startswith("all NULL")
    wants = (
        not (everything or "NULL key" in label),
        not (everything or "NULL descsize" in label),
        not (everything or "NULL ver" in label),
    )
    return size, buffer, wants


def _or(value: int | None, untouched: int) -> str:
    return f"{untouched if value is None else value:#X}".replace("X", "x")


def is_small(size: int) -> bool:
    """Whether a pool of ``size`` bytes shares its page with others."""
    return -(-size // 8) * 8 + POOL_OVERHEAD <= BLOCK_SIZES[-1]


def short_name(status: EfiStatus) -> str:
    """The status as recordings write it."""
    return status.name.removeprefix("EFI_")


def _hexes(numbers: tuple[int, ...] | None) -> str:
    return "nothing" if numbers is None else " ".join(f"{number:#X}" for number in numbers)


def _shown(entry: MemoryDescriptor) -> str:
    return f"{entry.memory_type:X}@{entry.physical_start:X}+{entry.number_of_pages:X}/{entry.attribute:X}"
