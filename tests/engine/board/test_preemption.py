"""Loops without an exit: time passes in them, interrupts arrive, the other vCPUs run, and all of it twice the same."""

from __future__ import annotations

import pytest

from tdvfsh.engine.board import preemption
from tdvfsh.engine.board.preemption import BLOCKS, Preemption
from tdvfsh.engine.x86 import block_counter as counting
from tdvfsh.machine import TdOptions
from tdvfsh.units import PAGE_SIZE
from tests.engine.operating_system import PRESENT_WRITABLE, VMCALL_HLT, VMCALL_MAP_GPA, Kernel
from tests.engine.system_run import SystemRan, powered_off

TWO = TdOptions(vcpus=2)
MILLISECOND = 2_000_000  # cycles
USER_INTERRUPTS_ON = 0x202
PAGE = 0x14000000  # an accepted page that is not used
SHARED = 1 << 47


def waits_for(kernel: Kernel, name: str, value: int = 1) -> Kernel:
    """Read a cell again and again, without PAUSE or anything else that exits, until it has a value."""
    again = kernel.new_label()
    return kernel.label(again).fetch("rax", name).raw("483D").word(value).raw("0F85")._to(again)


def ticks_in_a_loop() -> Kernel:
    return waits_for(Kernel().arm_timer(MILLISECOND).sti(), "ticks").keep("rax", "seen").power_off().handle_timer()


def test_a_timer_interrupts_a_loop_that_never_exits() -> None:
    cells = powered_off(ticks_in_a_loop()).cells
    assert cells["seen"] == 1
    assert cells["deadline"] <= cells["now"] < cells["deadline"] + 2 * BLOCKS * 2


def test_with_interrupts_off_it_does_not() -> None:
    kernel = Kernel().arm_timer(MILLISECOND).mov("rcx", 25 * BLOCKS).label("turn").raw("48FFC9 0F85")._to("turn")
    kernel.fetch("rax", "ticks").keep("rax", "meanwhile").sti().fetch("rax", "ticks").keep("rax", "then")
    kernel = waits_for(kernel, "ticks").power_off().handle_timer()
    assert powered_off(kernel).cells["meanwhile"] == 0


def test_two_runs_are_the_same_to_the_register() -> None:
    first, second = (powered_off(ticks_in_a_loop()) for _ in range(2))
    assert first.cells == second.cells
    assert first.counts == second.counts


def test_who_counts_in_python_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    here = powered_off(ticks_in_a_loop())
    monkeypatch.setattr(counting, "machine_code", lambda: None)
    there = powered_off(ticks_in_a_loop())
    assert here.cells == there.cells
    assert here.firmware.clock.now_ns == there.firmware.clock.now_ns


def test_a_loop_in_user_space_takes_more_of_the_time() -> None:
    kernel = Kernel().arm_timer(4 * MILLISECOND).enter_user("user", USER_INTERRUPTS_ON)
    kernel = waits_for(kernel.label("user"), "ticks").raw("0F0B").label("#UD").gate(6, "#UD").power_off()
    cells = powered_off(kernel.handle_timer()).cells
    assert cells["deadline"] <= cells["now"] < cells["deadline"] + 2 * 40 * BLOCKS * 2


def faults(user: bool) -> SystemRan:
    """An instruction that raises an exception a hundred times, in user space or in the kernel."""
    kernel = Kernel().mov("rcx", 100).read_time_stamp().keep("rax", "begin")
    kernel = kernel.enter_user("fault") if user else kernel
    kernel.label("fault").raw("0F0B").label("#UD").gate(6, "#UD").raw("48FFC9 0F84")._to("end").iretq()
    return powered_off(kernel.label("end").read_time_stamp().keep("rax", "end").power_off())


def test_the_way_from_user_space_to_the_kernel_takes_twenty_microseconds_and_in_the_kernel_none() -> None:
    of_user, of_kernel = (ran.cells["end"] - ran.cells["begin"] for ran in (faults(user=True), faults(user=False)))
    assert of_kernel < 1_000
    assert 0 <= of_user - of_kernel - 100 * 20_000 * 2 < 1_000


def ping_pong() -> SystemRan:
    """Two vCPUs hand a number to each other 30 times, without PAUSE."""
    kernel = Kernel().wake(1, "second")
    for number in range(1, 15):
        kernel = waits_for(kernel.set("ping", number), "pong", number)
    kernel.read_time_stamp().keep("rax", "end").power_off().second("second")
    for number in range(1, 15):
        kernel = waits_for(kernel, "ping", number).set("pong", number)
    return powered_off(kernel.vmcall(VMCALL_HLT, r12=1), TWO)


def test_two_that_wait_for_each_other_without_pause_both_go_on() -> None:
    assert ping_pong().cells["pong"] == 14


def test_two_runs_of_two_vcpus_that_are_preempted_are_the_same() -> None:
    first, second = ping_pong(), ping_pong()
    assert first.cells == second.cells
    assert first.firmware.clock.now_ns == second.firmware.clock.now_ns


@pytest.mark.parametrize("blocks", [2, 3, 5, 6])
def test_no_interrupt_comes_between_sti_and_the_end_of_the_next_instruction(
    blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processor stops every few blocks, and so also at the one that begins after STI."""
    monkeypatch.setattr(preemption, "BLOCKS", blocks)
    kernel = Kernel().arm_timer(2_000).mov("rcx", 3000).label("turn").raw("FB").label("held").raw("90 FA 48FFC9 0F85")
    kernel = kernel._to("turn").fetch("rax", "ticks").keep("rax", "seen").power_off().handle_timer()
    cells = powered_off(kernel).cells
    assert cells["seen"] == 1
    assert cells["came from"] == kernel.place("held") + 1


def turns_on_a_shared_page() -> Kernel:
    """A loop that changes and copies words of a shared page, and jumps through it, until three ticks have come."""
    kernel = Kernel()
    window = kernel.page(1, PAGE | SHARED | PRESENT_WRITABLE)
    kernel.vmcall(VMCALL_MAP_GPA, r12=PAGE | SHARED, r13=PAGE_SIZE).lea("rax", "back").mov("rcx", window)
    kernel.store("rcx", 128, "rax").arm_timer(10_000).sti().label("turn").mov("rcx", window)
    kernel.raw("48FF01 48FF4108 9090")  # inc qword [rcx]; dec qword [rcx + 8]
    kernel.copy("rsi", "rcx").address("rdi", "rcx", 64).copy("rbx", "rcx").mov("rcx", 3).raw("FC F3A4 90")  # rep movsb
    kernel.raw("FFA380000000 CC").label("back")  # jmp [rbx + 128]
    kernel.load("rax", "rbx").keep("rax", "turns").fetch("rax", "ticks").jump_if_zero("turn")
    kernel.read_time_stamp().keep("rax", "end").power_off()
    return kernel.handle_timer()


def test_what_the_emulator_remembers_of_shared_pages_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preemption, "BLOCKS", 50)
    remembering = powered_off(turns_on_a_shared_page())
    stopped = Preemption.stopped

    def forget(self: Preemption) -> None:
        stopped(self)
        self._cpu.state.store()
        self._cpu.forget_translations()

    monkeypatch.setattr(Preemption, "stopped", forget)
    forgetful = powered_off(turns_on_a_shared_page())
    assert remembering.cells["turns"] > 100
    assert forgetful.cells == remembering.cells
    assert forgetful.firmware.clock.now_ns == remembering.firmware.clock.now_ns
