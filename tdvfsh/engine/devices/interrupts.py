"""When a vCPU takes an interrupt: where time passes, and where the guest turns interrupts on again.

The emulator does not report STI. Where the guest has waited with interrupts off and turns them on without a stop in
between, as an idle loop does, it is single-stepped to that place, which is a stop from then on for every vCPU
that waits there.
"""

from __future__ import annotations

from tdvfsh.engine.devices.local_apic import LocalApic
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.delivery import INTERRUPT_FLAG
from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.lazy_typing import Final

NMI_VECTOR: Final = 2
_TRAP: Final = 1 << 8
_STEPS: Final = 4_000
_PUSHF: Final = 0x9C
_PLACE_SIZE: Final = 64
_RSP: Final = 4


class Windows:
    """The places where waiting code turns interrupts on: all vCPUs run the same code.

    Attributes:
        stops: Addresses that are stops.
        known: Places that wait, whose stop is known.
    """

    def __init__(self) -> None:
        self.stops: set[int] = set()
        self.known: set[bytes] = set()


class Interrupts:
    """Interrupts of one vCPU.

    Args:
        apic: Its local APIC.
        cpu: The processor.
        state: The state of the vCPU that runs, loaded.
        windows: Shared by all vCPUs.

    Attributes:
        halted: Whether the vCPU waits for an interrupt.
        blocked: Whether no interrupt but an NMI ends that.
    """

    def __init__(self, apic: LocalApic, cpu: Cpu, state: ProcessorState, windows: Windows) -> None:
        self.apic = apic
        self._cpu = cpu
        self._state = state
        self._windows = windows
        self.halted = False
        self.blocked = False
        self._place = b""
        self._steps = 0
        self._pushes = False

    @property
    def stepping(self) -> bool:
        """Whether the guest is being single-stepped."""
        return self._steps > 0

    def due(self) -> bool:
        """Asked where time passes, of the vCPU that runs: whether to stop for an interrupt."""
        self.apic.tick()
        return self.apic.pending() is not None and bool(self._cpu.read("EFLAGS") & INTERRUPT_FLAG)

    def take(self) -> int | None:
        """The vector of a pending interrupt, if the guest lets us; it is being served from then on."""
        apic = self.apic
        if apic.nmi:
            apic.nmi = False
            return NMI_VECTOR
        apic.tick()
        vector = apic.pending()
        if vector is None or not self._state.system_flags & INTERRUPT_FLAG:
            return None
        apic.acknowledge(vector)
        return vector

    # ---- waiting ------------------------------------------------------------------------------------------------

    def halt(self, blocked: bool = False) -> None:
        """HLT: wait for the next interrupt, which may be there already; ``blocked`` for an NMI only."""
        self.halted, self.blocked = True, blocked

    @property
    def ready(self) -> bool:
        """Whether the vCPU has something to do."""
        if not self.halted or self.apic.nmi:
            return True
        self.apic.tick()
        return not self.blocked and self.apic.pending() is not None

    @property
    def due_ns(self) -> int | None:
        """When its timer will end its waiting, if it will."""
        return None if self.blocked else self.apic.due_ns

    def wake(self) -> None:
        """The waiting is over, and the vCPU's state loaded."""
        if not self.halted:
            return
        self.halted = self.blocked = False
        if self.apic.pending() is not None and not self._state.system_flags & INTERRUPT_FLAG:
            self._place = self._where()
            if self._place not in self._windows.known:
                self._steps = _STEPS
                self._state.system_flags |= _TRAP

    def _where(self) -> bytes:
        """Tells one place that waits from another: the instruction, and what lies on its stack."""
        state = self._state
        stack = self._cpu.memory.read(state.register(_RSP), _PLACE_SIZE) or b""
        return state.instruction_pointer.to_bytes(8, "little") + stack

    # ---- single-stepping ----------------------------------------------------------------------------------------

    def resuming(self) -> None:
        """The guest continues at its instruction pointer."""
        if self._steps:
            self._pushes = self._cpu.memory.read(self._state.instruction_pointer, 1) == bytes((_PUSHF,))

    def give_up_stepping(self) -> None:
        """An exception comes in between: its handler and the code it returns to must not see the trap flag."""
        if self._steps:
            self._steps = 0
            self._state.system_flags &= ~_TRAP

    def stepped(self) -> None:
        """One instruction of single-stepping is over."""
        state, windows = self._state, self._windows
        state.exception_delivered()
        self._steps -= 1
        if self._pushes:  # PUSHF is not to show the flag
            stack = state.register(_RSP)
            pushed = self._cpu.memory.read(stack, 8)
            if pushed is not None:
                self._cpu.memory.write(stack, (int.from_bytes(pushed, "little") & ~_TRAP).to_bytes(8, "little"))
        if state.system_flags & INTERRUPT_FLAG:
            self._steps = 0
            windows.known.add(self._place)
            if state.instruction_pointer not in windows.stops:
                windows.stops.add(state.instruction_pointer)
                self.stop_at(state.instruction_pointer)
        if not self._steps:
            state.system_flags &= ~_TRAP

    def stop_at(self, address: int) -> None:
        """Stop where waiting code turns interrupts on, if one is due. Only while no guest code runs."""
        self._cpu.stop_at(address, lambda: self._cpu.interrupt_due())
