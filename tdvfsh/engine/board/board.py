"""The hardware under guest code: what the processor's stops mean, for EFI programs and for an operating system.

Time is virtual: it passes when the guest reads the time stamp counter, spins, waits or accepts memory, and with the
blocks of code that real firmware or an operating system runs; interrupts are taken at such moments. Until an operating
system runs over firmware of ours, IN and OUT are carried out at once, as if firmware's handler had answered their #VE.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from tdvfsh.engine.board.exceptions import DEBUG, GuestExceptions
from tdvfsh.engine.board.hardware import SMALL_WINDOW, Hardware
from tdvfsh.engine.board.host import BoardHost
from tdvfsh.engine.board.instructions import Instructions
from tdvfsh.engine.board.limit import RunLimit, check_count
from tdvfsh.engine.board.mapped_devices import DevicesOnDemand, map_devices
from tdvfsh.engine.board.memory_faults import MemoryFaults
from tdvfsh.engine.board.preemption import Preemption
from tdvfsh.engine.board.spin_watch import SpinWatch
from tdvfsh.engine.board.starts import VcpuStarts
from tdvfsh.engine.board.stopped_guest import RunningGuest
from tdvfsh.engine.board.terminals import Terminals
from tdvfsh.engine.board.vcpus import Vcpu, Vcpus
from tdvfsh.engine.board.wakeup import WakeupMailbox
from tdvfsh.engine.console.serial_input import SerialInput
from tdvfsh.engine.devices.devices import Devices
from tdvfsh.engine.devices.interrupt_bus import InterruptBus
from tdvfsh.engine.devices.interrupts import Interrupts, Windows
from tdvfsh.engine.devices.io_apic import ADDRESS as IO_APIC_ADDRESS
from tdvfsh.engine.devices.io_apic import SIZE as IO_APIC_SIZE
from tdvfsh.engine.devices.local_apic import LocalApic
from tdvfsh.engine.tdx.cpuid import TdCpuid
from tdvfsh.engine.tdx.module import TdxModule
from tdvfsh.engine.tdx.msrs import TdMsrs
from tdvfsh.engine.tdx.page_accepts import Acceptor, PageAccepts
from tdvfsh.engine.tdx.vcpu import TdVcpu
from tdvfsh.engine.tdx.vmm import Vmm
from tdvfsh.engine.violation import Violation
from tdvfsh.engine.virtio.network.device import NetworkDevice
from tdvfsh.engine.x86.block_counter import BlockCounter
from tdvfsh.engine.x86.instructions.time_stamp import CYCLES_PER_NANOSECOND
from tdvfsh.engine.x86.native_cpuid import NativeCpuid
from tdvfsh.engine.x86.stand_ins import StandIns
from tdvfsh.engine.x86.stop import Stop, StopKind
from tdvfsh.lazy_typing import Final, NoReturn
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace import Trace

_TD_ADDRESS_BITS: Final = 52
_VM_ADDRESS_BITS: Final = 40  # of every processor that QEMU emulates, where no other number is asked for
_LOOK_FOR_INPUT: Final = 256  # stops of a busy system between two looks at its terminal


class Board:
    """The machine around guest code: processor, memory, devices, TDX module and VMM of one TD or plain VM.

    Args:
        td: The trust domain; its contents become live memory.
        trace: The journal, for accepts that guest code makes.
        host: What the board is started for. Nothing is asked of it before guest code runs.
        console: Takes each byte that the serial port sends; they are dropped where None.
        typed: What is typed at the serial port; None for nothing.
        violation_ve: Deliver #VE for a page that is not accepted, whatever SEPT_VE_DISABLE says.
        limit: When to abort; None for never.
        cmos: CMOS registers that are set from the start, for firmware that reads them.

    Attributes:
        td: The trust domain.
        clock: Virtual time.
        ram: The memory.
        cpu: The processor.
        vcpus: The vCPUs.
        devices: The devices.
        module: The TDX module.
        vmm: The VMM.
        page_accepts: What guest code accepts.
        console: Takes each byte that the serial port sends; None where they are dropped.
        date: Returns the virtual date and time.
        network: A network device, to which the host sends; None for no such device.
        terminals: The devices that can be typed at.
        stand_ins: Functions of the guest's whose place the host takes.
        stops: Stops that were answered so far.
        on_demand: Devices of a plain VM that were mapped when they were touched.
        spins: The watch over vCPUs that wait without PAUSE; None where there is none.
    """

    def __init__(
        self,
        td: TrustDomain,
        trace: Trace,
        host: BoardHost,
        *,
        console: Callable[[int], None] | None = None,
        typed: SerialInput | None = None,
        violation_ve: bool = False,
        limit: RunLimit | None = None,
        cmos: Mapping[int, int] | None = None,
    ) -> None:
        self._hardware = hardware = Hardware(td, limit.reached if limit is not None else None)
        self.td, self.clock, self.ram, self.cpu = td, hardware.clock, hardware.ram, hardware.cpu
        self._state = state = self.cpu.state
        self.console, self.date = console, host.date
        self._limit = limit
        if limit is not None:
            limit.guest_runs = lambda: self.cpu.running
        self._trace, self._first_record = trace, len(trace)
        self.stops = 0
        self._written: list[tuple[int, int]] = []
        self.stand_ins = StandIns(self.cpu)
        self.spins: SpinWatch | None = None
        bus, windows = InterruptBus(), Windows()
        self.devices = Devices(bus, self._sent, host.date, self.clock.poll, self.clock.access, cmos)
        apics = [LocalApic(number, self.now, CYCLES_PER_NANOSECOND, bus) for number in range(td.vcpus)]
        for apic in apics:
            apic.ended = self.devices.io_apic.ended
        vcpus = [
            Vcpu(number, Interrupts(apic, self.cpu, state, windows), TdVcpu(number, TdMsrs(apic, boot=not number)))
            for number, apic in enumerate(apics)
        ]
        self.vcpus = Vcpus(vcpus, self.clock, state, self._turned, self._idle)
        self._guest = guest = RunningGuest(hardware, host, self.vcpus)
        self._starts = VcpuStarts(self.cpu, self.vcpus)
        self.page_accepts = PageAccepts(td, trace, self._acceptor)
        bits = _TD_ADDRESS_BITS if td.is_td else max(_VM_ADDRESS_BITS, (td.ram.end - 1).bit_length())
        self._address_bits = bits
        cpuid = TdCpuid(NativeCpuid(self.cpu.model), td.vcpus, CYCLES_PER_NANOSECOND, td.is_td, bits)
        first, ports = vcpus[0].td, self.devices.ports
        self.network: NetworkDevice | None = None
        self.terminals = Terminals(self.devices.serial, typed, self.now)
        self.vmm = Vmm(td, first, state, cpuid, ports, self.devices, self._wait, hardware.converted)
        ram = self.ram
        self.module = TdxModule(td, first, state, ram.read_physical, ram.write_physical, self._accept, self.vmm.vmcall)
        self._instructions = Instructions(guest, cpuid, self.module, self._wait, self._spin)
        self.on_demand = DevicesOnDemand(self.cpu, self.devices.memory)
        self._faults = MemoryFaults(guest, violation_ve, self.on_demand.map_at)
        self._preemption = Preemption(self.cpu, self.clock)
        self._exceptions = GuestExceptions(guest, self._instructions, self._faults, self._preemption)
        self._connect()

    def close(self) -> None:
        """End the processor's timer; memory stays as it is."""
        self._hardware.close()

    def now(self) -> int:
        """Virtual nanoseconds."""
        return self.clock.now_ns

    def _connect(self) -> None:
        cpu, io_apic = self.cpu, self.devices.io_apic
        cpu.read_port = self._read_port
        cpu.write_port = self._write_port
        cpu.interrupt_due = lambda: self.vcpus.current.interrupts.due() or self.vcpus.turn_is_over()
        if not self.td.is_td:
            cpu.map_device(IO_APIC_ADDRESS, IO_APIC_SIZE, io_apic.read, io_apic.write)

    @property
    def counts(self) -> dict[str, int]:
        """How often the guest left for the module, the VMM and devices."""
        return dict(self._guest.counts)

    @property
    def block_counters(self) -> list[BlockCounter]:
        """All that count the blocks of code that run."""
        return self._preemption.counters

    def wait_at_mailbox(self, address: int) -> WakeupMailbox:
        """Have all vCPUs of a TD but the first wait at a mailbox: ``WakeupMailbox.size`` bytes at ``address``."""
        mailbox = self._starts.mailbox = WakeupMailbox(self.ram, address)
        return mailbox

    @property
    def mailbox(self) -> WakeupMailbox | None:
        """Where the operating system of a TD wakes all vCPUs but the first; None where there is none."""
        return self._starts.mailbox

    def entered_system(self, is_linux: bool) -> None:
        """The operating system's first instruction: its own handlers answer from here on, all memory is its own.

        Args:
            is_linux: Whether it is a Linux kernel, which asks what TD it is in before it handles any #VE.
        """
        self.cpu.unwatch()
        self._guest.is_linux = is_linux
        self._leave_to_guest()
        if not self.td.is_td:
            for each in self.vcpus.all:
                each.td.msrs.take_memory_type_ranges(self.td.ram.low.end, self._address_bits)
        self._preemption.begin()

    def _leave_to_guest(self) -> None:
        """The guest has all memory and its own page tables, and answers what it causes itself."""
        self.ram.lowest = 0
        self.ram.paging = self._guest.translate
        self.clock.uneven = True
        self.cpu.mapped.map_accepted()
        self.cpu.stop_before_ports(self._instructions.stops_at_port, user=not self.td.is_td)
        self.cpu.store_plainly()

    def power_on(self, begin: Callable[[int], bytes]) -> int:
        """Start real firmware at its reset vector: all vCPUs of a TD, the first one of a plain VM.

        Args:
            begin: Returns the state in which a vCPU begins, by its number; it may change the processor's.

        Returns:
            The address to run at.
        """
        self._leave_to_guest()
        if not self.td.is_td:
            map_devices(self.cpu, self.td, self.devices.memory)
            for each in self.vcpus.all:
                each.td.msrs.add_memory_type_ranges()
        state = self._state
        if self.td.is_td and self.td.vcpus > 1:
            self.spins = SpinWatch(self.cpu)
            for vcpu in self.vcpus.waiting:
                self._starts.start(vcpu, partial(begin, vcpu.number))
                vcpu.spinning = True  # the boot processor has them wait before it needs them
        self._starts.reset()
        state.set_image(begin(0))
        state.store()
        self._preemption.begin()
        return state.instruction_pointer

    # ---- memory -------------------------------------------------------------------------------------------------

    def map_accepted(self) -> bool:
        """Let the processor see what was accepted from outside; returns whether there was anything new."""
        return self._hardware.map_accepted()

    def wrote(self, address: int, size: int) -> None:
        """Memory that may have held code was written from outside the guest."""
        self._hardware.wrote(address, size)

    def dma_wrote(self, address: int, size: int) -> None:
        """A device wrote memory while the guest runs: what was translated from it is forgotten at once, at a stop.

        The instruction that made the device do so is executed again then, so that it must find nothing left to do.
        """
        if size > SMALL_WINDOW:
            self._written.append((address, address + size))
            self.cpu.stop_now(Stop(StopKind.TIME))

    def translate(self, page: int) -> int | None:
        """Physical address of a linear page, for reads of guest memory; None where it is not mapped."""
        return self._guest.translate(page)

    # ---- reports ------------------------------------------------------------------------------------------------

    def describe(
        self, what: str, address: int, kind: str, *, service: str = "", pointer: int | None = None
    ) -> Violation:
        """The present stop; for an access that a service of the host made, its name and where it was called from."""
        return self._guest.describe(what, address, kind, service=service, pointer=pointer)

    def check_limit(self) -> None:
        """Abort where the run's time is over, or its journal full.

        Raises:
            KeyboardInterrupt, EngineError: It is.
        """
        if self._limit is not None and self._limit.over:
            self._limit.give_up()
        check_count(len(self._trace) - self._first_record, "journal records")

    def begin_journal(self) -> None:
        """What the journal holds already is of earlier runs and does not count against this one."""
        self._first_record = len(self._trace)

    # ---- devices ------------------------------------------------------------------------------------------------

    def _read_port(self, port: int, size: int) -> int:
        self._guest.counts["IN"] += 1
        return self.devices.ports.read(port, size)

    def _write_port(self, port: int, size: int, value: int) -> None:
        self._guest.counts["OUT"] += 1
        self.devices.ports.write(port, size, value)

    def _sent(self, byte: int) -> None:
        self.terminals.hear(byte)
        if self.console is not None:
            self.console(byte)

    def _idle(self, until: int | None) -> int | None:
        """All wait: what is typed or sent meanwhile arrives."""
        if self.network is not None:
            self.check_limit()
            until = self.network.idle(self.clock.now_ns, until)
        if not self.terminals.awaited:
            return until
        self.check_limit()
        if self._limit is not None and self._limit.due:
            self._limit.give_up()  # as where the input ends: the machine waits within this stop
        return self.terminals.waits(until)

    def _accept(self, rcx: int) -> int:
        """TDG.MEM.PAGE.ACCEPT: the processor is shown the page when it touches it, with its neighbours of then."""
        status = self.page_accepts.accept(rcx)
        self.ram.grown()
        return status

    def _acceptor(self) -> Acceptor:
        """The code whose TDCALL is being served, and the vCPU that executes it."""
        return Acceptor(self._guest.host.code.phase(self.cpu), self.vcpus.current.number)

    # ---- processors ---------------------------------------------------------------------------------------------

    def _wait(self, blocked: bool) -> None:
        self._starts.wake()
        self.vcpus.waits()
        self.vcpus.current.interrupts.halt(blocked)

    def _spin(self) -> None:
        self._starts.wake()
        self.vcpus.spun()

    def _turned(self, vcpu: Vcpu) -> None:
        """Another vCPU runs."""
        self.vmm.vcpu = self.module.vcpu = vcpu.td
        self._guest.turned()
        self._state.store()
        self.cpu.forget_translations()

    # ---- stops --------------------------------------------------------------------------------------------------

    def run(self, address: int) -> NoReturn:
        """Run guest code from ``address`` until its run ends, for hosts that serve no calls of their own.

        Raises:
            EngineError: As :meth:`after` raises it; its type says how the run ended.
        """
        while True:
            address = self.after(self.cpu.run(address))

    def after(self, stop: Stop) -> int:
        """Handle a stop; returns the address to continue at.

        Raises:
            EngineError: The run has ended: the guest was stopped, is dead, reset the machine, or its time is over.
        """
        guest, kind, faults = self._guest, stop.kind, self._faults
        if kind is StopKind.LIMIT and self._limit is not None:
            self._limit.give_up()
        self.check_limit()
        if kind is StopKind.CALL:
            return self.stand_ins.serve(stop.address)
        guest.load()
        stepped = False
        if faults.in_shared_access:
            faults.after_shared_access()
            self._preemption.release()
            if kind is StopKind.EXCEPTION and stop.number == DEBUG:
                self._state.exception_delivered()
                kind, stepped = StopKind.TIME, True
        self._preemption.stopped()
        if kind is StopKind.INTERCEPT:
            self._instructions.intercepted(stop.number)
        elif kind is StopKind.EXCEPTION:
            self._exceptions.raised(stop.number)
        elif kind is StopKind.UNMAPPED:
            faults.untouchable(stop)
        elif kind is StopKind.SYSCALL:
            self._preemption.leaving()
            self._instructions.system_call()
        elif kind is StopKind.PORT:
            self._instructions.port()
        elif kind is StopKind.SPIN:
            self._spun_at(stop.address)
        if faults.in_shared_access:
            self._preemption.hold(guest.code())
        elif not stepped:  # whether there was such a step at all depends on what the emulator remembers
            self._between_instructions()
        return self._continue()

    def _continue(self) -> int:
        self.vcpus.current.interrupts.resuming()
        if self.spins is not None:
            self.spins.resume(self.vcpus.current)
        if self._written:
            self.cpu.forget_physical(self._written)
            self._written.clear()
        self._guest.store()
        return self._state.instruction_pointer

    def _between_instructions(self) -> None:
        """A stop is answered: look for input, and who runs on, and whether with an interrupt."""
        self.stops += 1
        if not self.stops % _LOOK_FOR_INPUT:
            self.terminals.receive()
            if self.network is not None:
                self.network.poll()
        self.vcpus.settle()
        self._interrupt()

    # ---- saved machines -----------------------------------------------------------------------------------------

    @property
    def at_rest(self) -> bool:
        """Whether the machine can be saved after the last stop: not while an instruction touches shared memory."""
        return not self._faults.in_shared_access

    @property
    def new_processor(self) -> bytes:
        """The processor's state as it is after a reset."""
        return self._starts.new

    def now_runs(self, vcpu: Vcpu) -> None:
        """Continue from a state that was saved: this one runs, its state is yet to be loaded."""
        self.vmm.vcpu = self.module.vcpu = vcpu.td
        self._guest.turned()

    def resume(self, waits: bool) -> int:
        """Continue a machine that was saved, whose state was loaded; returns the address to run at.

        Args:
            waits: Whether it was saved where all vCPUs waited for input, and not after a stop.

        Raises:
            EngineError: As :meth:`after`.
        """
        self._state.store()
        self._guest.load()
        if waits:
            self.vcpus.settle()
            self._interrupt()
        return self._continue()

    def _spun_at(self, address: int) -> None:
        self._state.instruction_pointer = address
        assert self.spins is not None
        if not self.spins.entered_system(address):
            self.vcpus.spins(address)

    def _interrupt(self) -> None:
        vector = self.vcpus.current.interrupts.take()
        if vector is not None:
            self._guest.counts["interrupts"] += 1
            self._guest.raise_exception(vector)
