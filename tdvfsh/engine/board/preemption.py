"""Preemption: time passes with the code that runs, so that no loop keeps the processor for itself.

If time passed at the guest's exits alone, a loop without any would never be interrupted. So the blocks of code that
run are counted, and after :data:`BLOCKS` of them the processor stops: time passes, an interrupt that is due is taken,
and another vCPU may have its turn. All of it follows from the number of blocks, which is the same in every run.

In the kernel a block takes a nanosecond, about what it takes a processor: a boot sees few ticks more. In user space it
takes forty, about what it takes the emulator: a program that waits there for a timer waits real seconds.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.engine.x86.block_counter import BlockCounter
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.guest_clock import GuestClock
from tdvfsh.engine.x86.processor_state import INTERRUPTS_HELD

BLOCKS: Final = 100_000
"""Blocks between two stops: about 4 ms of a host's time."""
_KERNEL_NS: Final = 1
_USER_NS: Final = 40
_USER: Final = 3


class Preemption:
    """Stops of code that would run on, and the time that it has taken.

    Args:
        cpu: The processor.
        clock: Virtual time.
    """

    def __init__(self, cpu: Cpu, clock: GuestClock) -> None:
        self._cpu = cpu
        self._clock = clock
        self._counter: BlockCounter | None = None

    def begin(self) -> None:
        """From now on count. Only while no guest code runs."""
        if self._counter is None:
            self._counter = self._cpu.count_blocks(BLOCKS)

    def stopped(self) -> None:
        """The processor has stopped, its state is loaded: where its blocks are used up, let their time pass.

        Between STI, or a load of SS, and the end of the next instruction no interrupt is taken: that runs first.
        """
        counter = self._counter
        if counter is None or counter.left > 0:
            return
        state = self._cpu.state
        if state.hidden_flags & INTERRUPTS_HELD:
            counter.arm(2)
            return
        counter.arm(BLOCKS)
        self._clock.advance(BLOCKS * (_USER_NS if state.privilege == _USER else _KERNEL_NS))
