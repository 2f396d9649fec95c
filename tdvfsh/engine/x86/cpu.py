"""The processor: Unicorn in long mode over accepted RAM, stopped by a timer and never by counting instructions.

The timer stops a run for good. Unicorn 2.1.4 may stop after the store of an instruction that reads, changes and writes
memory, and would do it a second time after resuming (a kernel's decompression then ends in "corrupt data"), so a run
that was stopped from outside is not resumed.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence

from tdvfsh.engine.errors import EngineError, InaccessibleMemory
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.block_counter import BlockCounter, block_counter
from tdvfsh.engine.x86.delivery import LinearMemory
from tdvfsh.engine.x86.instructions.port_code import PortCode
from tdvfsh.engine.x86.instructions.string_instructions import StringInstructions
from tdvfsh.engine.x86.instructions.time_stamp import hook_time_stamp
from tdvfsh.engine.x86.mapped_ram import MappedRam
from tdvfsh.engine.x86.plain_stores import PlainStores
from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.engine.x86.stop import Stop, StopKind
from tdvfsh.engine.x86.translated_code import TranslatedCode
from tdvfsh.lazy_typing import Any, Final, Protocol
from tdvfsh.td.trust_domain import TrustDomain

_TICK_SECONDS: Final = 0.1
_PORT_EMPTY: Final = 0xFFFFFFFF
_FIRST_INTERCEPT: Final = 0x100
_INVALID_OPCODE: Final = 6
_PAGING: Final = 1 << 31
_4_GIB: Final = 1 << 32
_USER: Final = 3
_CODE_BUFFER: Final = 4096


class RunDebugger(Protocol):
    """What stands between whoever runs the processor and the processor."""

    def run(self, address: int) -> Stop:
        """Run from ``address`` by :meth:`Cpu.run_on`, as often as it takes, and return the stop that is not its own."""
        ...


class Cpu:
    """One processor.

    Args:
        ram: What it sees.
        clock: Virtual nanoseconds for RDTSC.
        limit: Asked by the timer, in a thread of its own, whether a long run must end; None for never.

    Attributes:
        uc: The emulator.
        mapped: What it sees of RAM.
        debugger: The debugger; None while there is none.
        strings: What does string instructions in its place; None where nothing does.
        code: The code that it has translated.
    """

    def __init__(self, ram: GuestRam, clock: Callable[[], int], limit: Callable[[], bool] | None = None) -> None:
        self._unicorn: Any = cpu_extra("unicorn")
        self._registers: Any = cpu_extra("unicorn.x86_const")
        self._ram = ram
        self._clock = clock
        self._limit = limit
        self.uc: Any = self._unicorn.Uc(self._unicorn.UC_ARCH_X86, self._unicorn.UC_MODE_64)
        self._library: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib
        self._handle: Any = self.uc._uch
        self._numbers: dict[str, int] = {}
        self._word = ctypes.c_uint64()
        self._word_pointer = ctypes.byref(self._word)
        self._fetched = ctypes.create_string_buffer(_CODE_BUFFER)
        # This model has no RDRAND, whose numbers would differ in each run.
        self.model: int = self._registers.UC_CPU_X86_SANDYBRIDGE
        self.uc.ctl_set_cpu_model(self.model)
        self.mapped = MappedRam(self.uc, ram)
        # Nothing ends a run but a stop: an end address would be looked up by the guest's paging.
        self.uc.ctl_exits_enabled(True)
        self.state = ProcessorState(self.uc)
        self.memory = LinearMemory(self._read_linear, self._write_linear)
        self.interrupt_due: Callable[[], bool] = lambda: False
        self.read_port: Callable[[int, int], int] = lambda port, size: _PORT_EMPTY >> (32 - 8 * size)
        self.write_port: Callable[[int, int, int], None] = lambda port, size, value: None
        self.debugger: RunDebugger | None = None
        self.strings: StringInstructions | None = None
        self._failure: BaseException | None = None
        self._watch: int | None = None
        self.code = TranslatedCode(self.uc, self.fetched, self._fail)
        self._stop: Stop | None = None
        self._ticked = False
        self._running = False
        self._closed = threading.Event()
        self._passing_port = False
        self._blocks: BlockCounter | None = None
        self._add_hooks()
        self._timer: threading.Thread | None = None

    def close(self) -> None:
        """End the timer."""
        self._closed.set()
        if self._timer is not None:
            self._timer.join()

    def read(self, register: str) -> int:
        """A register by name, such as ``RIP``."""
        number = self._numbers.get(register)
        if number is None:
            number = self._numbers[register] = int(getattr(self._registers, f"UC_X86_REG_{register}"))
        self._word.value = 0
        # The binding's reg_read is three times slower.
        self._library.uc_reg_read(self._handle, number, self._word_pointer)
        return self._word.value

    def write_general(self, number: int, value: int) -> None:
        """Set a general register by the emulator's number for it, as fast as :meth:`read`."""
        self._word.value = value
        self._library.uc_reg_write(self._handle, number, self._word_pointer)

    def forget_translations(self) -> None:
        """Drop what is known of linear addresses, as writing CR3 does."""
        self.write("CR3", self.read("CR3"))

    def forget_physical(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Drop code that was translated from physical memory; only before the processor's whole state is stored.

        The emulator looks code up by linear addresses, which are physical ones while paging is off, below 4 GiB only.
        """
        if any(end > _4_GIB for _, end in ranges):
            self.uc.ctl_flush_tb()
            return
        control = self.read("CR0")
        self.write("CR0", control & ~_PAGING)
        for start, end in ranges:
            self.mapped.forget_code(start, end)
        self.write("CR0", control)

    def write(self, register: str, value: int | tuple[int, int, int, int]) -> None:
        """Set a register."""
        self.uc.reg_write(getattr(self._registers, f"UC_X86_REG_{register}"), value)

    # ---- memory -------------------------------------------------------------------------------------------------

    def map_device(
        self, address: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        """A device's registers in the address space; ``read`` and ``write`` get offset and size of each access."""

        def reads(uc: object, offset: int, length: int, data: object) -> int:
            return read(offset, length)

        def writes(uc: object, offset: int, length: int, value: int, data: object) -> None:
            write(offset, length, value)

        self.uc.mmio_map(address, size, reads, None, writes, None)

    def watch(self, start: int, end: int) -> None:
        """Stop when code in ``[start, end)`` runs, which has not run before: only that range is hooked."""

        def reached(uc: object, address: int, size: int, data: object) -> None:
            self._stop = Stop(StopKind.WATCHED, address)
            self.uc.emu_stop()

        self._watch = self.uc.hook_add(self._unicorn.UC_HOOK_BLOCK, reached, begin=start, end=end - 1)

    def unwatch(self) -> None:
        """No longer stop there."""
        if self._watch is not None:
            self.uc.hook_del(self._watch)
            self._watch = None

    def stop_at(self, address: int, wanted: Callable[[], bool], kind: StopKind = StopKind.TIME) -> object:
        """Stop before the instruction at ``address``, whenever ``wanted`` says so; returns what ends that."""

        def reached(uc: object, at: int, size: int, data: object) -> None:
            if wanted():
                self.stop_now(Stop(kind, at))

        hook: object = self.uc.hook_add(self._unicorn.UC_HOOK_CODE, reached, begin=address, end=address)
        self.uc.ctl_remove_cache(address, address + 1)
        return hook

    def stop_now(self, stop: Stop) -> None:
        """End the run with ``stop``; only within a hook."""
        self._stop = stop
        self.uc.emu_stop()

    def no_stop_at(self, stop: object) -> None:
        """No longer stop there. Only outside of :meth:`run`."""
        self.uc.hook_del(stop)

    def watch_blocks(self, wanted: Callable[[int], bool], kind: StopKind, start: int = 1, end: int = 1) -> object:
        """Call ``wanted`` with the address of each block of code before it runs; where it returns True, stop there.

        Args:
            wanted: As above.
            kind: What such a stop is.
            start: First address that is watched; all are where ``end`` is not above it.
            end: First address that is not watched.

        Returns:
            What :meth:`unwatch_blocks` takes.
        """

        def reached(uc: object, address: int, size: int, data: object) -> None:
            if self._stop is None and wanted(address):
                self._stop = Stop(kind, address)
                self.uc.emu_stop()

        hook: object = self.uc.hook_add(self._unicorn.UC_HOOK_BLOCK, reached, begin=start, end=end - 1)
        self.uc.ctl_flush_tb()
        return hook

    def unwatch_blocks(self, hook: object) -> None:
        """No longer watch blocks. Only outside of :meth:`run`."""
        self.uc.hook_del(hook)
        self.uc.ctl_flush_tb()

    def count_blocks(self, count: int) -> BlockCounter:
        """From now on stop when so many blocks of code have begun; the counter that is returned is armed anew."""
        self._blocks = block_counter(self.uc, count)
        return self._blocks

    def stop_before_ports(self, wanted: Callable[[bytes], bool], user: bool = False) -> None:
        """From now on stop before each IN and OUT, INS and OUTS that ``wanted`` says so of, given the instruction.

        The emulator has no intercept for them, so that code is looked through when it is translated, which is done
        for each privilege level anew.

        Args:
            wanted: As above.
            user: Only in user space.
        """
        code = PortCode()

        def concerned(address: int) -> bool:
            return not user or bool(self.read("CS") & _USER)

        def reached(uc: object, at: int, size: int, data: object) -> None:
            if self._passing_port:
                self._passing_port = False
            elif wanted(self.fetched(at, size)):
                self._stop = Stop(StopKind.PORT, at)
                self.uc.emu_stop()

        self.code.look_through(concerned, code.places, reached)

    def store_plainly(self) -> None:
        """From now on let stores be as fast as they can be. Only after :meth:`stop_before_ports`."""
        self._stores.begin(self.mapped.runs)
        self.code.notify(self._stores.translated)

    def help_string_instructions(self, td: TrustDomain) -> StringInstructions:
        """From now on let the host do REP MOVS and REP STOS of firmware's code where that is plain."""
        strings = self.strings = StringInstructions(self.uc, self._ram, td, self.read)

        def reached(uc: object, at: int, size: int, data: object) -> None:
            strings.reached(at, self.fetched(at, size))

        self.code.notify(strings.translated)
        self.code.look_through(strings.concern, strings.places, reached)
        return strings

    def pass_port(self) -> None:
        """Carry out the instruction that the processor has just stopped before."""
        self._passing_port = True

    def fetched(self, address: int, size: int) -> bytes:
        """Code as the processor sees it, which is about to execute it."""
        buffer = self._fetched if size <= _CODE_BUFFER else ctypes.create_string_buffer(size)
        status = self._library.uc_vmem_read(
            self._handle, ctypes.c_uint64(address), self._unicorn.UC_PROT_EXEC, buffer, ctypes.c_size_t(size)
        )
        return b"" if status else ctypes.string_at(buffer, size)

    def _read_linear(self, address: int, size: int) -> bytes | None:
        try:
            return self._ram.read(address, size)
        except InaccessibleMemory:
            return None

    def _write_linear(self, address: int, data: bytes) -> bool:
        try:
            self._ram.write(address, data)
        except InaccessibleMemory:
            return False
        return True

    # ---- running ------------------------------------------------------------------------------------------------

    def run(self, address: int) -> Stop:
        """Run from ``address`` until something stops the processor; RIP is then where it would continue."""
        return self.run_on(address) if self.debugger is None else self.debugger.run(address)

    def run_on(self, address: int) -> Stop:
        """The same without the debugger."""
        if self._timer is None and self._limit is not None:
            self._timer = threading.Thread(target=self._tick, name="tdvfsh-cpu-timer", daemon=True)
            self._timer.start()
        self._stop = None
        self._ticked = False
        self._running = True
        try:
            self._emulate(address)
            while self.code.found:
                self.code.hook_found()
                if self._why().kind is not StopKind.HALT:
                    break
                self._emulate(self.read("RIP"))
        finally:
            self._running = False
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return self._why()

    @property
    def running(self) -> bool:
        """Whether guest code runs at the moment, in hooks that it calls as well."""
        return self._running

    def _emulate(self, address: int) -> None:
        # The binding's emu_start makes an exception of each stop at what the emulator cannot execute.
        self.uc._hook_exception = None
        status = self._library.uc_emu_start(self._handle, address, 0, 0, 0)
        ends_anyway = self._ticked or self._failure is not None  # what stops Unicorn has it leave hooks out
        if status and self._stop is None and not ends_anyway:
            error = self._unicorn.UcError(status)
            raise EngineError(f"the emulator gave up at {self.read('RIP'):#x}: {error}") from error
        if not status and self.uc._hook_exception is not None:
            raise self.uc._hook_exception

    def _fail(self, error: BaseException) -> None:
        """End the run with an exception that a device has raised."""
        self._failure = self._failure or error
        self.uc.emu_stop()

    def _why(self) -> Stop:
        """What a hook noted, else what stopped the processor."""
        if self._stop is not None:
            return self._stop
        if self._ticked:
            return Stop(StopKind.LIMIT)
        return Stop(StopKind.BLOCKS if self._blocks is not None and self._blocks.left <= 0 else StopKind.HALT)

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
            if number >= _FIRST_INTERCEPT:
                self._stop = Stop(StopKind.INTERCEPT, number=number - _FIRST_INTERCEPT)
            else:
                self._stop = Stop(StopKind.EXCEPTION, number=number)
            self.uc.emu_stop()

        def system_call(uc: object, data: object) -> None:
            self._stop = Stop(StopKind.SYSCALL)
            self.uc.emu_stop()

        def invalid(uc: object, data: object) -> bool:
            self._stop = Stop(StopKind.EXCEPTION, number=_INVALID_OPCODE)
            return False

        def read_port(uc: object, port: int, size: int, data: object) -> int:
            try:
                return self.read_port(port, size)
            except BaseException as error:  # an exception cannot leave a callback that C called
                self._fail(error)
                return 0

        def write_port(uc: object, port: int, size: int, value: int, data: object) -> None:
            try:
                self.write_port(port, size, value)
            except BaseException as error:
                self._fail(error)

        self._stores = PlainStores(self.uc, unmapped)
        self.mapped.changed = self._stores.show
        self.mapped.grows = self._stores.show_more
        self.uc.hook_add(constants.UC_HOOK_INTR, interrupt)
        self.uc.hook_add(constants.UC_HOOK_INSN_INVALID, invalid)
        self.uc.hook_add(constants.UC_HOOK_INSN, read_port, aux1=registers.UC_X86_INS_IN)
        self.uc.hook_add(constants.UC_HOOK_INSN, write_port, aux1=registers.UC_X86_INS_OUT)
        self.uc.hook_add(constants.UC_HOOK_INSN, system_call, aux1=registers.UC_X86_INS_SYSCALL)
        self._hooks = hook_time_stamp(self.uc, self._clock, self.write_general, self._time_was_read)

    def _time_was_read(self) -> None:
        if self.interrupt_due():
            self.stop_now(Stop(StopKind.TIME))
