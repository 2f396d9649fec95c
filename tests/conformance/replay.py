"""Repeating a recording's memory calls on a machine that starts from the recording's first map.

Each answer is compared with the recorded one. Where they differ the model is then put where the firmware was, so that
one miss is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import DxeCore
from tdvfsh.dxe.memory_map import CONVENTIONAL
from tdvfsh.dxe.pool import BLOCK_SIZES, POOL_HEAD_SIZE, POOL_OVERHEAD
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.memory import EfiMemoryType, MemoryDescriptor
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import PAGE_SHIFT, PAGE_SIZE, pages_for
from tests.conformance.recording import Event
from tests.conformance.tally import Tally

_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_LARGEST_BLOCK: Final = BLOCK_SIZES[-1]
_NO_PLACE: Final = 0xAAAA  # what the test application puts into a pointer before it asks for a pool

POOL_FREE_LISTS: Final = "BootServicesData, ACPI and runtime pools have free blocks from before the recording"
UNKNOWN_BUFFER: Final = "a buffer that was allocated before the recording"
NOT_FIRMWARE: Final = "the application's own bookkeeping, not an answer of firmware"
FIRMWARE_POOLS: Final = "pages that firmware's own pools took or gave between two recorded calls"


def plain_services(core: DxeCore) -> BootServices:
    """Boot services over ``core``, in a guest without TDX that has as much RAM as the map shows."""
    end = max((entry.end for entry in core.memory_map), default=PAGE_SIZE)
    below = min(end, 2 << 30) if end <= 4 << 30 else 2 << 30
    memory = below if end <= 4 << 30 else below + end - (4 << 30)
    td = TrustDomain(RamLayout.q35(max(memory, 128 << 20)), td=False)
    return BootServices(core, td, Trace())


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
            self.tally.compare(event.line, event.status, _short(status))
            return
        memory_type, pages = event.number("m"), event.number("n")
        result = self.services.allocate_pages(event.number("t"), memory_type, pages, event.number("in"))
        recorded = event.result("out")
        expected = f"{event.status} {recorded:#X}"
        if self.tally.compare(event.line, expected, f"{_short(result.status)} {result.memory:#X}"):
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
        if not self.tally.compare(event.line, event.status, _short(status)) and event.status == "SUCCESS":
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
            self.tally.compare(event.line, event.status, _short(status))
            return
        memory_type, size = event.number("m"), event.number("size")
        recorded = event.result("out")
        if event.status == "SUCCESS" and self._from_hidden_list(recorded, memory_type, size):
            self.tally.skip(POOL_FREE_LISTS)
            self.core.pool.adopt_buffer(memory_type, recorded, size)
            self.unknown_blocks.add(recorded)
            return
        result = self.services.allocate_pool(memory_type, size)
        got = result.buffer if result.buffer is not None else _NO_PLACE
        if self.tally.compare(event.line, f"{event.status} {recorded:#X}", f"{_short(result.status)} {got:#X}"):
            return
        if result.buffer:
            self.core.pool.free_pool(result.buffer)
        if event.status == "SUCCESS":
            total = size + POOL_OVERHEAD
            self.force(recorded & -PAGE_SIZE, pages_for(total), memory_type)
            self.core.pool.adopt_buffer(memory_type, recorded, size)

    def _from_hidden_list(self, buffer: int, memory_type: int, size: int) -> bool:
        """Whether a small pool lies in a page that was its type's before, so that a free block was at hand."""
        if -(-size // 8) * 8 + POOL_OVERHEAD > _LARGEST_BLOCK or self.core.pool.owns_page(memory_type, buffer):
            return False
        entry = self.core.memory_map.find(buffer - POOL_HEAD_SIZE)
        return entry is not None and entry.memory_type == memory_type

    def free_pool(self, event: Event) -> None:
        """``FreePool p= -> STATUS``."""
        self.key_before = self.core.memory_map.key
        buffer = event.number("p")
        if event.status == "SUCCESS" and self.core.pool.type_of(buffer) is None:
            self.tally.skip(UNKNOWN_BUFFER)
            return
        status = self.services.free_pool(buffer)
        self.tally.compare(event.line, event.status, _short(status))

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
        self.tally.compare(event.line, event.number("delta"), self.core.memory_map.key - self.key_before)
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
        """Overridden where a recording has such lines."""
        self.tally.skip(NOT_FIRMWARE)


def _short(status: EfiStatus) -> str:
    return status.name.removeprefix("EFI_")


def _hexes(numbers: tuple[int, ...] | None) -> str:
    return "nothing" if numbers is None else " ".join(f"{number:#X}" for number in numbers)


def _shown(entry: MemoryDescriptor) -> str:
    return f"{entry.memory_type:X}@{entry.physical_start:X}+{entry.number_of_pages:X}/{entry.attribute:X}"
