"""Random calls on a small TD with unaccepted memory, held against a model that knows only single pages."""

from __future__ import annotations

import itertools
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tdvfsh.accept.needs import Need
from tdvfsh.accept.on_demand import on_demand_named
from tdvfsh.dxe.accept_protocol import TdxMemoryAccept
from tdvfsh.dxe.boot_services import BootServices
from tdvfsh.dxe.core import start_core
from tdvfsh.dxe.memory.bins import stack_bins
from tdvfsh.dxe.memory.gcd import MemorySpaceMap
from tdvfsh.dxe.memory.memory_map import MapEntry, MemoryMap
from tdvfsh.dxe.profile import UPSTREAM
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace
from tdvfsh.uefi.guids import EDKII_MEMORY_ACCEPT_PROTOCOL_GUID
from tdvfsh.uefi.memory import (
    EFI_MAX_MEMORY_TYPE,
    MEMORY_DESCRIPTOR_SIZE,
    AddressSpan,
    EfiGcdMemoryType,
    EfiMemoryType,
)
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import MIB, PAGE_SHIFT, PAGE_SIZE, pages_for
from tests.dxe.naive import UNACCEPTED, NaivePages

RAM: Final = 128 * MIB
ACCEPTED: Final = 16 * MIB
CALLS_IN_A_BURST: Final = 20
BYTES_A_CALL: Final = 8
BURSTS: Final = 30
EXAMPLES: Final = 380
STEPS_WANTED: Final = 200_000

_CONVENTIONAL: Final = EfiMemoryType.EfiConventionalMemory
_LOADER_DATA: Final = EfiMemoryType.EfiLoaderData
_BS_DATA: Final = EfiMemoryType.EfiBootServicesData
_TYPES: Final = (1, 2, 2, 3, 4, 4, 5, 6, 0, 9, 10, 8, 0x80000000, 7, 14, 15)
_BINS: Final = ((10, 4), (9, 4), (0, 8), (5, 16), (6, 16))
_OPTIONS: Final = ("none", "allocator", "loader", "service")


