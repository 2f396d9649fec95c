"""The processor: Unicorn in long mode over accepted RAM, stopped by a timer and never by counting instructions.

The timer stops a run for good. Unicorn 2.1.4 may stop behind the store of an instruction that reads, changes and writes
memory, and would do it a second time after resuming (a kernel's decompression then ends in "corrupt data"), so a run
that was stopped from outside is not resumed.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.paging import CODE_SELECTOR, CR0, CR4, DATA_SELECTOR, EFER, EFER_MSR, GDT, IDT_SIZE
from tdvfsh.engine.ram import GuestRam
from tdvfsh.td.ranges import RangeMap
from tdvfsh.units import PAGE_SIZE

CYCLES_PER_NANOSECOND: Final = 2
"""The time stamp counter runs at 2 GHz of virtual time."""

_TICK_SECONDS: Final = 0.1
_MAXIMUM_REGIONS: Final = 192
_PORT_EMPTY: Final = 0xFFFFFFFF
_GATE: Final = struct.Struct("<HHBBHII")
_INVALID_OPCODE: Final = 6
_PRESENT: Final = 0x80


class StopKind(Enum):
    """Why the processor stopped."""

    HALT = "hlt"
    LIMIT = "the timer"
    UNMAPPED = "an access to memory that is not there"
    EXCEPTION = "an exception"
    WATCHED = "watched code"


class Stop(NamedTuple):
    """Why and where: ``address`` and ``size`` of an access, or ``number`` of an exception."""

    kind: StopKind
    address: int = 0
    size: int = 0
    access: str = ""
    number: int = 0


class Cpu:
    """One processor.

    Args:
        ram: What it sees.
        clock: Virtual nanoseconds for RDTSC.
        limit: Asked by the timer, in a thread of its own, whether a long run must end; None for never.

    Attributes:
        uc: The emulator.
    """

    def __init__(self, ram: GuestRam, clock: Callable[[], int], limit: Callable[[], bool] | None = None) -> None:
        self._unicorn: Any = cpu_extra("unicorn")
        self._registers: Any = cpu_extra("unicorn.x86_const")
        self._ram = ram
        self._clock = clock
        self._limit = limit
        self.uc: Any = self._unicorn.Uc(self._unicorn.UC_ARCH_X86, self._unicorn.UC_MODE_64)
        self.uc.ctl_set_cpu_model(self._registers.UC_CPU_X86_ICELAKE_SERVER)
        self._mapped: RangeMap[bool] = RangeMap()
        self._stop: Stop | None = None
        self._ticked = False
        self._running = False
        self._closed = threading.Event()
        self._never = 0
        self._hooks: list[object] = []
        self._add_hooks()
        self._timer: threading.Thread | None = None

    def close(self) -> None:
        """End the timer."""
        self._closed.set()
        if self._timer is not None:
            self._timer.join()

    def enter_long_mode(self, cr3: int, gdt: int, idt: int, stack: int) -> None:
        """Set the control registers as firmware leaves them; tables must stand in RAM already.

        Args:
            cr3: Address of the top page table.
            gdt: Where the descriptor table goes.
            idt: Where the empty interrupt table is.
            stack: Top of the stack.
        """
        registers = self._registers
        self._ram.view[gdt : gdt + len(GDT)] = GDT
        self._never = idt + IDT_SIZE  # a byte after the table: mapped, never executed
        self.write("GDTR", (0, gdt, len(GDT) - 1, 0))
        self.write("IDTR", (0, idt, IDT_SIZE - 1, 0))
        self.write("CR3", cr3)
        self.write("CR4", CR4)
        self.uc.msr_write(EFER_MSR, EFER)
        self.write("CR0", CR0)
        self.uc.reg_write(registers.UC_X86_REG_CS, CODE_SELECTOR)
        for name in ("DS", "ES", "SS", "FS", "GS"):
            self.write(name, DATA_SELECTOR)
        self.write("RSP", stack)

    def read(self, register: str) -> int:
        """A register by name, such as ``RIP``."""
        return int(self.uc.reg_read(getattr(self._registers, f"UC_X86_REG_{register}")))

    def write(self, register: str, value: int | tuple[int, int, int, int]) -> None:
        """Set a register."""
        self.uc.reg_write(getattr(self._registers, f"UC_X86_REG_{register}"), value)

    # ---- memory -------------------------------------------------------------------------------------------------

    def map_accepted(self) -> None:
        """Let the guest see what is accepted now, and no longer what is not. Only outside of :meth:`run`."""
        self._ram.refresh()
        runs = self._ram.runs
        wanted: RangeMap[bool] = RangeMap()
        for start, end in runs:
            wanted.set(start, end, True)
        for start, end in _missing(self._mapped, wanted):
            self.uc.mem_unmap(start, end - start)
            self._mapped.clear(start, end)
        fresh = _missing(wanted, self._mapped)
        if self._regions + len(fresh) > _MAXIMUM_REGIONS:
            self._compact(runs)
            return
        for start, end in fresh:
            self._map(start, end)

    @property
    def _regions(self) -> int:
        return sum(1 for _ in self.uc.mem_regions())

    def _compact(self, runs: list[tuple[int, int]]) -> None:
        for start, end, _ in list(self.uc.mem_regions()):
            self.uc.mem_unmap(start, end + 1 - start)
        self._mapped = RangeMap()
        for start, end in runs:
            self._map(start, end)

    def _map(self, start: int, end: int) -> None:
        self.uc.mem_map_ptr(start, end - start, self._unicorn.UC_PROT_ALL, self._ram.host_address + start)
        self._mapped.set(start, end, True)

    def forget_code(self, start: int, end: int) -> None:
        """Memory was written from outside: drop what was translated from it."""
        for low, high, _ in self._mapped.spans(start, end):
            self.uc.ctl_remove_cache(low, high)

    def watch(self, start: int, end: int) -> None:
        """Stop when code in ``[start, end)`` runs, which has not run before: only that range is hooked."""

        def reached(uc: object, address: int, size: int, data: object) -> None:
            self._stop = Stop(StopKind.WATCHED, address)
            self.uc.emu_stop()

        self.uc.hook_add(self._unicorn.UC_HOOK_BLOCK, reached, begin=start, end=end - 1)

    # ---- running ------------------------------------------------------------------------------------------------

    def run(self, address: int) -> Stop:
        """Run from ``address`` until something stops the processor; RIP then stands where it would go on."""
        if self._timer is None and self._limit is not None:
            self._timer = threading.Thread(target=self._tick, name="tdvfsh-cpu-timer", daemon=True)
            self._timer.start()
        self._stop = None
        self._ticked = False
        self._running = True
        try:
            self.uc.emu_start(address, self._never)
        except self._unicorn.UcError as error:
            if self._stop is None:
                raise RuntimeError(f"the emulator gave up at {self.read('RIP'):#x}: {error}") from error
        finally:
            self._running = False
        return self._why()

    def _why(self) -> Stop:
        """What a hook noted, else who stopped the processor."""
        if self._stop is not None:
            return self._stop
        return Stop(StopKind.LIMIT if self._ticked else StopKind.HALT)

    def deliver(self, vector: int, error_code: int | None = None) -> int | None:
        """Push an exception frame and give the handler's address, or None where the guest has no gate for it.

        The frame is pushed on the current stack (IST 0, ring 0), as boot services have it.

        Source: Intel SDM volume 3, 6.14.
        """
        _, base, limit, _ = self.uc.reg_read(self._registers.UC_X86_REG_IDTR)
        if vector * 16 + 15 > limit or not self._ram.accessible(base + vector * 16, 16):
            return None
        low, selector, _, kind, middle, high, _ = _GATE.unpack_from(self._ram.view, base + vector * 16)
        if not kind & _PRESENT:
            return None
        old_stack = self.read("RSP")
        frame = [self.read("RIP"), self.read("CS"), self.read("EFLAGS"), old_stack, self.read("SS")]
        if error_code is not None:
            frame.insert(0, error_code)
        stack = (old_stack & ~0xF) - 8 * len(frame)
        self._ram.write(stack, struct.pack(f"<{len(frame)}Q", *frame))
        self.write("RSP", stack)
        if selector != self.read("CS"):
            self.write("CS", selector)
        return int(low | middle << 16 | high << 32)

    def _tick(self) -> None:
        """Runs are cheap to begin and end, so only one that lasts is stopped here; others are looked at between."""
        assert self._limit is not None
        while not self._closed.wait(_TICK_SECONDS):
            if self._running and self._limit():
                self._ticked = True
                self.uc.emu_stop()

    # ---- hooks --------------------------------------------------------------------------------------------------

    def _add_hooks(self) -> None:
        constants, registers = self._unicorn, self._registers
        access_names = {
            constants.UC_MEM_READ_UNMAPPED: "read",
            constants.UC_MEM_WRITE_UNMAPPED: "write",
            constants.UC_MEM_FETCH_UNMAPPED: "fetch",
        }

        def unmapped(uc: object, access: int, address: int, size: int, value: int, data: object) -> bool:
            self._stop = Stop(StopKind.UNMAPPED, address, size, access_names.get(access, "access"))
            return False

        def interrupt(uc: object, number: int, data: object) -> None:
            self._stop = Stop(StopKind.EXCEPTION, number=number)
            self.uc.emu_stop()

        def invalid(uc: object, data: object) -> bool:
            self._stop = Stop(StopKind.EXCEPTION, number=_INVALID_OPCODE)
            return False

        def read_port(uc: object, port: int, size: int, data: object) -> int:
            return _PORT_EMPTY >> (32 - 8 * size)

        def write_port(uc: object, port: int, size: int, value: int, data: object) -> None:
            """No device is there."""

        self.uc.hook_add(constants.UC_HOOK_MEM_UNMAPPED, unmapped)
        self.uc.hook_add(constants.UC_HOOK_INTR, interrupt)
        self.uc.hook_add(constants.UC_HOOK_INSN_INVALID, invalid)
        self.uc.hook_add(constants.UC_HOOK_INSN, read_port, aux1=registers.UC_X86_INS_IN)
        self.uc.hook_add(constants.UC_HOOK_INSN, write_port, aux1=registers.UC_X86_INS_OUT)
        self._hook_time_stamp()

    def _hook_time_stamp(self) -> None:
        """RDTSC reads the virtual clock. Unicorn has the hook, its Python binding does not list it."""
        intel: Any = cpu_extra("unicorn.unicorn_py3.arch.intel")

        def time_stamp(handle: object, key: object) -> int:
            cycles = self._clock() * CYCLES_PER_NANOSECOND
            self.uc.reg_write(self._registers.UC_X86_REG_RAX, cycles & 0xFFFFFFFF)
            self.uc.reg_write(self._registers.UC_X86_REG_RDX, cycles >> 32 & 0xFFFFFFFF)
            return 1

        callback = intel.HOOK_INSN_CPUID_CFUNC(time_stamp)
        self._hooks.append(callback)
        instruction = ctypes.c_int(self._registers.UC_X86_INS_RDTSC)
        self.uc._Uc__do_hook_add(self._unicorn.UC_HOOK_INSN, callback, 1, 0, instruction)


def _missing(these: RangeMap[bool], those: RangeMap[bool]) -> list[tuple[int, int]]:
    """The parts of ``these`` that are not in ``those``, page aligned as all ranges are."""
    pieces: list[tuple[int, int]] = []
    for start, end, _ in these.spans():
        at = start
        for low, high, _ in those.spans(start, end):
            if at < low:
                pieces.append((at, low))
            at = high
        if at < end:
            pieces.append((at, end))
    return [(start, end) for start, end in pieces if end - start >= PAGE_SIZE]
