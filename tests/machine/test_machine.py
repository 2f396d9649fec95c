"""A TD from its options."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.errors import UsageError
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.td.footprint import FIRMWARE_MODEL_NAMES
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import GIB, MIB, TIB


def _options(memory: int = 4 * GIB, accept: str = "512M", **more: object) -> TdOptions:
    return TdOptions(memory=memory, accept=parse_boot_accept(accept), **more)  # type: ignore[arg-type]


def _unaccepted(machine: Machine) -> list[tuple[int, int]]:
    return [
        (entry.physical_start, entry.physical_end)
        for entry in machine.services.memory_map_view().descriptors
        if entry.memory_type == EfiMemoryType.EfiUnacceptedMemoryType
    ]


def test_the_first_bytes_in_td_hob_order_are_accepted_and_the_rest_is_reported_as_unaccepted() -> None:
    machine = Machine(_options())
    assert machine.boot_bytes == 512 * MIB
    assert _unaccepted(machine) == [(512 * MIB, 2 * GIB), (4 * GIB, 6 * GIB)]


def test_a_size_larger_than_low_memory_goes_on_above_4_gib() -> None:
    machine = Machine(_options(accept="3G"))
    assert machine.boot_bytes == 3 * GIB
    assert _unaccepted(machine) == [(5 * GIB, 6 * GIB)]


def test_below_4g_leaves_exactly_the_high_memory() -> None:
    machine = Machine(_options(memory=6 * GIB, accept="below-4g"))
    assert machine.boot_bytes == 2 * GIB
    assert machine.td.unaccepted_bytes == 4 * GIB


def test_eager_leaves_nothing() -> None:
    machine = Machine(_options(accept="eager"))
    assert machine.td.unaccepted_bytes == 0
    assert _unaccepted(machine) == []


def test_presize_adds_the_boot_blobs_rounded_up_to_a_page() -> None:
    machine = Machine(_options(accept="presize:256M"), image_bytes=10 * MIB + 1)
    assert machine.boot_bytes == 266 * MIB + 4096


def test_added_pages_count_as_accepted_from_the_start() -> None:
    machine = Machine(_options())
    assert machine.td.added_bytes > 0
    assert machine.boot_bytes == 512 * MIB  # not 512 MiB and the added pages


@pytest.mark.parametrize("model", FIRMWARE_MODEL_NAMES)
@pytest.mark.parametrize("loader", ["direct", "grub2.12"])
def test_every_page_of_ram_is_in_the_map_once(model: str, loader: str) -> None:
    machine = Machine(_options(memory=3 * GIB, accept="1G", firmware_model=model, loader=loader))
    ram = sorted(
        (entry.physical_start, entry.physical_end)
        for entry in machine.services.memory_map_view().descriptors
        if any(span.start <= entry.physical_start < span.end for span in machine.td.ram.spans)
    )
    assert all(before[1] <= after[0] for before, after in pairwise(ram))
    assert sum(end - start for start, end in ram) == 3 * GIB


def test_a_plain_vm_accepts_nothing_and_has_the_legacy_hole() -> None:
    machine = Machine(_options(td=False))
    assert machine.boot_accept is None
    assert machine.services.core.memory_map.find(0xA0000) is None
    assert Machine(_options()).services.core.memory_map.find(0xA0000) is not None


def test_ram_in_a_td_has_attribute_0_and_in_a_plain_vm_0xf() -> None:
    def attribute(td: bool) -> int:
        found = Machine(_options(td=td)).services.core.memory_map.find(0x2000000)
        assert found is not None
        return found.attribute

    assert attribute(True) == 0
    assert attribute(False) == 0xF


def test_firmware_lives_below_the_end_of_what_was_accepted() -> None:
    for accepted in (256 * MIB, 512 * MIB):
        machine = Machine(_options(accept=str(accepted)))
        last = machine.services.core.memory_map.find(accepted - 4096)
        assert last is not None
        assert last.memory_type == EfiMemoryType.EfiRuntimeServicesData


@pytest.mark.parametrize("model", FIRMWARE_MODEL_NAMES)
def test_what_firmware_frees_on_its_way_lies_below_what_was_accepted(model: str) -> None:
    for accepted in (256 * MIB, 512 * MIB):
        machine = Machine(_options(accept=str(accepted), loader="grub2.12", firmware_model=model))
        for call in machine.firmware_calls():
            if call.address is not None:
                entry = machine.services.core.memory_map.find(call.address)
                assert entry is not None
                assert entry.memory_type != EfiMemoryType.EfiConventionalMemory


def test_a_td_too_small_for_its_own_firmware_does_not_start_and_says_how_much_it_takes() -> None:
    with pytest.raises(UsageError, match=r"does not start.*inteltdx needs .* MiB"):
        Machine(_options(accept="32M"))


def test_64_tib_make_no_more_descriptors_than_4_gib() -> None:
    small = len(Machine(_options(memory=4 * GIB)).services.memory_map_view().descriptors)
    large = Machine(_options(memory=64 * TIB))
    assert len(large.services.memory_map_view().descriptors) == small
    assert large.td.unaccepted_bytes == 64 * TIB - 512 * MIB


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"on_demand": "magic"}, "--on-demand magic: unknown"),
        ({"loader": "lilo"}, "--loader lilo: unknown"),
        ({"profile": "edk1"}, "--profile edk1: unknown"),
        ({"firmware_model": "seabios"}, "--firmware-model seabios: unknown"),
        ({"gpaw": 47}, "--gpaw 47"),
        ({"vcpus": 0}, "--vcpus 0"),
        ({"host_page_size": 12345}, "--host-page-size"),
    ],
)
def test_values_that_cannot_be_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TdOptions(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("memory", [0, 4096, 127 * MIB, 65 * TIB, 512 * MIB + 1])
def test_ram_that_cannot_be_is_refused(memory: int) -> None:
    with pytest.raises(UsageError):
        Machine(_options(memory=memory))


def test_the_same_options_make_the_same_machine() -> None:
    one, other = Machine(_options()), Machine(_options())
    assert one.services.memory_map_view() == other.services.memory_map_view()
    assert one.clock.now_ns == other.clock.now_ns
