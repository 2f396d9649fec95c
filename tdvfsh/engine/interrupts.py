"""When an interrupt is taken: where time passes, and where the guest turns interrupts on again.

The emulator tells nobody of STI. Where the guest has waited with interrupts off and turns them on without a stop in
between, as an idle loop does, it is single-stepped to that place, which is a stop from then on for whoever waits there.
"""

from __future__ import annotations

from typing import Final

from tdvfsh.engine.clock import GuestClock
from tdvfsh.engine.cpu import Cpu
from tdvfsh.engine.delivery import INTERRUPT_FLAG
from tdvfsh.engine.errors import GuestDead
from tdvfsh.engine.platform.local_apic import LocalApic
from tdvfsh.engine.processor_state import ProcessorState

_TRAP: Final = 1 << 8
_STEPS: Final = 4_000
_PUSHF: Final = 0x9C
_PLACE_SIZE: Final = 64
_RSP: Final = 4


class Interrupts:
    """Interrupts of one vCPU.

    Args:
        apic: Its local APIC.
        clock: Virtual time.
        cpu: The processor.
        state: Its state, loaded.
    """

    def __init__(self, apic: LocalApic, clock: GuestClock, cpu: Cpu, state: ProcessorState) -> None:
        self._apic = apic
        self._clock = clock
        self._cpu = cpu
        self._state = state
        self._windows: set[int] = set()
        self._known: set[bytes] = set()
        self._place = b""
        self._steps = 0
        self._pushes = False

    @property
    def stepping(self) -> bool:
        """Whether the guest is being single-stepped."""
        return self._steps > 0

    def due(self) -> bool:
        """Asked where time passes: whether to stop for an interrupt."""
        self._apic.tick()
        return self._apic.pending() is not None and bool(self._cpu.read("EFLAGS") & INTERRUPT_FLAG)

    def take(self) -> int | None:
        """The vector of a pending interrupt, if the guest lets us; it is being served from then on."""
        self._apic.tick()
        vector = self._apic.pending()
        if vector is None or not self._state.system_flags & INTERRUPT_FLAG:
            return None
        self._apic.acknowledge(vector)
        return vector

    def wait(self) -> None:
        """HLT: on to the next interrupt.

        Raises:
            GuestDead: None will come.
        """
        apic, clock = self._apic, self._clock
        apic.tick()
        if apic.pending() is None:
            due = apic.due_ns
            if due is None:
                raise GuestDead("the system waits for an interrupt, and none will come")
            clock.advance(max(0, due - clock.now_ns))
            apic.tick()
        if apic.pending() is not None and not self._state.system_flags & INTERRUPT_FLAG:
            self._place = self._where()
            if self._place not in self._known:
                self._steps = _STEPS
                self._state.system_flags |= _TRAP

    def _where(self) -> bytes:
        """Tells one place that waits from another: the instruction, and what lies on its stack."""
        state = self._state
        stack = self._cpu.memory.read(state.register(_RSP), _PLACE_SIZE) or b""
        return state.instruction_pointer.to_bytes(8, "little") + stack

    def resuming(self) -> None:
        """The guest goes on at its instruction pointer."""
        if self._steps:
            self._pushes = self._cpu.memory.read(self._state.instruction_pointer, 1) == bytes((_PUSHF,))

    def give_up_stepping(self) -> None:
        """An exception comes in between: its handler and whoever it returns to are not to see the trap flag."""
        if self._steps:
            self._steps = 0
            self._state.system_flags &= ~_TRAP

    def stepped(self) -> None:
        """One instruction of single-stepping is over."""
        state = self._state
        state.exception_delivered()
        self._steps -= 1
        if self._pushes:  # PUSHF is not to show the flag
            stack = state.register(_RSP)
            pushed = self._cpu.memory.read(stack, 8)
            if pushed is not None:
                self._cpu.memory.write(stack, (int.from_bytes(pushed, "little") & ~_TRAP).to_bytes(8, "little"))
        if state.system_flags & INTERRUPT_FLAG:
            self._steps = 0
            self._known.add(self._place)
            if state.instruction_pointer not in self._windows:
                self._windows.add(state.instruction_pointer)
                self._cpu.stop_at(state.instruction_pointer, self.due)
        if not self._steps:
            state.system_flags &= ~_TRAP
