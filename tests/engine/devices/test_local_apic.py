"""The local APIC in x2APIC mode, as Intel SDM volume 3, chapter 11, has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.devices.interrupt_bus import InterruptBus
from tdvfsh.engine.devices.local_apic import FIRST, LAST, TSC_DEADLINE, LocalApic

ID, VERSION, TPR, PPR, EOI, LDR, SVR = 0x802, 0x803, 0x808, 0x80A, 0x80B, 0x80D, 0x80F
ISR, TMR, IRR, ESR, ICR = 0x810, 0x818, 0x820, 0x828, 0x830
LVT_CMCI, LVT_TIMER, LVT_LINT0, LVT_ERROR = 0x82F, 0x832, 0x835, 0x837
INITIAL, CURRENT, DIVIDE, SELF_IPI = 0x838, 0x839, 0x83E, 0x83F
ENABLED = 0x100
MASKED = 1 << 16
PERIODIC, DEADLINE = 1 << 17, 2 << 17
DIVIDE_BY_1 = 0b1011
VECTOR = 0xEC
VECTORS = st.integers(16, 255)


class Machine:
    """A local APIC that software has enabled, and the time."""

    def __init__(self, number: int = 0, enabled: bool = True) -> None:
        self.now = 0
        self.apic = LocalApic(number, lambda: self.now, 2)
        self.ended: list[int] = []
        self.apic.ended = self.ended.append
        if enabled:
            assert self.apic.write(SVR, ENABLED | 0xFF)

    def wait(self, ns: int) -> int | None:
        """Let time pass; the vector that the processor would take then."""
        self.now += ns
        self.apic.tick()
        return self.apic.pending()

    def due(self) -> int | None:
        """When the timer fires next."""
        return self.apic.due_ns

    def take(self) -> int:
        """The processor takes what is pending."""
        vector = self.apic.pending()
        assert vector is not None
        self.apic.acknowledge(vector)
        return vector

    def vectors(self, register: int) -> list[int]:
        """Bits of ISR, TMR or IRR."""
        words = [self.apic.read(register + number) for number in range(8)]
        return [32 * at + bit for at, word in enumerate(words) if word for bit in range(32) if word >> bit & 1]


def test_registers_after_reset_are_those_of_the_manual() -> None:
    apic = Machine(0x25, enabled=False).apic
    values = {msr: apic.read(msr) for msr in range(FIRST, LAST + 1) if apic.read(msr)}
    local_vectors = dict.fromkeys((LVT_CMCI, *range(LVT_TIMER, LVT_ERROR + 1)), MASKED)
    assert values == {ID: 0x25, VERSION: 0x60015, LDR: 0x2_0020, SVR: 0xFF, **local_vectors}
    for register in (TPR, PPR, ISR, TMR, IRR, ESR, ICR, INITIAL, CURRENT, DIVIDE, TSC_DEADLINE):
        assert apic.read(register) == 0


@pytest.mark.parametrize("register", [EOI, SELF_IPI, 0x800, 0x809, 0x80E, 0x831, 0x83A, LAST])
def test_registers_that_are_only_written_or_not_there_cannot_be_read(register: int) -> None:
    assert Machine().apic.read(register) is None


@pytest.mark.parametrize("register", [ID, VERSION, PPR, LDR, ISR, ISR + 7, TMR, IRR + 7, CURRENT, 0x80E, 0x831, LAST])
def test_registers_that_are_only_read_or_not_there_cannot_be_written(register: int) -> None:
    assert not Machine().apic.write(register, 0)


@pytest.mark.parametrize(
    ("register", "value"),
    [(EOI, 1), (ESR, 1), (TPR, 0x100), (SELF_IPI, 0x130), (DIVIDE, 4), (INITIAL, 1 << 32), (SVR, 1 << 32),
     (ICR, 1 << 13 | 0x30), (ICR, 1 << 16 | 0x30), (ICR, 1 << 20 | 0x30)],
)  # fmt: skip
def test_reserved_bits_are_refused_and_change_nothing(register: int, value: int) -> None:
    machine = Machine()
    before = [machine.apic.read(each) for each in range(FIRST, LAST + 1)]
    assert not machine.apic.write(register, value)
    assert [machine.apic.read(each) for each in range(FIRST, LAST + 1)] == before


def test_the_highest_class_above_the_processor_priority_is_taken_first() -> None:
    machine = Machine()
    for vector in (0x31, 0x3F, 0x52, 0x51):
        machine.apic.request(vector)
    assert machine.take() == 0x52
    assert machine.apic.read(PPR) == 0x50
    assert machine.apic.pending() is None  # 0x51 is of the class that is being served
    machine.apic.request(0x60)
    assert machine.take() == 0x60
    assert machine.vectors(ISR) == [0x52, 0x60]
    assert machine.vectors(IRR) == [0x31, 0x3F, 0x51]


def test_the_end_of_an_interrupt_ends_the_highest_one_in_service() -> None:
    machine = Machine()
    for vector in (0x30, 0x40, 0x50):
        machine.apic.request(vector)
        assert machine.take() == vector
    for left in ([0x30, 0x40], [0x30], [], []):
        assert machine.apic.write(EOI, 0)
        assert machine.vectors(ISR) == left


@pytest.mark.parametrize(
    ("task", "served", "processor"), [(0x35, None, 0x35), (0x2F, 0x31, 0x30), (0x4C, 0x31, 0x4C), (0, 0x31, 0x30)]
)
def test_processor_priority_is_the_task_priority_or_the_class_in_service(
    task: int, served: int | None, processor: int
) -> None:
    machine = Machine()
    if served is not None:
        machine.apic.request(served)
        machine.take()
    assert machine.apic.write(TPR, task)
    assert machine.apic.read(TPR) == task
    assert machine.apic.read(PPR) == processor


def test_task_priority_holds_back_its_own_class_and_those_below() -> None:
    machine = Machine()
    machine.apic.write(TPR, 0x40)
    machine.apic.request(0x4F)
    assert machine.apic.pending() is None
    machine.apic.request(0x50)
    assert machine.apic.pending() == 0x50
    machine.apic.write(TPR, 0x3F)
    machine.take()
    machine.apic.write(EOI, 0)
    assert machine.apic.pending() == 0x4F


@given(st.lists(VECTORS, max_size=8), st.lists(VECTORS, max_size=8), st.integers(0, 255))
def test_what_is_pending_is_the_highest_request_if_its_class_is_above_all_that_is_served(
    served: list[int], requested: list[int], task: int
) -> None:
    machine = Machine()
    for vector in sorted(served):
        machine.apic.request(vector)
        machine.apic.acknowledge(vector)
    for vector in requested:
        machine.apic.request(vector)
    machine.apic.write(TPR, task)
    floor = max([task >> 4, *(vector >> 4 for vector in served)])
    above = [vector for vector in requested if vector >> 4 > floor]
    assert machine.apic.pending() == (max(above) if above else None)
    assert machine.vectors(IRR) == sorted(set(requested))
    assert machine.vectors(ISR) == sorted(set(served))


@given(st.lists(VECTORS, max_size=20))
def test_every_request_is_taken_once_and_an_interrupt_only_by_a_higher_class(vectors: list[int]) -> None:
    machine = Machine()
    taken: list[int] = []
    stack: list[int] = []
    for vector in vectors:
        machine.apic.request(vector)
        if machine.apic.pending() is not None:
            stack.append(machine.take())
            taken.append(stack[-1])
            assert [each >> 4 for each in stack] == sorted({each >> 4 for each in stack})
    while stack or machine.apic.pending() is not None:
        if machine.apic.pending() is not None:
            stack.append(machine.take())
            taken.append(stack[-1])
        else:
            machine.apic.write(EOI, 0)
            stack.pop()
    assert set(taken) == set(vectors)
    assert not machine.vectors(IRR)


def test_a_self_interrupt_arrives_and_illegal_vectors_do_not() -> None:
    machine = Machine()
    for vector in (0, 15):
        assert machine.apic.write(SELF_IPI, vector)
    assert machine.vectors(IRR) == []
    for vector in (16, 0xF2):
        assert machine.apic.write(SELF_IPI, vector)
    assert machine.vectors(IRR) == [16, 0xF2]
    assert machine.apic.pending() == 0xF2


@pytest.mark.parametrize(
    ("command", "arrives"),
    [
        (0x25 << 32 | 0xFB, True),  # by its ID
        (0x24 << 32 | 0xFB, False),
        (0xFFFFFFFF << 32 | 0xFB, True),  # everybody
        (0x0002_0020 << 32 | 1 << 11 | 0xFB, True),  # logical: cluster 2, bit 5
        (0x0002_FFFF << 32 | 1 << 11 | 0xFB, True),
        (0x0002_FFDF << 32 | 1 << 11 | 0xFB, False),
        (0x0003_0020 << 32 | 1 << 11 | 0xFB, False),
        (1 << 18 | 0xFB, True),  # self
        (2 << 18 | 0xFB, True),  # all
        (3 << 18 | 0xFB, False),  # all others
        (0x25 << 32 | 5 << 8, False),  # INIT
    ],
)
def test_an_interprocessor_interrupt_is_one_write_of_64_bits(command: int, arrives: bool) -> None:
    machine = Machine(0x25)
    assert machine.apic.write(ICR, command)
    assert machine.apic.read(ICR) == command
    assert machine.vectors(IRR) == ([0xFB] if arrives else [])


def test_destinations_and_shorthands_reach_the_others_on_the_bus() -> None:
    bus = InterruptBus()
    first, second, third = apics = [LocalApic(number, lambda: 0, 2, bus) for number in range(3)]
    for apic in apics:
        apic.write(SVR, ENABLED | 0xFF)

    def arrived(command: int) -> list[int]:
        assert second.write(ICR, command)
        found = [number for number, apic in enumerate(apics) if apic.pending() == 0xFB]
        for number in found:
            apics[number].acknowledge(0xFB)
            apics[number].write(EOI, 0)
        return found

    assert arrived(2 << 32 | 0xFB) == [2]
    assert arrived(0b101 << 32 | 1 << 11 | 0xFB) == [0, 2]
    assert arrived(0b101 << 32 | 1 << 11 | 1 << 8 | 0xFB) == [0]  # lowest priority: one of them
    assert arrived(1 << 18 | 0xFB) == [1]
    assert arrived(2 << 18 | 0xFB) == [0, 1, 2]
    assert arrived(3 << 18 | 0xFB) == [0, 2]
    assert arrived(3 << 18 | 4 << 8 | 0xFB) == []  # NMI: the vector is none
    assert [apic.nmi for apic in (first, second, third)] == [True, False, True]


def test_only_level_triggered_interrupts_are_in_tmr_and_told_of_when_they_end() -> None:
    machine = Machine()
    machine.apic.request(0x31, level=True)
    machine.apic.request(0x41)
    assert machine.vectors(TMR) == [0x31]
    assert machine.take() == 0x41
    machine.apic.write(EOI, 0)
    assert machine.ended == []
    assert machine.take() == 0x31
    machine.apic.write(EOI, 0)
    assert machine.ended == [0x31]
    machine.apic.request(0x31)
    assert machine.vectors(TMR) == []


def test_disabled_by_software_local_vectors_are_masked_and_nothing_arrives() -> None:
    machine = Machine()
    machine.apic.write(LVT_TIMER, VECTOR)
    assert machine.apic.read(LVT_TIMER) == VECTOR
    machine.apic.write(SVR, 0xFF)
    machine.apic.write(LVT_LINT0, 0x700)
    assert machine.apic.read(LVT_TIMER) == VECTOR | MASKED
    assert machine.apic.read(LVT_LINT0) == 0x700 | MASKED
    machine.apic.request(0x40)
    machine.apic.write(SVR, ENABLED | 0xFF)
    assert machine.apic.pending() is None
    assert machine.apic.read(LVT_TIMER) == VECTOR | MASKED


def test_a_one_shot_timer_fires_once_and_counts_down() -> None:
    machine = Machine()
    machine.apic.write(LVT_TIMER, VECTOR)
    machine.apic.write(DIVIDE, DIVIDE_BY_1)
    machine.apic.write(INITIAL, 1000)
    assert machine.due() == 1000
    assert machine.wait(400) is None
    assert machine.apic.read(CURRENT) == 600
    assert machine.wait(600) == VECTOR
    machine.take()
    machine.apic.write(EOI, 0)
    assert (machine.apic.read(CURRENT), machine.due()) == (0, None)
    machine.apic.write(LVT_TIMER, VECTOR + 1)  # writing the vector starts nothing
    assert machine.wait(10_000) is None


@pytest.mark.parametrize(("code", "divisor"), [(0, 2), (1, 4), (2, 8), (3, 16), (8, 32), (9, 64), (10, 128), (11, 1)])
def test_the_timer_counts_every_so_many_cycles_of_the_bus(code: int, divisor: int) -> None:
    machine = Machine()
    machine.apic.write(DIVIDE, code)
    assert machine.apic.read(DIVIDE) == code
    machine.apic.write(INITIAL, 10)
    assert machine.due() == 10 * divisor


def test_a_periodic_timer_goes_on_and_catches_up_without_a_burst() -> None:
    machine = Machine()
    machine.apic.write(DIVIDE, DIVIDE_BY_1)
    machine.apic.write(LVT_TIMER, PERIODIC | VECTOR)
    machine.apic.write(INITIAL, 100)
    for _ in range(3):
        assert machine.wait(100) == VECTOR
        machine.take()
        machine.apic.write(EOI, 0)
        assert machine.wait(0) is None
    assert machine.wait(250) == VECTOR
    assert machine.due() == 600
    machine.apic.write(INITIAL, 0)
    machine.take()
    machine.apic.write(EOI, 0)
    assert (machine.wait(1000), machine.due()) == (None, None)


def test_the_tsc_deadline_fires_when_the_counter_has_reached_it_and_is_0_then() -> None:
    machine = Machine()  # two cycles a nanosecond
    machine.apic.write(LVT_TIMER, DEADLINE | VECTOR)
    assert machine.apic.write(TSC_DEADLINE, 2001)
    assert (machine.apic.read(TSC_DEADLINE), machine.due()) == (2001, 1001)
    assert machine.wait(1000) is None
    assert machine.wait(1) == VECTOR
    assert (machine.apic.read(TSC_DEADLINE), machine.due()) == (0, None)
    machine.take()
    machine.apic.write(EOI, 0)
    machine.apic.write(TSC_DEADLINE, 1)  # past already
    assert machine.wait(0) == VECTOR
    machine.take()
    machine.apic.write(EOI, 0)
    machine.apic.write(TSC_DEADLINE, 9000)
    machine.apic.write(TSC_DEADLINE, 0)
    assert machine.wait(9000) is None


def test_outside_its_mode_the_deadline_is_not_kept_and_a_change_of_mode_disarms() -> None:
    machine = Machine()
    machine.apic.write(LVT_TIMER, VECTOR)
    assert machine.apic.write(TSC_DEADLINE, 2000)
    assert machine.apic.read(TSC_DEADLINE) == 0
    machine.apic.write(INITIAL, 100)
    machine.apic.write(LVT_TIMER, DEADLINE | VECTOR)
    assert (machine.due(), machine.apic.read(CURRENT)) == (None, 0)
    machine.apic.write(TSC_DEADLINE, 2000)
    machine.apic.write(LVT_TIMER, VECTOR)
    assert (machine.due(), machine.apic.read(TSC_DEADLINE)) == (None, 0)


def test_a_masked_timer_is_silent() -> None:
    machine = Machine()
    machine.apic.write(LVT_TIMER, MASKED | VECTOR)
    machine.apic.write(INITIAL, 10)
    assert machine.wait(100) is None
    machine.apic.write(LVT_TIMER, VECTOR)
    assert machine.wait(100) is None
