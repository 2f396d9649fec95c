"""The bus of devices: who answers where, and that two never answer at the same place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.devices.absent import absent_address, absent_port
from tdvfsh.engine.devices.bus import DeviceBus, Overlap


class Memory:
    """A device that remembers what was written where."""

    def __init__(self) -> None:
        self.values: dict[int, int] = {}

    def read(self, offset: int, size: int) -> int:
        return self.values.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        self.values[offset] = value


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=12))
def test_each_address_has_the_device_that_was_attached_there_first(wanted: list[tuple[int, int]]) -> None:
    bus = DeviceBus("port")
    owners: dict[int, int] = {}
    for number, (start, size) in enumerate(wanted):
        span = range(start, start + size)
        if owners.keys() & set(span):
            with pytest.raises(Overlap):
                bus.attach(start, size, str(number), Memory())
        else:
            bus.attach(start, size, str(number), Memory())
            owners |= dict.fromkeys(span, number)
    found = {at: int(region.name) for region in bus.regions for at in range(region.start, region.end)}
    assert found == owners
    for at in range(80):
        overlapping = bus.overlapping(at, 1)
        assert (int(overlapping.name) if overlapping is not None else None) == owners.get(at)
        assert bus.read(at, 1) == (0 if at in owners else 0xFF)


def test_an_overlap_is_refused_with_both_names() -> None:
    bus = DeviceBus("port")
    bus.attach(0x70, 2, "CMOS", Memory())
    with pytest.raises(Overlap, match="clock at port 0x71 overlaps CMOS at 0x70"):
        bus.attach(0x71, 4, "clock", Memory())


def test_a_detached_device_no_longer_answers_and_its_place_is_free() -> None:
    bus = DeviceBus("address")
    bus.attach(0x1000, 0x1000, "first", Memory())
    bus.write(0x1008, 4, 7)
    bus.detach(0x1000)
    assert bus.read(0x1008, 4) == 0xFFFFFFFF
    bus.attach(0x1800, 0x100, "second", Memory())
    assert bus.read(0x1808, 4) == 0


def test_what_nothing_answers_is_counted_by_name() -> None:
    bus = DeviceBus("port")
    bus.read(0x92, 1)
    bus.read(0x92, 1)
    bus.write(0x21, 1, 0xFF)
    assert bus.missing == {"port 0x92 (read)": 2, "port 0x21 (write)": 1}


def test_a_device_that_a_pc_may_have_is_named_when_a_guest_looks_for_it() -> None:
    ports, memory = DeviceBus("port", absent=absent_port), DeviceBus("address", absent=absent_address)
    ports.write(0xA1, 1, 0xFF)
    ports.read(0x2F8, 1)
    ports.read(0x1234, 1)
    memory.read(0xFED00000, 8)
    assert ports.missing == {"port 0xa1 (8259 PIC, write)": 1, "port 0x2f8 (COM2, read)": 1, "port 0x1234 (read)": 1}
    assert memory.missing == {"address 0xfed00000 (HPET, read)": 1}
