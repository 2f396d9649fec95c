"""The hardware under guest code: what the processor's stops mean, for EFI programs and for an operating system.

Time is virtual: it passes when the guest reads the time stamp counter, spins, waits or accepts memory,
and interrupts are taken at such moments. Until an operating system runs, IN and OUT are carried out at once, as if
firmware's handler had answered their #VE.

Source: Intel TDX module 1.5 base specification (which instructions raise #VE); Intel SDM volume 3, chapter 6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tdvfsh.engine import intercepts
from tdvfsh.engine.cpu import CYCLES_PER_NANOSECOND, Stop, StopKind
from tdvfsh.engine.delivery import INTERRUPT_FLAG, deliver, may_call
from tdvfsh.engine.errors import GuestDead, GuestStopped
from tdvfsh.engine.exceptions import exception_name, takes_error_code
from tdvfsh.engine.interrupts import Interrupts, Windows
from tdvfsh.engine.native_cpuid import NativeCpuid
from tdvfsh.engine.page_walk import walk
from tdvfsh.engine.platform.clock import CmosClock
from tdvfsh.engine.platform.interrupt_bus import InterruptBus
from tdvfsh.engine.platform.io_apic import ADDRESS as IO_APIC_ADDRESS
from tdvfsh.engine.platform.io_apic import SIZE as IO_APIC_SIZE
from tdvfsh.engine.platform.io_apic import IoApic
from tdvfsh.engine.platform.local_apic import LocalApic
from tdvfsh.engine.platform.ports import Ports
from tdvfsh.engine.platform.serial_port import COM1_LINE, SerialPort
from tdvfsh.engine.port_instruction import allowed_by_task, decode_port_instruction
from tdvfsh.engine.processor_state import INTERCEPTING
from tdvfsh.engine.random_instruction import RandomSequence, decode_rdrand
from tdvfsh.engine.shared_alias import SharedAlias
from tdvfsh.engine.system_call import enter_system_call
from tdvfsh.engine.tdx import vmm as exits
from tdvfsh.engine.tdx.cpuid import TdCpuid
from tdvfsh.engine.tdx.module import RAX, RBX, RCX, RDX, TdxModule
from tdvfsh.engine.tdx.msrs import LSTAR, STAR, SYSCALL_MASK, Owner, TdMsrs, permission_map
from tdvfsh.engine.tdx.vcpu import TdVcpu, VirtualizationInfo
from tdvfsh.engine.tdx.vmm import Vmm
from tdvfsh.engine.vcpus import Vcpu, Vcpus
from tdvfsh.engine.violation import describe
from tdvfsh.engine.wakeup import WakeupMailbox
from tdvfsh.td.access import AccessKind, access
from tdvfsh.td.mapgpa import map_gpa
from tdvfsh.uefi.tdx import TdcallLeaf
from tdvfsh.units import PAGE_SIZE, align_down

if TYPE_CHECKING:
    from tdvfsh.engine.firmware import GuestFirmware

_TDCALL: Final = bytes.fromhex("660f01cc")
_INT3: Final = b"\xcc"
_DEBUG: Final = 1
_BREAKPOINT: Final = 3
_FROM_TABLE: Final = 2  # an error code names a gate of the interrupt descriptor table
_INVALID_OPCODE: Final = 6
_DOUBLE_FAULT: Final = 8
_GENERAL_PROTECTION: Final = 13
_PAGE_FAULT: Final = 14
_VIRTUALIZATION: Final = 20
_RESERVED_BIT: Final = 1 << 3
_WRITE: Final = 1 << 1
_USER: Final = 3
_RSP: Final = 4
_CARRY: Final = 1
_ARITHMETIC: Final = 0x8D5  # OF SF ZF AF PF CF
_PROCESSOR_KEEPS: Final = _ARITHMETIC | 1 << 10  # DF too
_SHORT: Final = 16
_TRAP: Final = 1 << 8
_LONGEST_INSTRUCTION: Final = 15
_SPIN_NS: Final = 1_000
_CONTROL_BLOCK: Final = (1 << 40) - intercepts.CONTROL_SIZE  # the emulator's last physical addresses
_QUALIFICATIONS: Final = {"read": 1, "write": 2, "fetch": 4}
_LEAVES: Final = {leaf.value: leaf.name for leaf in TdcallLeaf}


class System:
    """The machine around guest code.

    Args:
        firmware: The firmware that starts it.
        console: Takes each byte that the serial port sends.
        violation_ve: Deliver #VE for a page that is not accepted, whatever SEPT_VE_DISABLE says.

    Attributes:
        vcpus: The processors.
        mailbox: Where an operating system wakes all but the first of them; None where there is one.
    """

    def __init__(self, firmware: GuestFirmware, console: Callable[[int], None], violation_ve: bool = False) -> None:
        self._firmware = firmware
        self._violation_ve = violation_ve
        self._cpu = firmware.cpu
        self._state = firmware.cpu.state
        self._td = firmware.td
        clock, bus = firmware.clock, InterruptBus()
        self.io_apic = IoApic(bus)
        windows = Windows()
        count = self._td.vcpus if self._td.is_td else 1
        self.vcpus = Vcpus(
            [self._vcpu(number, bus, windows) for number in range(count)], clock, self._state, self._turned
        )
        self.mailbox: WakeupMailbox | None = None
        self.serial = SerialPort(console, lambda level: self.io_apic.set_line(COM1_LINE, level))
        self.ports = Ports(self.serial, CmosClock(firmware.date), clock.read)
        self.cpuid = TdCpuid(NativeCpuid(self._cpu.model), count, CYCLES_PER_NANOSECOND, self._td.is_td)
        first = self.vcpus.current.td
        self.vmm = Vmm(self._td, first, self._state, self.cpuid, self.ports, self, self._wait, self._converted)
        self.module = TdxModule(
            self._td, first, self._state, self._read_physical, self._write_physical, self._accept, self.vmm.vmcall
        )
        self.counts: dict[str, int] = {}
        self._numbers = RandomSequence()
        self._trapping = False
        self._loaded = False
        self._shared = SharedAlias(self._td, firmware.ram, self._cpu)
        self._connect()

    def _vcpu(self, number: int, bus: InterruptBus, windows: Windows) -> Vcpu:
        clock = self._firmware.clock
        apic = LocalApic(number, lambda: clock.now_ns, CYCLES_PER_NANOSECOND, bus)
        apic.ended = self.io_apic.ended
        interrupts = Interrupts(apic, self._cpu, self._state, windows)
        return Vcpu(number, interrupts, TdVcpu(number, TdMsrs(apic, boot=not number)))

    def _turned(self, vcpu: Vcpu) -> None:
        """Another vCPU runs."""
        self.vmm.vcpu = self.module.vcpu = vcpu.td
        self._state.store()
        self._cpu.forget_translations()

    def _wake(self) -> None:
        """Look into the mailbox, as the vCPUs that wait at it do all the time."""
        vcpus = self.vcpus
        if self.mailbox is None or vcpus.running == len(vcpus.all):
            return
        asked = self.mailbox.asked()
        if asked is None or asked.vcpu >= len(vcpus.all) or vcpus.all[asked.vcpu].image is not None or not asked.vcpu:
            return
        self.mailbox.acknowledge()
        now = self._state.image()
        self._state.set_image(self._new)
        self._state.store()
        image = self.mailbox.begin(self._cpu, asked.address)
        self._state.set_image(now)
        self._state.store()
        vcpus.start(vcpus.all[asked.vcpu], image)

    def _connect(self) -> None:
        cpu = self._cpu
        codes = (intercepts.CPUID, intercepts.PAUSE, intercepts.HLT, intercepts.MSR)
        intercepts.set_intercepts(cpu.uc, self._state, _CONTROL_BLOCK, codes, permission_map())
        cpu.read_port = self._read_port
        cpu.write_port = self._write_port
        self._new = self._state.image()
        cpu.interrupt_due = lambda: self.vcpus.current.interrupts.due()
        if not self._td.is_td:
            cpu.map_device(IO_APIC_ADDRESS, IO_APIC_SIZE, self.io_apic.read, self.io_apic.write)

    # ---- devices ------------------------------------------------------------------------------------------------

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _read_port(self, port: int, size: int) -> int:
        self._count("IN")
        return self.ports.read(port, size)

    def _write_port(self, port: int, size: int, value: int) -> None:
        self._count("OUT")
        self.ports.write(port, size, value)

    def entered_system(self) -> None:
        """The operating system's first instruction: its own handlers answer from here on."""
        self._cpu.stop_before_ports(self._stops_at_port)

    def _stops_at_port(self, code: bytes) -> bool:
        return (self._td.is_td or bool(self._cpu.read("CS") & _USER)) and decode_port_instruction(code) is not None

    def _port(self) -> None:
        """IN, OUT and their string forms: #GP where the privilege level has no ports, #VE in a TD.

        Raises:
            GuestDead: There is no handler of #VE: the kernel has never asked what TD it runs in.
        """
        state = self._state
        instruction = decode_port_instruction(self._code())
        assert instruction is not None
        port = state.register(RDX) & 0xFFFF if instruction.port is None else instruction.port
        task = state.task
        if state.privilege > state.system_flags >> 12 & 3 and not allowed_by_task(
            self._cpu.memory.read, task.base, task.limit, port, instruction.size
        ):
            self._raise(_GENERAL_PROTECTION, 0)
            return
        if not self._td.is_td:
            self._cpu.pass_port()
            return
        self._count(instruction.name)
        if self._firmware.symbols is not None and not self.module.informed:
            what = f"{instruction.name} of port {port:#x}"
            raise GuestDead(f"{what} raises #VE, and this kernel has no handler: it is no TDX guest")
        self._exit_to_vmm(exits.IO, instruction.qualification(port), instruction.length)

    def read(self, address: int, size: int) -> int:
        """A device's register in the address space; all ones where there is none."""
        if IO_APIC_ADDRESS <= address < IO_APIC_ADDRESS + IO_APIC_SIZE:
            return self.io_apic.read(address - IO_APIC_ADDRESS)
        return (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        """Write a device's register."""
        if IO_APIC_ADDRESS <= address < IO_APIC_ADDRESS + IO_APIC_SIZE:
            self.io_apic.write(address - IO_APIC_ADDRESS, value & 0xFFFFFFFF)

    # ---- memory -------------------------------------------------------------------------------------------------

    def _read_physical(self, address: int, size: int) -> bytes | None:
        return self._firmware.ram.read_physical(address, size)

    def _write_physical(self, address: int, data: bytes) -> bool:
        return self._firmware.ram.write_physical(address, data)

    def _accept(self, rcx: int) -> int:
        status = self._firmware.page_accepts.accept(rcx)
        self._firmware.map_accepted()
        return status

    def _converted(self) -> None:
        self._firmware.map_accepted()

    def translate(self, page: int) -> int | None:
        """Physical address of a linear one, for whoever reads guest memory."""
        if self._loaded:
            table, mode = self._state.control(3), self._state.control(4)
        else:
            table, mode = self._cpu.read("CR3"), self._cpu.read("CR4")
        found = walk(self._firmware.ram.view, table, page, self._td.shared_mask, mode)
        return None if found is None else found.physical & ~self._td.shared_mask

    # ---- stops --------------------------------------------------------------------------------------------------

    def after(self, stop: Stop) -> int:
        """What a stop leads to; gives the address to go on at."""
        self._state.load()
        self._loaded = True
        try:
            return self._answered(stop)
        finally:
            self._loaded = False

    def _answered(self, stop: Stop) -> int:
        state, kind = self._state, stop.kind
        if self._shared.pointing:
            self._after_shared_access()
            if kind is StopKind.EXCEPTION and stop.number == _DEBUG:
                state.exception_delivered()
                kind = StopKind.TIME
        if kind is StopKind.INTERCEPT:
            self._intercepted(stop.number)
        elif kind is StopKind.EXCEPTION:
            self._exception(stop.number)
        elif kind is StopKind.UNMAPPED:
            self._untouchable(stop)
        elif kind is StopKind.SYSCALL:
            self._system_call()
        elif kind is StopKind.PORT:
            self._port()
        if not self._shared.pointing:
            self.vcpus.settle()
            self._interrupt()
        self.vcpus.current.interrupts.resuming()
        state.store()
        return state.instruction_pointer

    def _interrupt(self) -> None:
        vector = self.vcpus.current.interrupts.take()
        if vector is not None:
            self._count("interrupts")
            self._raise(vector)

    def _wait(self, blocked: bool) -> None:
        self._wake()
        self.vcpus.current.interrupts.halt(blocked)

    def _skip(self) -> None:
        """Go on behind the instruction that exited."""
        self._state.instruction_pointer += self._instruction_length()

    def _instruction_length(self) -> int:
        return intercepts.instruction_length(self._code())

    def _intercepted(self, code: int) -> None:
        if code == intercepts.PAUSE:
            self._firmware.clock.advance(_SPIN_NS)
            self._skip()
            self._wake()
            self.vcpus.spun()
        elif code == intercepts.CPUID:
            self._identify()
        elif code == intercepts.HLT:
            self._halt()
        else:
            self._msr()

    def _in_firmware(self) -> bool:
        """Whether the interrupt table is still the firmware's, whose own handler answers every #VE."""
        return self._state.interrupt_table.base == self._firmware.interrupt_table

    def _virtualization_exception(self, info: VirtualizationInfo) -> None:
        """#VE; a second one before the guest has asked about the first is a double fault."""
        if self.module.vcpu.virtualization is not None:
            self._raise(_DOUBLE_FAULT, 0)
            return
        self._count("#VE")
        self.module.vcpu.virtualization = info
        self._raise(_VIRTUALIZATION)

    def _exit_to_vmm(self, reason: int, qualification: int = 0, length: int | None = None) -> None:
        if length is None:
            length = self._instruction_length()
        self._virtualization_exception(VirtualizationInfo(reason, qualification, instruction_length=length))

    def _identify(self) -> None:
        state = self._state
        leaf, subleaf = state.register(RAX) & 0xFFFFFFFF, state.register(RCX) & 0xFFFFFFFF
        registers = self.cpuid.answer(leaf, subleaf, state.control(4), self.module.vcpu.index)
        if registers is None:
            if not self._in_firmware():
                self._exit_to_vmm(exits.CPUID)
                return
            registers = self.cpuid.hypervisor(leaf)
        for number, value in zip((RAX, RBX, RCX, RDX), registers, strict=True):
            state.set_register(number, value)
        self._skip()

    def _halt(self) -> None:
        if self._td.is_td and not self._in_firmware():
            self._exit_to_vmm(exits.HLT)
            return
        self._skip()
        if self._in_firmware():
            self._sleep()
        else:
            self._wait(not self._state.system_flags & INTERRUPT_FLAG)

    def _sleep(self) -> None:
        """HLT of a program: its notifications run in between, as an interrupt would let them."""
        self._state.store()
        uc = self._cpu.uc
        context = uc.context_save()
        self._firmware.waiting.halted()
        uc.context_restore(context)
        self._state.load()

    def _msr(self) -> None:
        state = self._state
        number = state.register(RCX) & 0xFFFFFFFF
        writes = bool(state.error_code)
        owner = self.module.vcpu.msrs.owner(number)
        if owner is Owner.PROCESSOR:
            self._processor_msr(number)
        elif owner is Owner.VMM and self._td.is_td and not self._in_firmware():
            self._exit_to_vmm(exits.WRMSR if writes else exits.RDMSR)
        elif writes:
            value = state.register(RAX) & 0xFFFFFFFF | (state.register(RDX) & 0xFFFFFFFF) << 32
            self._done_or_fault(self.module.vcpu.msrs.write(number, value))
        else:
            value_read = self.module.vcpu.msrs.read(number)
            if value_read is not None:
                state.set_register(RAX, value_read & 0xFFFFFFFF)
                state.set_register(RDX, value_read >> 32)
            self._done_or_fault(value_read is not None)

    def _processor_msr(self, number: int) -> None:
        """A write to one of SYSCALL's registers: done here, since SYSCALL is."""
        state = self._state
        value = state.register(RAX) & 0xFFFFFFFF | (state.register(RDX) & 0xFFFFFFFF) << 32
        state.hidden_flags &= ~INTERCEPTING  # the emulator's own write would exit as well
        state.store()
        self._cpu.uc.msr_write(number, value)
        state.load()
        state.hidden_flags |= INTERCEPTING
        self.vcpus.current.syscall_registers = None
        self._skip()

    def _done_or_fault(self, done: bool) -> None:
        if done:
            self._skip()
        else:
            self._raise(_GENERAL_PROTECTION, 0)

    def _system_call(self) -> None:
        vcpu = self.vcpus.current
        if vcpu.syscall_registers is None:
            star, entry, mask = (self._cpu.uc.msr_read(number) for number in (STAR, LSTAR, SYSCALL_MASK))
            vcpu.syscall_registers = star, entry, mask
        enter_system_call(self._state, self._cpu.read("EFLAGS"), *vcpu.syscall_registers)

    # ---- exceptions ---------------------------------------------------------------------------------------------

    def _exception(self, number: int) -> None:
        state = self._state
        if number == _INVALID_OPCODE and self._td.is_td and self._at_tdcall():
            if state.privilege:
                self._raise(_GENERAL_PROTECTION, 0)
                return
            leaf = self.module.tdcall()
            self._count(_LEAVES.get(leaf, f"TDCALL {leaf}"))
            self._state.instruction_pointer += len(_TDCALL)
        elif number == _INVALID_OPCODE and self._random():
            pass
        elif number == _DEBUG and self.vcpus.current.interrupts.stepping:
            self.vcpus.current.interrupts.stepped()
        elif number == _PAGE_FAULT and state.error_code & _RESERVED_BIT and self._shared_access():
            pass
        elif state.software_interrupt and not may_call(state, self._cpu.memory, number):
            breakpoint_byte = self._cpu.memory.read(state.instruction_pointer - 1, 1) == _INT3
            state.instruction_pointer -= 1 if breakpoint_byte and number == _BREAKPOINT else len(_INT3) + 1
            self._raise(_GENERAL_PROTECTION, number << 3 | _FROM_TABLE)
        else:
            self._raise(number, state.error_code if takes_error_code(number) else None)

    def _random(self) -> bool:
        """RDRAND, if the guest is at one."""
        state = self._state
        instruction = decode_rdrand(self._code())
        if instruction is None:
            return False
        value = self._numbers.next(instruction.bits)
        if instruction.bits == _SHORT:
            value |= state.register(instruction.register) & ~0xFFFF
        state.store()
        self._cpu.write("EFLAGS", self._flags() & ~_ARITHMETIC | _CARRY)
        state.load()
        state.set_register(instruction.register, value)
        state.instruction_pointer += instruction.length
        return True

    def _code(self) -> bytes:
        """What stands at the instruction pointer, as far as it can be read."""
        at, read = self._state.instruction_pointer, self._cpu.memory.read
        first = min(_LONGEST_INSTRUCTION, PAGE_SIZE - at % PAGE_SIZE)
        code = read(at, first) or b""
        rest = read(at + first, _LONGEST_INSTRUCTION - first) if code and first < _LONGEST_INSTRUCTION else None
        return code + (rest or b"")

    def _at_tdcall(self) -> bool:
        return self._code().startswith(_TDCALL)

    def _raise(self, vector: int, error_code: int | None = None) -> None:
        """Deliver an exception."""
        if not self._deliver(vector, error_code):
            what, address, kind = f"exception {exception_name(vector)}", self._state.instruction_pointer, "exception"
            stack = self._unaccepted_stack()
            if stack is not None:
                what, address, kind = f"write of memory that is not accepted, {stack:#x}, for {what}", stack, "write"
            self._state.store()
            raise GuestStopped(describe(self._firmware, what, address, kind))

    def _unaccepted_stack(self) -> int | None:
        """The page below the stack pointer, if it is RAM that is not accepted."""
        linear = (self._state.register(_RSP) & ~0xF) - 8
        physical = self.translate(linear) if self._firmware.ram.paging is not None else linear
        if physical is None or not self._td.ram.contains(physical, physical + 1):
            return None
        return None if self._firmware.ram.accessible(linear, 8) else physical

    def _deliver(self, vector: int, error_code: int | None = None) -> bool:
        self.vcpus.current.interrupts.give_up_stepping()
        return deliver(self._state, self._cpu.memory, self._flags(), vector, error_code)

    def _flags(self) -> int:
        """RFLAGS: the arithmetic ones from the processor, the others from the state as it is now."""
        state = self._state
        return self._cpu.read("EFLAGS") & _PROCESSOR_KEEPS | state.system_flags & ~_PROCESSOR_KEEPS | 2

    def _shared_access(self) -> bool:
        """Whether a fault was for the shared bit in a page table entry, which the emulator takes for a reserved one.

        Shared RAM is reached through its alias; a device's page is an EPT violation that becomes #VE. Where the page
        is private, QEMU converts it on its own and its contents are lost (accel/kvm/kvm-all.c, kvm_convert_memory).
        """
        state, td = self._state, self._td
        linear = state.control(2)
        found = walk(self._firmware.ram.view, state.control(3), linear, td.shared_mask, state.control(4))
        if found is None or not found.physical & td.shared_mask:
            return False
        physical = found.physical & ~td.shared_mask
        if td.ram.contains(physical, physical + 1):
            if not td.shared.get(physical):
                self._convert_for_access(physical)
            self._shared.point(found)
            self._trapping = bool(state.system_flags & _TRAP)
            state.system_flags |= _TRAP
            state.exception_delivered()
            return True
        qualification = 1 << (1 if state.error_code & _WRITE else 0)
        self._virtualization_exception(
            VirtualizationInfo(exits.EPT_VIOLATION, qualification, linear=linear, physical=found.physical)
        )
        return True

    def _after_shared_access(self) -> None:
        """The one instruction is over, or could not be: the entry and the trap flag are the guest's again."""
        self._shared.restore()
        if not self._trapping:
            self._state.system_flags &= ~_TRAP

    def _convert_for_access(self, physical: int) -> None:
        self._count("implicit conversions")
        map_gpa(self._td, align_down(physical, PAGE_SIZE) | self._td.shared_mask, PAGE_SIZE)
        self._converted()

    def _untouchable(self, stop: Stop) -> None:
        """Memory that is not there for the guest: #VE, or the end."""
        td, address, lowest = self._td, stop.address, self._firmware.ram.lowest
        if td.ram.contains(address, address + 1) and address >= lowest:
            result = access(td, address, min(address + stop.size, td.ram.end))
            if result.kind is AccessKind.VIRTUALIZATION_EXCEPTION or self._violation_ve:
                self.module.vcpu.virtualization = VirtualizationInfo(
                    exits.EPT_VIOLATION, _QUALIFICATIONS.get(stop.access, 0), linear=address, physical=address
                )
                if self._deliver(_VIRTUALIZATION):
                    return
            what = f"{stop.access} of memory that is not accepted, {address:#x}"
        elif address < lowest:
            what = f"{stop.access} through a NULL pointer, {address:#x}"
        else:
            what = f"{stop.access} of {address:#x}, where there is no RAM"
        self._state.store()
        raise GuestStopped(describe(self._firmware, what, address, stop.access))
