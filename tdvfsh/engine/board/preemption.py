"""Preemption: time passes with the code that runs, so that no loop keeps the processor for itself.

If time passed at the guest's exits alone, a loop without any would never be interrupted. So the blocks of code that
run are counted, and after :data:`BLOCKS` of them the processor stops: time passes, an interrupt that is due is taken,
and another vCPU may have its turn. All of it follows from the number of blocks, which is the same in every run.

One kind of stop is not: an instruction that touches a shared page is single-stepped whenever the emulator has
forgotten the page's translation, and how much it remembers depends on the host's clock (cputlb.c sizes its tables by
it). Such a step leaves the count as it would be without it.

In the kernel a block takes a nanosecond, about what it takes a processor: a boot sees few ticks more. In user space it
takes forty, about what it takes the emulator: a program that waits there for a timer waits real seconds.

The way from user space to the kernel takes 20 microseconds, by a system call or an exception. A processor needs a
hundredth of that, the emulator thrice as much: two seconds of a program that does nothing else (``stress-ng --futex 1
--timeout 2s``) would take a quarter of an hour. A kernel's boot up to its first program has no such moments.
"""

from __future__ import annotations

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.block_counter import BlockCounter
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.guest_clock import GuestClock
from tdvfsh.engine.x86.processor_state import INTERRUPTS_HELD
from tdvfsh.lazy_typing import Any, Final

BLOCKS: Final = 100_000
"""Blocks between two stops: about 4 ms of a host's time."""
_KERNEL_NS: Final = 1
_USER_NS: Final = 40
_ENTRY_NS: Final = 20_000
_USER: Final = 3
_HELD: Final = 1 << 40


class Preemption:
    """Stops of code that would run on, and the time that it has taken.

    Args:
        cpu: The processor.
        clock: Virtual time.

    Attributes:
        counters: All that count blocks, which a step within a block must leave as they would be without it.
    """

    def __init__(self, cpu: Cpu, clock: GuestClock) -> None:
        self._cpu = cpu
        self._clock = clock
        self._counter: BlockCounter | None = None
        self.counters: list[BlockCounter] = []
        capstone: Any = cpu_extra("capstone")
        self._disassembler: Any = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._held: tuple[list[int], int, int, bool] | None = None

    def begin(self) -> None:
        """From now on count. Only while no guest code runs."""
        if self._counter is None:
            self._counter = self._cpu.count_blocks(BLOCKS)
            self.counters.append(self._counter)

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

    def leaving(self) -> None:
        """A system call or an exception is about to be delivered: from user space, the way to the kernel takes time."""
        if self._cpu.state.privilege == _USER:
            self._clock.advance(_ENTRY_NS)

    def hold(self, code: bytes) -> None:
        """An instruction will be executed on its own, in the middle of a block that has begun.

        Args:
            code: Its bytes, and perhaps those after it.
        """
        if self.counters and self._held is None:
            at = self._cpu.state.instruction_pointer
            size, name = next(
                ((size, name) for _, size, name, _ in self._disassembler.disasm_lite(code, at, 1)), (0, "")
            )
            self._held = [counter.left for counter in self.counters], at, at + size, name.startswith("rep ")
            for counter in self.counters:
                counter.arm(_HELD)

    def release(self) -> None:
        """That is over: the rest of its block, if there is any, is not a block of its own.

        REP MOVS and the like jump to themselves after each element, and end with a turn that finds nothing to do.
        Executed on its own, the last element leaves that out, so it is put back.
        """
        held, state = self._held, self._cpu.state
        if held is None:
            return
        self._held = None
        left, begin, rest, repeated = held
        if state.instruction_pointer == rest and repeated:
            state.instruction_pointer = begin
        again = int(state.instruction_pointer == rest and not repeated)
        for counter, before in zip(self.counters, left, strict=True):
            counter.arm(before + again)
