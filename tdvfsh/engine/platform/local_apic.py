"""A local APIC in x2APIC mode, reached by MSRs, with its timer on the virtual clock.

Source: Intel SDM volume 3, chapter 11; 11.12 for x2APIC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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


class LocalApic:
    """The local APIC of one vCPU.

    Args:
        number: Its x2APIC ID.
        now: Virtual nanoseconds.
        cycles_per_ns: Of the time stamp counter.
        bus_ns: Nanoseconds of one count of the timer before division.
    """

    def __init__(self, number: int, now: Callable[[], int], cycles_per_ns: int, bus_ns: int = 1) -> None:
        self._number = number
        self._now = now
        self._cycles_per_ns = cycles_per_ns
        self._bus_ns = bus_ns
        self._requested = 0
        self._in_service = 0
        self._priority = 0
        self._spurious = 0xFF
        self._local: dict[int, int] = dict.fromkeys((_CMCI, *range(_TIMER, _LAST_LOCAL_VECTOR + 1)), _MASKED)
        self._divide = 0
        self._initial = 0
        self._started_ns = 0
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
            return 0
        values = {
            _ID: self._number,
            _VERSION: _VERSION_VALUE,
            _TASK_PRIORITY: self._priority,
            _PROCESSOR_PRIORITY: self._processor_priority,
            _LOGICAL_DESTINATION: (self._number >> 4) << 16 | 1 << (self._number & 15),
            _SPURIOUS: self._spurious,
            _ERROR_STATUS: 0,
            _COMMAND: 0,
            _INITIAL_COUNT: self._initial,
            _CURRENT_COUNT: self._current_count,
            _DIVIDE: self._divide,
        }
        return values.get(msr)

    def write(self, msr: int, value: int) -> bool:
        """WRMSR; whether there is such a register."""
        if msr == TSC_DEADLINE:
            self._set_deadline(value)
        elif msr == _END_OF_INTERRUPT:
            self._end_of_interrupt()
        elif msr == _TASK_PRIORITY:
            self._priority = value & 0xFF
        elif msr == _SPURIOUS:
            self._spurious = value & 0x1FF
        elif msr == _SELF_INTERRUPT:
            self.request(value & 0xFF)
        elif msr == _COMMAND:
            self._command(value)
        elif msr == _INITIAL_COUNT:
            self._initial = value & _CLEAN
            self._started_ns = self._now()
            self._arm()
        elif msr == _DIVIDE:
            self._divide = value & 0xB
            self._arm()
        elif msr in self._local:
            self._local[msr] = value & _CLEAN
            if msr == _TIMER:
                self._arm()
        elif msr not in (_ERROR_STATUS, _ID, _VERSION, _LOGICAL_DESTINATION):
            return False
        return True

    # ---- interrupts ---------------------------------------------------------------------------------------------

    def request(self, vector: int) -> None:
        """An interrupt arrives."""
        self._requested |= 1 << vector

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
            self.ended(vector)

    def _command(self, value: int) -> None:
        """Interprocessor interrupts: fixed ones to oneself arrive; there is no other processor to take the rest."""
        shorthand, mode, destination = value >> 18 & 3, value >> 8 & 7, value >> 32
        own = shorthand in (1, 2) or (not shorthand and destination in (self._number, _CLEAN))
        if own and mode in (0, 1):
            self.request(value & 0xFF)

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
        return max(0, self._due_ns - self._now()) // self._count_ns

    def _arm(self) -> None:
        if self._mode == _DEADLINE:
            return
        self._due_ns = self._started_ns + self._period_ns if self._initial else None

    def _set_deadline(self, value: int) -> None:
        if self._mode != _DEADLINE:
            return
        self._deadline = value
        self._due_ns = -(-value // self._cycles_per_ns) if value else None
