"""The hardware under guest code: what the processor's stops mean, for EFI programs and for an operating system.

Time is virtual: it passes when the guest reads the time stamp counter, spins, waits or accepts memory, and interrupts
are taken at such moments. Until an operating system runs, IN and OUT are carried out at once, as if firmware's handler
had answered their #VE.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from tdvfsh.engine.board.instructions import Instructions
from tdvfsh.engine.board.memory_faults import MemoryFaults
from tdvfsh.engine.board.stopped_guest import GENERAL_PROTECTION, RunningGuest
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
from tdvfsh.engine.tdx.msrs import TdMsrs, permission_map
from tdvfsh.engine.tdx.vcpu import TdVcpu
from tdvfsh.engine.tdx.vmm import Vmm
from tdvfsh.engine.x86 import intercepts
from tdvfsh.engine.x86.cpu import CYCLES_PER_NANOSECOND, Stop, StopKind
from tdvfsh.engine.x86.delivery import may_call
from tdvfsh.engine.x86.exceptions import takes_error_code
from tdvfsh.engine.x86.native_cpuid import NativeCpuid
from tdvfsh.engine.x86.real_mode import begin_in_real_mode

if TYPE_CHECKING:
    from tdvfsh.engine.runs.guest import GuestFirmware

_INT3: Final = b"\xcc"
_DEBUG: Final = 1
_BREAKPOINT: Final = 3
_INVALID_OPCODE: Final = 6
_PAGE_FAULT: Final = 14
_FROM_TABLE: Final = 2  # an error code names a gate of the interrupt descriptor table
_LOOK_FOR_INPUT: Final = 256  # stops of a busy system between two looks at its terminal
_CONTROL_BLOCK: Final = (1 << 40) - intercepts.CONTROL_SIZE  # the emulator's last physical addresses


class System:
    """The machine around guest code.

    Args:
        firmware: The firmware that starts it.
        console: Takes each byte that the serial port sends.
        typed: What is typed at it; None for nothing.
        violation_ve: Deliver #VE for a page that is not accepted, whatever SEPT_VE_DISABLE says.

    Attributes:
        vcpus: The processors.
        mailbox: Where the operating system of a TD wakes all but the first of them; None where there is none.
    """

    def __init__(
        self,
        firmware: GuestFirmware,
        console: Callable[[int], None],
        typed: SerialInput | None = None,
        violation_ve: bool = False,
    ) -> None:
        guest = self._guest = RunningGuest(firmware)
        self._cpu = guest.cpu
        self._state = guest.state
        td, clock, bus = guest.td, guest.clock, InterruptBus()
        self._console = console
        self._typed = typed
        self._stops = 0
        self._devices = Devices(bus, self._sent, firmware.date, clock.read)
        windows = Windows()
        vcpus = [self._vcpu(number, bus, windows) for number in range(td.vcpus)]
        self.vcpus = guest.vcpus = Vcpus(vcpus, clock, self._state, self._turned, self._idle)
        self.mailbox: WakeupMailbox | None = None
        cpuid = TdCpuid(NativeCpuid(self._cpu.model), td.vcpus, CYCLES_PER_NANOSECOND, td.is_td)
        self._vmm = Vmm(
            td, vcpus[0].td, self._state, cpuid, self._devices.ports, self._devices, self._wait, firmware.converted
        )
        ram = guest.ram
        self._module = TdxModule(
            td, vcpus[0].td, self._state, ram.read_physical, ram.write_physical, self._accept, self._vmm.vmcall
        )
        self._instructions = Instructions(guest, cpuid, self._module, self._wait, self._spin)
        self._faults = MemoryFaults(guest, violation_ve)
        self._connect()
        self._new = self._state.image()

    def _vcpu(self, number: int, bus: InterruptBus, windows: Windows) -> Vcpu:
        clock = self._guest.clock
        apic = LocalApic(number, lambda: clock.now_ns, CYCLES_PER_NANOSECOND, bus)
        apic.ended = self._devices.io_apic.ended
        interrupts = Interrupts(apic, self._cpu, self._state, windows)
        return Vcpu(number, interrupts, TdVcpu(number, TdMsrs(apic, boot=not number)))

    def _connect(self) -> None:
        cpu, io_apic = self._cpu, self._devices.io_apic
        codes = (intercepts.CPUID, intercepts.PAUSE, intercepts.HLT, intercepts.MSR)
        intercepts.set_intercepts(cpu.uc, self._state, _CONTROL_BLOCK, codes, permission_map())
        cpu.read_port = self._read_port
        cpu.write_port = self._write_port
        cpu.interrupt_due = lambda: self.vcpus.current.interrupts.due() or self.vcpus.turn_is_over()
        if not self._guest.td.is_td:
            cpu.map_device(IO_APIC_ADDRESS, IO_APIC_SIZE, io_apic.read, io_apic.write)

    @property
    def counts(self) -> dict[str, int]:
        """How often the guest left for the module, the VMM and devices."""
        return dict(self._guest.counts)

    def translate(self, page: int) -> int | None:
        """Physical address of a linear one, for whoever reads guest memory."""
        return self._guest.translate(page)

    def entered_system(self) -> None:
        """The operating system's first instruction: its own handlers answer from here on."""
        self._cpu.stop_before_ports(self._instructions.stops_at_port)

    def _read_port(self, port: int, size: int) -> int:
        self._guest.counts["IN"] += 1
        return self._devices.ports.read(port, size)

    def _write_port(self, port: int, size: int, value: int) -> None:
        self._guest.counts["OUT"] += 1
        self._devices.ports.write(port, size, value)

    def _sent(self, byte: int) -> None:
        if self._typed is not None:
            self._typed.heard(self._guest.clock.now_ns)
        self._console(byte)

    def _idle(self, until: int | None) -> int | None:
        """All wait: what is typed meanwhile arrives."""
        if self._typed is None or not self._devices.serial.listening:
            return until
        self._guest.firmware.check_limit()
        until = self._typed.waits(self._guest.clock.now_ns, until)
        self._receive()
        return until

    def _receive(self) -> None:
        data = self._typed.take() if self._typed is not None and self._devices.serial.listening else b""
        if data:
            self._devices.serial.receive(data)

    def _accept(self, rcx: int) -> int:
        """TDG.MEM.PAGE.ACCEPT: the processor is shown the page when it touches it, with its neighbours of then."""
        status = self._guest.firmware.page_accepts.accept(rcx)
        self._guest.ram.grown()
        return status

    # ---- processors ---------------------------------------------------------------------------------------------

    def _wait(self, blocked: bool) -> None:
        self._wake()
        self.vcpus.current.interrupts.halt(blocked)

    def _spin(self) -> None:
        self._wake()
        self.vcpus.spun()

    def _turned(self, vcpu: Vcpu) -> None:
        """Another vCPU runs."""
        self._vmm.vcpu = self._module.vcpu = vcpu.td
        self._guest.turned()
        self._state.store()
        self._cpu.forget_translations()

    def _wake(self) -> None:
        """Start those that are asked for: by the mailbox, which they look at all the time, or by a message."""
        waiting = self.vcpus.waiting
        if not waiting:
            return
        if self.mailbox is not None:
            asked = self.mailbox.asked(waiting)
            if asked is not None:
                self._start(asked.vcpu, partial(self.mailbox.begin, self._cpu, asked.address))
            return
        for vcpu in waiting:
            page = vcpu.interrupts.apic.start_page
            if page is not None:
                self._start(vcpu, partial(begin_in_real_mode, self._cpu, page))

    def _start(self, vcpu: Vcpu, begin: Callable[[], bytes]) -> None:
        now = self._state.image()
        self._state.set_image(self._new)
        self._state.store()
        self.vcpus.start(vcpu, begin())
        self._state.set_image(now)
        self._state.store()

    # ---- stops --------------------------------------------------------------------------------------------------

    def after(self, stop: Stop) -> int:
        """What a stop leads to; gives the address to go on at."""
        guest, kind, faults = self._guest, stop.kind, self._faults
        guest.load()
        if faults.in_shared_access:
            faults.after_shared_access()
            if kind is StopKind.EXCEPTION and stop.number == _DEBUG:
                self._state.exception_delivered()
                kind = StopKind.TIME
        if kind is StopKind.INTERCEPT:
            self._instructions.intercepted(stop.number)
        elif kind is StopKind.EXCEPTION:
            self._exception(stop.number)
        elif kind is StopKind.UNMAPPED:
            faults.untouchable(stop)
        elif kind is StopKind.SYSCALL:
            self._instructions.system_call()
        elif kind is StopKind.PORT:
            self._instructions.port()
        self._stops += 1
        if not self._stops % _LOOK_FOR_INPUT:
            self._receive()
        if not faults.in_shared_access:
            self.vcpus.settle()
            self._interrupt()
        self.vcpus.current.interrupts.resuming()
        guest.store()
        return self._state.instruction_pointer

    def _interrupt(self) -> None:
        vector = self.vcpus.current.interrupts.take()
        if vector is not None:
            self._guest.counts["interrupts"] += 1
            self._guest.raise_exception(vector)

    def _exception(self, number: int) -> None:
        state, interrupts = self._state, self.vcpus.current.interrupts
        if number == _INVALID_OPCODE and self._instructions.unknown():
            return
        if number == _DEBUG and interrupts.stepping:
            interrupts.stepped()
        elif number == _PAGE_FAULT and self._faults.shared_access():
            pass
        elif state.software_interrupt and not may_call(state, self._cpu.memory, number):
            self._refuse_call(number)
        else:
            self._guest.raise_exception(number, state.error_code if takes_error_code(number) else None)

    def _refuse_call(self, number: int) -> None:
        """INT n that the gate does not allow: a fault, before the instruction."""
        state = self._state
        is_int3 = number == _BREAKPOINT and self._cpu.memory.read(state.instruction_pointer - 1, 1) == _INT3
        state.instruction_pointer -= 1 if is_int3 else 2
        self._guest.raise_exception(GENERAL_PROTECTION, number << 3 | _FROM_TABLE)
