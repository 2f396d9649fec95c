"""The debugger: halts a run where it is asked to, and lets it continue, in between two runs of the processor.

It stands between whoever runs the processor and the processor, and is asked for nothing while none is attached. Until
an instruction that exits is answered, a step is not over: it ends where the vCPU would continue.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.debug.arrivals import Arrivals
from tdvfsh.engine.debug.halt import Cause, Front, Halt, Until, Watch
from tdvfsh.engine.debug.interruption import Interruption
from tdvfsh.engine.debug.places import Breakpoints, Watchpoints
from tdvfsh.engine.debug.target import Target
from tdvfsh.engine.debug.undo import StepLog
from tdvfsh.engine.introspect.describe import instruction_size
from tdvfsh.engine.x86.block_counter import BlockCounter
from tdvfsh.engine.x86.stop import Stop, StopKind
from tdvfsh.lazy_typing import Final

_TRAP: Final = 1 << 8
_DEBUG: Final = 1
_LONGEST_INSTRUCTION: Final = 15
_PUSHF: Final = 0x9C
_LOADS_FLAGS: Final = (b"\x9d", b"\xcf", b"\x48\xcf")  # POPF, IRET


class Debugger:
    """A debugger of one machine.

    Args:
        board: The machine.
        front: Who it halts for.
        halts_at_start: Whether it halts before the first instruction.

    Attributes:
        target: The machine, to look at and to change while it is halted.
        breakpoints: Its breakpoints.
        watchpoints: Its watchpoints.
        arrivals: Counts of arrivals, where a run is repeated.
        steps: The steps that can be taken back.
        interruption: What interrupts a run from outside.
        before_run: Called before each run of the processor, to set what could not be set before.
        after_run: Called with what ended a run, where the host answers it.
    """

    def __init__(self, board: Board, front: Front, *, halts_at_start: bool = True) -> None:
        self.target = Target(board)
        self.breakpoints = Breakpoints(self.target)
        self.watchpoints = Watchpoints(self.target)
        self.arrivals = Arrivals(self.breakpoints, self.watchpoints)
        self.steps = StepLog(self.target)
        self.interruption = Interruption(board.cpu)
        self.before_run: list[Callable[[], None]] = []
        self.after_run: list[Callable[[Stop], None]] = []
        self._board = board
        self._cpu = board.cpu
        self._front = front
        self._step: int | None = None
        self._until: Until | None = None
        self._last: tuple[int, bytes] | None = None
        self._stepped = False
        self._counted: tuple[BlockCounter, ...] = ()
        self._halt: Halt | None = Halt(Cause.START, 0) if halts_at_start else None

    def attach(self) -> None:
        """Stand in the way of each run of the processor. Only while no guest code runs."""
        self._cpu.debugger = self

    def let_interrupt(self) -> None:
        """Have each block of code look whether to halt, and count it. Only while no guest code runs."""
        self.interruption.attach()
        if self.interruption.counts and self.interruption not in self._board.block_counters:
            self._board.block_counters.append(self.interruption)

    def detach(self) -> None:
        """Let the run go on without anyone who looks; one may come again. Only while no guest code runs."""
        self.watchpoints.remove_all(physical=False)
        self.breakpoints.remove_all("gdb")
        self._step = None

    def halt_for(self, text: str) -> None:
        """Halt before the next instruction, since something has happened."""
        if self._halt is None:
            self._halt = Halt(Cause.EVENT, self.target.current, text=text)

    def halt_for_write(self, watch: Watch, address: int, text: str) -> None:
        """Halt before the next instruction, since the host has written what is watched."""
        if watch.physical:
            self.halt_for(text)
        elif self._halt is None:
            self._halt = Halt(Cause.WATCHPOINT, self.target.current, watch.access, address, text)

    def ended(self, text: str) -> None:
        """The run has ended: the machine stands still for the last time, with the registers of its last stop."""
        state, vcpu = self._cpu.state, self.target.current
        state.load()
        now = state.image()
        if self._last is not None and self._last[0] == vcpu:
            state.set_image(self._last[1])
            state.store()
        try:
            self._front.halted(Halt(Cause.END, vcpu, text=text))
        finally:
            state.set_image(now)
            state.store()

    # ---- running ------------------------------------------------------------------------------------------------

    def run(self, address: int) -> Stop:
        """Run the processor from ``address`` for whoever runs it, and return its stop, halting where that is due."""
        while True:
            for look in self.before_run:
                look()
            halt = self._due()
            if halt is not None:
                address = self._halted(halt, address)
            if self._step == self.target.current:
                stop = self._run_step(address)
            else:
                self.steps.barrier()
                stop = self._run_freely(address)
            asked = self.interruption.requested or self.interruption.over
            if stop.kind is StopKind.HALT and asked:
                self._counted = self._counted_at_interruption()
            if stop.kind is StopKind.DEBUG or (stop.kind is StopKind.HALT and asked):
                address = self._cpu.read("RIP")
                continue
            self._cpu.state.load()
            self._last = self.target.current, self._cpu.state.image()
            for left in self.after_run:
                left(stop)
            return stop

    def _run_freely(self, address: int) -> Stop:
        self._count_once()
        stop = self._cpu.run_on(address)
        if stop.kind is StopKind.DEBUG:
            self._counted = tuple(self._board.block_counters)
            stop = self._reached(stop)
        return stop

    def _count_once(self) -> None:
        """The block in which the vCPU stands begins once more when it runs on, which is not to be counted again."""
        for counter in self._counted:
            counter.arm(counter.left + 1)
        self._counted = ()

    def _counted_at_interruption(self) -> tuple[BlockCounter, ...]:
        """Who has counted the block that an interruption has stopped: those that were asked before, and itself."""
        counters = self._board.block_counters
        return tuple(counters[: counters.index(self.interruption) + 1]) if self.interruption in counters else ()

    def _due(self) -> Halt | None:
        halt, self._halt = self._halt, None
        if halt is None and self._stepped and self._step is not None:
            halt = Halt(Cause.STEP, self._step)
        if halt is None and self.interruption.over:
            halt = Halt(Cause.INTERRUPT, self.target.current)
        if self.interruption.requested and self.interruption.take() and halt is None and self._front.interrupts():
            halt = Halt(Cause.INTERRUPT, self.target.current)
        return halt

    def _halted(self, halt: Halt, address: int) -> int:
        """The machine stands still at ``address``; returns where it continues."""
        self._step, self._stepped = None, False
        self._cpu.write("RIP", address)
        self.breakpoints.passing = None
        self.arrivals.halted()
        resume = self._front.halted(halt)
        self._step, self._until = resume.step, resume.until
        if self.steps.undone is not None:
            self._counted, self.steps.undone = self.steps.undone, None
        self.interruption.begin(resume.until.blocks if resume.until is not None else None)
        address = self._cpu.read("RIP")
        self.arrivals.resumed(address, resume.until)
        self.breakpoints.passing = address if address in self.breakpoints else None
        return address

    def _reached(self, stop: Stop) -> Stop:
        """A breakpoint, or an access to watched memory, whose instruction is done first."""
        seen = self.watchpoints.seen
        if seen is None:
            text = ", ".join(text for text in self.breakpoints.owners(stop.address).values() if text)
            self._halt = Halt(Cause.BREAKPOINT, self.target.current, text=text)
            return stop
        pointer = self._cpu.read("RIP")
        if self._until is not None and self._until.watch is seen.watch:
            self._take_back()
            self._cpu.write("RIP", seen.pointer)
            self._note_watch()
            return stop
        if pointer == seen.pointer:
            self._take_back()
            self.breakpoints.quiet = True
            try:
                stop = self._one_instruction(pointer)
            finally:
                self.breakpoints.quiet = False
        self._note_watch()
        return stop

    # ---- one instruction ----------------------------------------------------------------------------------------

    def _run_step(self, address: int) -> Stop:
        """One instruction of the vCPU that runs; a stop of its own where that came to its end."""
        self._stepped = True
        self.steps.begin(address, self._counted)
        stop = self._one_instruction(address)
        if stop.kind is not StopKind.DEBUG:
            self.steps.barrier()
            return stop
        self.steps.end()
        self._note_watch()
        return stop

    def _note_watch(self) -> None:
        """A watched access was part of an instruction that is over."""
        seen, self.watchpoints.seen = self.watchpoints.seen, None
        linear = None if seen is None else seen.watch.linear
        if seen is not None and linear is not None:
            self._halt = Halt(Cause.WATCHPOINT, self.target.current, seen.watch.access, linear)
        elif seen is not None and seen.watch.physical:
            self._halt = Halt(Cause.EVENT, self.target.current, text=f"write of physical {seen.address:#x}")
        elif seen is not None:
            self._halt = Halt(Cause.WATCHPOINT, self.target.current, seen.watch.access, seen.address)

    def _one_instruction(self, address: int) -> Stop:
        """Execute one instruction by the trap flag, which the guest is not to see.

        Returns:
            A stop of kind DEBUG where it is over; any other stop is for whoever runs the processor.
        """
        cpu = self._cpu
        flags = cpu.read("EFLAGS")
        self._count_once()
        if flags & _TRAP:  # the guest's own, or the board's: its debug exception is not ours
            return cpu.run_on(address)
        code = self.target.read(self.target.current, address, _LONGEST_INSTRUCTION)
        self.breakpoints.passing = address if address in self.breakpoints else None
        status = cpu.read("DR6")
        cpu.write("EFLAGS", flags | _TRAP)
        stop = cpu.run_on(address)
        while stop.kind is StopKind.DEBUG and self.watchpoints.seen is not None and cpu.read("RIP") == address:
            self._take_back()
            stop = cpu.run_on(address)
        over = stop.kind is StopKind.EXCEPTION and stop.number == _DEBUG
        if over:
            state = cpu.state
            state.load()
            state.exception_delivered()
            state.store()
            cpu.write("DR6", status)
        if not (over and code.startswith(_LOADS_FLAGS)):
            cpu.write("EFLAGS", cpu.read("EFLAGS") & ~_TRAP)
        if over and code[:1] == bytes((_PUSHF,)):
            self._hide_trap_flag()
        if over and cpu.read("RIP") == address + instruction_size(code, address):
            self._counted = tuple(self._board.block_counters)  # the rest of its block is not another one
        return Stop(StopKind.DEBUG, address) if over else stop

    def _take_back(self) -> None:
        """A watched access has stopped the instruction within itself: as if it had not begun; it is seen already."""
        seen = self.watchpoints.seen
        if seen is not None and seen.wrote:
            self._board.ram.view[seen.physical : seen.physical + len(seen.before)] = seen.before

    def _hide_trap_flag(self) -> None:
        """PUSHF has stored the trap flag."""
        vcpu = self.target.current
        stack = self.target.register(vcpu, "rsp")
        pushed = self.target.read(vcpu, stack, 2)
        if len(pushed) == 2:
            self.target.write(vcpu, stack, (int.from_bytes(pushed, "little") & ~_TRAP).to_bytes(2, "little"))
