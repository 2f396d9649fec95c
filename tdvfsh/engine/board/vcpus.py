"""The vCPUs of a machine, which take turns on the one emulated processor.

One runs at a time, in an order that is the same in every run: until it waits, spins, or has had its share of virtual
time while another has something to do. Memory, translated code and devices are the same for all, so that each sees at
once what another wrote; the processor's own translations of addresses are forgotten with each turn.

Source: ACPI 6.5 5.2.12.19 (Multiprocessor Wakeup) for how the others are started.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.devices.interrupts import Interrupts
from tdvfsh.engine.errors import GuestDead
from tdvfsh.engine.tdx.vcpu import TdVcpu
from tdvfsh.engine.x86.guest_clock import GuestClock
from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

_TURN_NS: Final = 1_000_000
_MOST_PATIENCE: Final = 1024


@dataclass(eq=False)
class Vcpu:
    """One vCPU.

    Attributes:
        number: Its index and x2APIC ID.
        interrupts: Its interrupts.
        td: What the TDX module and the VMM keep for it.
        image: The processor's state while another runs; None before it has been started.
        syscall_registers: STAR, LSTAR and FMASK, where they are known.
        spinning: Whether it was found to wait in a loop without PAUSE, and is left alone for now.
        spin_place: Where that was, while it has done nothing else since; None otherwise.
    """

    number: int
    interrupts: Interrupts
    td: TdVcpu
    image: bytes | None = None
    syscall_registers: tuple[int, int, int] | None = None
    spinning: bool = False
    spin_place: int | None = None

    @property
    def ready(self) -> bool:
        """Whether it has something to do."""
        return not self.spinning and self.interrupts.ready


class Vcpus:
    """Round-robin scheduler of the vCPUs.

    Args:
        vcpus: All of them; the first one runs.
        clock: Virtual time.
        state: The state of the one that runs, loaded.
        changed: Called when another vCPU runs, its state loaded.
        idle: Called when all wait, with the time until when (None: for ever); returns when to look again, no later.
    """

    def __init__(
        self,
        vcpus: list[Vcpu],
        clock: GuestClock,
        state: ProcessorState,
        changed: Callable[[Vcpu], None],
        idle: Callable[[int | None], int | None],
    ) -> None:
        self.all = vcpus
        self.current = vcpus[0]
        self._started = [self.current]
        self._clock = clock
        self._state = state
        self._changed = changed
        self._idle = idle
        self._spun = False
        self._waits, self._patience, self._in_vain = 0, 1, False
        self._turn_ends = 0

    @property
    def running(self) -> int:
        """How many have been started."""
        return len(self._started)

    @property
    def waiting(self) -> list[Vcpu]:
        """Those that have not been started."""
        return [] if len(self._started) == len(self.all) else [vcpu for vcpu in self.all if vcpu not in self._started]

    def start(self, vcpu: Vcpu, image: bytes) -> None:
        """Let another one begin, with the state ``image``."""
        vcpu.image = image
        self._started = [each for each in self.all if each in self._started or each is vcpu]

    def resume(self, current: Vcpu, started: list[Vcpu]) -> None:
        """Continue from a state that was saved: these have been started, and one of them runs."""
        self.current = current
        self._started = started

    def spun(self) -> None:
        """The one that runs waits for another."""
        self._spun = True
        self.waits()

    def waits(self) -> None:
        """The one that runs has done what it can do for now: those that wait for it in a loop look again.

        Where they find nothing again and again, the one that runs has to wait longer and longer for that.
        """
        self._waits += 1
        if self._waits < self._patience:
            return
        self._waits, self._in_vain = 0, False
        for vcpu in self._started:
            if vcpu is not self.current:
                vcpu.spinning = False

    def spins(self, place: int) -> None:
        """The one that runs waits for another in a loop without PAUSE, whose turns are of no use meanwhile."""
        current = self.current
        if current.spin_place != place:
            self._patience = 1
        elif not self._in_vain:
            self._in_vain = True
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
        current.spin_place = place
        self._spun = current.spinning = True

    def turn_is_over(self) -> bool:
        """Asked where time passes: whether to stop because another one has something to do and has waited for it."""
        if len(self._started) == 1 or self._clock.now_ns < self._turn_ends:
            return False
        if self._next_ready() not in (None, self.current):
            return True
        self._turn_ends = self._clock.now_ns + _TURN_NS
        return False

    def settle(self) -> None:
        """Select the vCPU that runs on, at the end of a stop.

        Raises:
            GuestDead: All wait, and nothing will wake one.
        """
        current = self.current
        if not current.spinning:
            current.spin_place = None
        if current.interrupts.halted or current.spinning:
            self._turn_to(self._next_ready() or self._woken_by_time())
        elif len(self._started) > 1 and (self._spun or self._clock.now_ns >= self._turn_ends):
            self._turn_to(self._next_ready() or current)

    def _next_ready(self) -> Vcpu | None:
        """The next in turn that has something to do, the one that runs last of all."""
        at = self._started.index(self.current) + 1
        order = self._started[at:] + self._started[:at]
        return next((vcpu for vcpu in order if vcpu.ready), None)

    def _woken_by_time(self) -> Vcpu:
        """All wait: on to the first timer, or to what a device brings before."""
        if all(vcpu.interrupts.blocked for vcpu in self._started):
            raise GuestDead("the system has halted with interrupts off")
        ready: Vcpu | None = None
        while ready is None:
            timers = [due for due in (vcpu.interrupts.due_ns for vcpu in self._started) if due is not None]
            due = self._idle(min(timers, default=None))
            if due is None:
                raise GuestDead("the system waits for an interrupt, and none will come")
            self._clock.advance(max(0, due - self._clock.now_ns))
            ready = self._next_ready()
        return ready

    def _turn_to(self, vcpu: Vcpu) -> None:
        self._spun = False
        self._turn_ends = self._clock.now_ns + _TURN_NS
        if vcpu is not self.current:
            self.current.image = self._state.image()
            assert vcpu.image is not None
            self._state.set_image(vcpu.image)
            self.current = vcpu
            self._changed(vcpu)
        vcpu.interrupts.wake()