class DxeCoreMachine(RuleBasedStateMachine):
    """One TD; a burst of calls is decoded from drawn bytes, so that a failure shrinks to the calls that matter."""

    steps = 0

    @initialize(option=st.sampled_from(_OPTIONS))
    def build(self, option: str) -> None:
        """A TD whose first 16 MiB are accepted, with bins near their end."""
        td = TrustDomain(RamLayout.q35(RAM), added=[AddressSpan(0, ACCEPTED)])
        gcd = MemorySpaceMap()
        gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeSystemMemory, 0, ACCEPTED, 0)
        gcd.add_memory_space(EfiGcdMemoryType.EfiGcdMemoryTypeUnaccepted, ACCEPTED, RAM - ACCEPTED, 0)
        firmware = ACCEPTED - 16 * PAGE_SIZE
        entries = [MapEntry(0, firmware, _CONVENTIONAL, 0), MapEntry(firmware, ACCEPTED, _BS_DATA, 0)]
        bins = stack_bins(firmware, _BINS)
        self.services = BootServices(start_core(UPSTREAM, entries, bins, gcd), td, Trace())
        self.services.handles.install_protocol_interface(
            None, EDKII_MEMORY_ACCEPT_PROTOCOL_GUID, TdxMemoryAccept(td, self.services.trace)
        )
        for page in range(firmware, ACCEPTED, PAGE_SIZE):
            self.services.core.pool.adopt_free_blocks(_BS_DATA, page)  # GCD entries cost no page
        self.option = on_demand_named(option)
        self.option.attach(self.services)
        self.naive = NaivePages(RAM >> PAGE_SHIFT, bins, option == "allocator")
        self.naive.cells = self.naive.picture(self.services.core)
        self.blocks: list[tuple[int, int]] = []
        self.buffers: list[tuple[int, int, int]] = []
        self.attempts = 0

    @rule(calls=st.binary(min_size=CALLS_IN_A_BURST * BYTES_A_CALL, max_size=CALLS_IN_A_BURST * BYTES_A_CALL))
    def burst(self, calls: bytes) -> None:
        """Twenty calls, each checked."""
        operations = (
            self.allocate, self.allocate, self.allocate_at, self.free, self.free, self.free_part, self.allocate_pool,
            self.allocate_pool, self.free_pool, self.accept, self.get_memory_map, self.loader_step, self.stale_exit,
            self.free, self.allocate, self.odd_call,
        )  # fmt: skip
        for at in range(0, len(calls), BYTES_A_CALL):
            key = self.services.core.memory_map.key
            before = bytes(self.naive.cells)
            operations[calls[at] & 15](calls[at + 1 : at + BYTES_A_CALL])
            self.check(key, before)
            type(self).steps += 1

    # ---- calls --------------------------------------------------------------------------------------------------

    def allocate(self, raw: bytes) -> None:
        """Any pages, or below a limit."""
        pages = self._pages(raw)
        limit = int.from_bytes(raw[3:6], "little") * 11
        self._allocate(raw[0] & 1, _TYPES[raw[1] & 15], pages, limit)

    def allocate_at(self, raw: bytes) -> None:
        """At an address: of a page, of something known, or off the page."""
        address = int.from_bytes(raw[3:5], "little") << PAGE_SHIFT
        if raw[5] & 3 == 0 and self.blocks:
            address = self.blocks[raw[6] % len(self.blocks)][0] + ((raw[5] >> 2) % 3 - 1) * PAGE_SIZE
        elif raw[5] & 31 == 1:
            address += raw[6]
        self._allocate(2, _TYPES[raw[1] & 15], raw[2] & 15, max(0, address))

    def odd_call(self, raw: bytes) -> None:
        """An allocate type that does not exist, or a type between the known and OEM's."""
        if raw[0] & 1:
            self._allocate(3 + raw[1], _LOADER_DATA, 1, 0)
        else:
            self._allocate(0, EFI_MAX_MEMORY_TYPE + raw[1] % 16, 1, 0)

    def _allocate(self, allocate_type: int, memory_type: int, pages: int, memory: int) -> None:
        result = self.services.allocate_pages(allocate_type, memory_type, pages, memory)
        expected = self.naive.allocate(allocate_type, memory_type, pages, memory)
        assert (result.status.name, result.memory) == expected
        if not result.status.is_error:
            self.blocks.append((result.memory, pages))

    def _pages(self, raw: bytes) -> int:
        """Mostly few, sometimes more than are accepted."""
        return raw[2] & 31 if raw[0] & 0x70 else int.from_bytes(raw[5:7], "little") & 0x3FFF

    def free(self, raw: bytes) -> None:
        """A block that was allocated, whole."""
        if self.blocks:
            self._free(*self.blocks.pop(raw[0] % len(self.blocks)))

    def free_part(self, raw: bytes) -> None:
        """Pages around a block's bounds, off the page, none at all, or anywhere."""
        if self.blocks and raw[0] & 7:
            memory, pages = self.blocks[raw[1] % len(self.blocks)]
            memory += ((raw[2] & 7) - 2) * PAGE_SIZE + (raw[3] if raw[0] & 0xF0 == 0 else 0)
            self._free(max(0, memory), raw[4] % 12 if pages > 1 else raw[4] & 1)
        else:
            self._free(int.from_bytes(raw[3:5], "little") << PAGE_SHIFT, raw[5] & 15)

    def _free(self, memory: int, pages: int) -> None:
        if any(low < memory + (pages << PAGE_SHIFT) and memory < high for low, high in self._pool_spans()):
            return  # a pool's pages must not be freed under it, and firmware does not notice
        if memory + (pages << PAGE_SHIFT) > ACCEPTED - 16 * PAGE_SIZE and memory < ACCEPTED:
            return
        assert self.services.free_pages(memory, pages).name == self.naive.free(memory, pages)

    def _pool_spans(self) -> list[tuple[int, int]]:
        return [
            (buffer & -PAGE_SIZE, (buffer & -PAGE_SIZE) + (pages_for(size + 40) << PAGE_SHIFT))
            for buffer, size, _ in self.buffers
        ]

    def allocate_pool(self, raw: bytes) -> None:
        """Small and large pools; a page that they take is where AllocatePages would have taken it."""
        memory_type = _TYPES[raw[0] & 15]
        size = int.from_bytes(raw[1:3], "little") >> (raw[3] & 7)
        key = self.services.core.memory_map.key
        pages = pages_for(-(-size // 8) * 8 + 40)
        status, buffer = self.services.allocate_pool(memory_type, size)
        if memory_type in (7, 14, 15):
            assert status.name == "EFI_INVALID_PARAMETER"
            return
        if self.services.core.memory_map.key == key and not status.is_error:
            self.buffers.append((buffer or 0, size, 0))
            return
        page = self.naive.find((1 << 64) - 1, pages, memory_type)
        if page == 0 and self.naive.on_demand and self.naive.accept_chunk(size, None, 0)[0]:
            page = self.naive.find((1 << 64) - 1, pages, memory_type)
        if page == 0:
            assert status.name == "EFI_OUT_OF_RESOURCES"
            return
        self.naive.take(page, pages, memory_type)
        assert (status.name, buffer) == ("EFI_SUCCESS", (page << PAGE_SHIFT) + 0x18)
        self.buffers.append((buffer or 0, size, pages))

    def free_pool(self, raw: bytes) -> None:
        """A buffer that was allocated; or what is none."""
        if not self.buffers or raw[0] == 0:
            assert self.services.free_pool(raw[1] << 4).name == "EFI_INVALID_PARAMETER"
            return
        buffer, size, _ = self.buffers.pop(raw[0] % len(self.buffers))
        key = self.services.core.memory_map.key
        assert self.services.free_pool(buffer).name == "EFI_SUCCESS"
        assert self.services.free_pool(buffer).name == "EFI_INVALID_PARAMETER"
        if self.services.core.memory_map.key != key:
            assert self.naive.free(buffer & -PAGE_SIZE, pages_for(-(-size // 8) * 8 + 40)) == "EFI_SUCCESS"

    def accept(self, raw: bytes) -> None:
        """AcceptMemory() somewhere; twice is as good as once."""
        start = int.from_bytes(raw[0:2], "little") << PAGE_SHIFT
        size = (raw[2] & 63) << PAGE_SHIFT
        if raw[3] & 31 == 0:
            start += raw[4]
        expected = self.naive.accept(start, size)
        assert self.services.accept_memory(start, size).name == expected
        if expected == "EFI_SUCCESS":
            key = self.services.core.memory_map.key
            assert self.services.accept_memory(start, size).name == "EFI_SUCCESS"
            assert self.services.core.memory_map.key == key

    def loader_step(self, raw: bytes) -> None:
        """What options 2 and 3 do around a loader's step: they turn unaccepted pages into free ones, and no others."""
        needs = [Need("kernel", (raw[1] + 1) << 16, _LOADER_DATA, (raw[2] + 1) << 20)]
        self.attempts += 1
        if raw[0] & 1:
            self.option.before(self.services, "load_kernel", needs)
        else:
            status = EfiStatus.EFI_OUT_OF_RESOURCES
            self.option.repeat_after(self.services, "load_kernel", status, needs, self.attempts)
        picture = self.naive.picture(self.services.core)
        if picture == self.naive.cells:
            return
        assert self.option.name in ("loader", "service")
        changes = {pair for pair in zip(self.naive.cells, picture, strict=True) if pair[0] != pair[1]}
        assert changes == {(UNACCEPTED, 3)}
        self.naive.cells = picture

    def get_memory_map(self, raw: bytes) -> None:
        """The map as reported covers all RAM once; a buffer that is too small is refused before a NULL one is."""
        services = self.services
        probe = services.get_memory_map(0, has_buffer=False)
        assert probe.status.name == "EFI_BUFFER_TOO_SMALL"
        assert probe.memory_map_size is not None
        assert services.get_memory_map(probe.memory_map_size, has_buffer=False).status.name == "EFI_INVALID_PARAMETER"
        assert services.get_memory_map(probe.memory_map_size - 1).status.name == "EFI_BUFFER_TOO_SMALL"
        result = services.get_memory_map(probe.memory_map_size)
        assert result.status.name == "EFI_SUCCESS"
        assert result.memory_map_size == len(result.descriptors) * MEMORY_DESCRIPTOR_SIZE <= probe.memory_map_size
        spans = sorted((entry.physical_start, entry.physical_end) for entry in result.descriptors)
        assert all(low[1] <= high[0] for low, high in itertools.pairwise(spans))
        assert sum(high - low for low, high in spans) == RAM
        unaccepted = sum(entry.size for entry in result.descriptors if entry.memory_type == 15)
        assert unaccepted == services.td.unaccepted_bytes == services.unaccepted_bytes()

    def stale_exit(self, raw: bytes) -> None:
        """ExitBootServices with any key but the right one changes nothing."""
        key = self.services.core.memory_map.key
        assert self.services.exit_boot_services(None, key + 1 + raw[0]).name == "EFI_INVALID_PARAMETER"

    # ---- after every call ---------------------------------------------------------------------------------------

    def check(self, key: int, before: bytes) -> None:
        """Ranges and pages show the same picture; the key rises with the map, and only with it."""
        core = self.services.core
        picture = self.naive.picture(core)
        assert picture == self.naive.cells
        assert core.memory_map.key >= key
        if core.memory_map.key == key:
            assert picture == before
        starts = [entry.start for entry in core.memory_map]
        assert starts == sorted(starts)
        if len(self.services.trace.records) > 1 << 12:
            self.services.trace.records.clear()

    def teardown(self) -> None:
        """The right key ends boot services for good."""
        if not hasattr(self, "services"):
            return
        services = self.services
        assert services.exit_boot_services(None, services.core.memory_map.key).name == "EFI_SUCCESS"
        assert services.allocate_pages(0, _LOADER_DATA, 1, 0).status.name == "EFI_UNSUPPORTED"


_SETTINGS: Final = settings(
    max_examples=EXAMPLES,
    stateful_step_count=BURSTS,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def test_ranges_and_single_pages_agree_over_two_hundred_thousand_random_calls() -> None:
    DxeCoreMachine.steps = 0
    run_state_machine_as_test(DxeCoreMachine, settings=_SETTINGS)
    assert DxeCoreMachine.steps >= STEPS_WANTED


def test_a_limit_that_is_off_by_one_page_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = MemoryMap.find_free_pages

    def wrong(self: MemoryMap, maximum: int, minimum: int, pages: int, alignment: int = PAGE_SIZE) -> int:
        return right(self, maximum + PAGE_SIZE if maximum < RAM else maximum, minimum, pages, alignment)

    monkeypatch.setattr(MemoryMap, "find_free_pages", wrong)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(DxeCoreMachine, settings=settings(_SETTINGS, max_examples=20))


def test_a_merge_that_forgets_a_neighbour_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = MemoryMap._convert_piece

    def wrong(self: MemoryMap, which: int, index: int, start: int, end: int, new_type: int) -> None:
        right(self, which, index, start, end - PAGE_SIZE if end - start > 8 * PAGE_SIZE else end, new_type)

    monkeypatch.setattr(MemoryMap, "_convert_piece", wrong)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(DxeCoreMachine, settings=settings(_SETTINGS, max_examples=20))
