"""A local APIC in x2APIC mode, reached by MSRs, with its timer on the virtual clock.

Writes of reserved bits and to registers that are only read are refused; bits that a local vector lacks are dropped, as
KVM has it. Errors are not recorded.

Source: Intel SDM volume 3, chapter 11; 11.12 for x2APIC; Linux arch/x86/kvm/lapic.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.devices.interrupt_bus import EVERYBODY, InterruptBus
from tdvfsh.lazy_typing import Final

TSC_DEADLINE: Final = 0x6E0
FIRST: Final = 0x800
LAST: Final = 0x8FF

_ID: Final = 0x802
_VERSION: Final = 0x803
_TASK_PRIORITY: Final = 0x808
_PROCESSOR_PRIORITY: Final = 0x80A
_END_OF_INTERRUPT: Final = 0x80B
_LOGICAL_DESTINATION: Final = 0x80D
_SPURIOUS: Final = 0x80F
_IN_SERVICE: Final = 0x810
_TRIGGER_MODE: Final = 0x818
_REQUEST: Final = 0x820
_ERROR_STATUS: Final = 0x828
_COMMAND: Final = 0x830
_TIMER: Final = 0x832
_LAST_LOCAL_VECTOR: Final = 0x837
_CMCI: Final = 0x82F
_INITIAL_COUNT: Final = 0x838
_CURRENT_COUNT: Final = 0x839
_DIVIDE: Final = 0x83E
_SELF_INTERRUPT: Final = 0x83F

_VERSION_VALUE: Final = 0x00060015  # 7 local vectors, version 0x15
_MASKED: Final = 1 << 16
_ENABLED: Final = 1 << 8
_PERIODIC: Final = 1
_DEADLINE: Final = 2
_DIVISORS: Final = (2, 4, 8, 16, 32, 64, 128, 1)
_CLEAN: Final = 0xFFFFFFFF
_FIRST_VECTOR: Final = 16  # those below are illegal
_SEND_PENDING: Final = 1 << 12
_LOGICAL: Final = 1 << 11
_COMMAND_RESERVED: Final = 0xFFF << 20 | 3 << 16 | 1 << 13
_LOCAL_BITS: Final = {_TIMER: 0x700FF, 0x833: 0x107FF, 0x834: 0x107FF, 0x835: 0x1A7FF, 0x836: 0x1A7FF, 0x837: 0x100FF}
_CMCI_BITS: Final = 0x107FF
_WRITABLE: Final = {
    _TASK_PRIORITY: 0xFF, _END_OF_INTERRUPT: 0, _SPURIOUS: 0x1FF, _ERROR_STATUS: 0, _SELF_INTERRUPT: 0xFF,
    _INITIAL_COUNT: _CLEAN, _DIVIDE: 0xB,
}  # fmt: skip


class LocalApic:
    """The local APIC of one vCPU.

    Args:
        number: Its x2APIC ID.
        now: Virtual nanoseconds.
        cycles_per_ns: Of the time stamp counter.
        bus: The bus it is on, with others; one of its own where None.
        bus_ns: Nanoseconds of one count of the timer before division.

    Attributes:
        nmi: Whether a non-maskable interrupt has arrived that was not taken.
        start_page: Number of the page that a start-up message has named last; None before one came.
        ended: Called with the vector of a level-triggered interrupt that is over.
    """

    def __init__(
        self,
        number: int,
        now: Callable[[], int],
        cycles_per_ns: int,
        bus: InterruptBus | None = None,
        bus_ns: int = 1,
    ) -> None:
        self._number = number
        self._bus = bus or InterruptBus()
        self._bus.apics.append(self)
        self.nmi = False
        self.start_page: int | None = None
        self._now = now
        self._cycles_per_ns = cycles_per_ns
        self._bus_ns = bus_ns
        self._requested = 0
        self._in_service = 0
        self._level = 0
        self._sent = 0
        self._priority = 0
        self._spurious = 0xFF
        self._local: dict[int, int] = dict.fromkeys((_CMCI, *range(_TIMER, _LAST_LOCAL_VECTOR + 1)), _MASKED)
        self._divide = 0
        self._initial = 0
        self._deadline = 0
        self._due_ns: int | None = None
        self.ended: Callable[[int], None] = lambda vector: None

    # ---- registers ----------------------------------------------------------------------------------------------

    def read(self, msr: int) -> int | None:
        """RDMSR; None where there is no such register."""
        if msr == TSC_DEADLINE:
            return self._deadline
        if msr in self._local:
            return self._local[msr]
        if _IN_SERVICE <= msr < _IN_SERVICE + 8:
            return self._in_service >> 32 * (msr - _IN_SERVICE) & _CLEAN
        if _REQUEST <= msr < _REQUEST + 8:
            return self._requested >> 32 * (msr - _REQUEST) & _CLEAN
        if _TRIGGER_MODE <= msr < _TRIGGER_MODE + 8:
            return self._level >> 32 * (msr - _TRIGGER_MODE) & _CLEAN
        values = {
            _ID: self._number,
            _VERSION: _VERSION_VALUE,
            _TASK_PRIORITY: self._priority,
            _PROCESSOR_PRIORITY: self._processor_priority,
            _LOGICAL_DESTINATION: self._logical_id,
            _SPURIOUS: self._spurious,
            _ERROR_STATUS: 0,
            _COMMAND: self._sent,
            _INITIAL_COUNT: self._initial,
            _CURRENT_COUNT: self._current_count,
            _DIVIDE: self._divide,
        }
        return values.get(msr)

    def write(self, msr: int, value: int) -> bool:
        """WRMSR; False where there is no such register to write, or bits are set that it does not have."""
        if value & ~_WRITABLE.get(msr, -1):
            return False
        if msr == TSC_DEADLINE:
            self._set_deadline(value)
        elif msr == _END_OF_INTERRUPT:
            self._end_of_interrupt()
        elif msr == _TASK_PRIORITY:
            self._priority = value
        elif msr == _SPURIOUS:
            self._spurious = value
            self._mask_while_disabled()
        elif msr == _SELF_INTERRUPT:
            self.request(value)
        elif msr == _COMMAND:
            return self._command(value)
        elif msr == _INITIAL_COUNT:
            self._initial = value
            self._count_from(value)
        elif msr == _DIVIDE:
            left = self._current_count
            self._divide = value
            self._count_from(left)
        elif msr in self._local:
            mode = self._mode
            self._local[msr] = value & _LOCAL_BITS.get(msr, _CMCI_BITS)
            self._mask_while_disabled()
            if _DEADLINE in (mode, self._mode) and mode != self._mode:
                self._due_ns, self._deadline = None, 0
        elif msr != _ERROR_STATUS:
            return False
        return True

    def _mask_while_disabled(self) -> None:
        """Disabled by software, all local vectors are masked and stay so."""
        if not self._spurious & _ENABLED:
            for msr in self._local:
                self._local[msr] |= _MASKED

    @property
    def _logical_id(self) -> int:
        return (self._number >> 4) << 16 | 1 << (self._number & 15)

    # ---- interrupts ---------------------------------------------------------------------------------------------

    def request(self, vector: int, level: bool = False) -> None:
        """An interrupt arrives; the end of a level-triggered one is reported. Disabled by software, none is taken."""
        if vector < _FIRST_VECTOR or not self._spurious & _ENABLED:
            return
        bit = 1 << vector
        self._requested |= bit
        self._level = self._level | bit if level else self._level & ~bit

    def pending(self) -> int | None:
        """The vector that the processor would take now, if any."""
        if not self._requested or not self._spurious & _ENABLED:
            return None
        vector = self._requested.bit_length() - 1
        return vector if vector >> 4 > self._processor_priority >> 4 else None

    def acknowledge(self, vector: int) -> None:
        """The processor takes it."""
        self._requested &= ~(1 << vector)
        self._in_service |= 1 << vector

    @property
    def _processor_priority(self) -> int:
        serving = (self._in_service.bit_length() - 1) & 0xF0 if self._in_service else 0
        return max(self._priority, serving)

    def _end_of_interrupt(self) -> None:
        if self._in_service:
            vector = self._in_service.bit_length() - 1
            self._in_service &= ~(1 << vector)
            if self._level >> vector & 1:
                self.ended(vector)

    def _command(self, value: int) -> bool:
        """Interprocessor interrupts."""
        if value & _COMMAND_RESERVED or value >> 64:
            return False
        self._sent = value & ~_SEND_PENDING
        shorthand, mode, vector = value >> 18 & 3, value >> 8 & 7, value & 0xFF
        if shorthand == 0:
            targets = self._bus.named(value >> 32, bool(value & _LOGICAL))
        else:
            targets = [self] if shorthand == 1 else [apic for apic in self._bus.apics if shorthand == 2 or apic != self]
        self._bus.send(targets, mode, vector)
        return True

    def is_named(self, destination: int, logical: bool) -> bool:
        """Whether a destination is this APIC, or it among others."""
        if destination == EVERYBODY:
            return True
        if not logical:
            return destination == self._number
        own = self._logical_id
        return destination >> 16 == own >> 16 and bool(destination & own & 0xFFFF)

    # ---- timer --------------------------------------------------------------------------------------------------

    @property
    def due_ns(self) -> int | None:
        """When the timer fires next."""
        return self._due_ns

    def tick(self) -> None:
        """Let the timer fire if its time has come."""
        now = self._now()
        if self._due_ns is None or self._due_ns > now:
            return
        entry = self._local[_TIMER]
        if not entry & _MASKED:
            self.request(entry & 0xFF)
        if self._mode == _PERIODIC and self._period_ns:
            self._due_ns += self._period_ns * ((now - self._due_ns) // self._period_ns + 1)
        else:
            self._due_ns = None
            self._deadline = 0

    @property
    def _mode(self) -> int:
        return self._local[_TIMER] >> 17 & 3

    @property
    def _count_ns(self) -> int:
        return self._bus_ns * _DIVISORS[self._divide & 3 | self._divide >> 1 & 4]

    @property
    def _period_ns(self) -> int:
        return self._initial * self._count_ns

    @property
    def _current_count(self) -> int:
        if self._due_ns is None or self._mode == _DEADLINE:
            return 0
        return -(-max(0, self._due_ns - self._now()) // self._count_ns)

    def _count_from(self, count: int) -> None:
        if self._mode != _DEADLINE:
            self._due_ns = self._now() + count * self._count_ns if count else None

    def _set_deadline(self, value: int) -> None:
        if self._mode != _DEADLINE:
            return
        self._deadline = value
        self._due_ns = -(-value // self._cycles_per_ns) if value else None
