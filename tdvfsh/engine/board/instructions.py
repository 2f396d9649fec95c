"""Instructions that are not the emulator's to carry out: those that exit, and those that it does not know.

Source: Intel TDX module 1.5 base specification (which instructions raise #VE); Intel SDM volume 2 for each.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.board.stopped_guest import GENERAL_PROTECTION, RunningGuest
from tdvfsh.engine.errors import GuestDead
from tdvfsh.engine.tdx import vmm as exits
from tdvfsh.engine.tdx.cpuid import TdCpuid
from tdvfsh.engine.tdx.module import LEAF_NAMES, RAX, RBX, RCX, RDX, TdxModule
from tdvfsh.engine.tdx.msrs import LSTAR, STAR, SYSCALL_MASK, Owner
from tdvfsh.engine.x86.delivery import INTERRUPT_FLAG
from tdvfsh.engine.x86.instructions import intercepts
from tdvfsh.engine.x86.instructions.port_instruction import allowed_by_task, decode_port_instruction
from tdvfsh.engine.x86.instructions.random_instruction import RandomSequence, decode_rdrand
from tdvfsh.engine.x86.instructions.system_call import enter_system_call
from tdvfsh.engine.x86.processor_state import INTERCEPTING
from tdvfsh.lazy_typing import Final

_TDCALL: Final = bytes.fromhex("660f01cc")
_CARRY: Final = 1
_ARITHMETIC: Final = 0x8D5  # OF SF ZF AF PF CF
_SHORT: Final = 16
_USER: Final = 3
_SPIN_NS: Final = 1_000


class Instructions:
    """Emulates instructions that exit or that Unicorn lacks.

    Args:
        guest: The guest.
        cpuid: Answers CPUID.
        module: Answers TDCALL.
        wait: HLT: waits for an interrupt, or with True for an NMI only.
        spin: PAUSE: lets another vCPU have its turn.
    """

    def __init__(
        self,
        guest: RunningGuest,
        cpuid: TdCpuid,
        module: TdxModule,
        wait: Callable[[bool], None],
        spin: Callable[[], None],
    ) -> None:
        self._guest = guest
        self._cpu = guest.cpu
        self._state = guest.state
        self._is_td = guest.td.is_td
        self._cpuid = cpuid
        self._module = module
        self._wait = wait
        self._spin = spin
        self._numbers = RandomSequence()
        self._exits = {
            intercepts.PAUSE: self._pause,
            intercepts.CPUID: self._identify,
            intercepts.HLT: self._halt,
            intercepts.MSR: self._msr,
        }

    def intercepted(self, code: int) -> None:
        """One that exits, by its code."""
        self._exits[code]()

    def unknown(self) -> bool:
        """An invalid opcode for the emulator: whether it was one that the processor has."""
        return (self._is_td and self._tdcall()) or self._random()

    def _pause(self) -> None:
        self._guest.clock.advance(_SPIN_NS)
        self._guest.skip()
        self._spin()

    def _identify(self) -> None:
        state = self._state
        leaf, subleaf = state.register(RAX) & 0xFFFFFFFF, state.register(RCX) & 0xFFFFFFFF
        registers = self._cpuid.answer(leaf, subleaf, state.control(4), self._guest.vcpus.current.number)
        if registers is None:
            if not self._guest.in_firmware:
                self._guest.exit_to_vmm(exits.CPUID)
                return
            registers = self._cpuid.hypervisor(leaf)
        for number, value in zip((RAX, RBX, RCX, RDX), registers, strict=True):
            state.set_register(number, value)
        self._guest.skip()

    def _halt(self) -> None:
        guest = self._guest
        if self._is_td and not guest.in_firmware:
            guest.exit_to_vmm(exits.HLT)
            return
        guest.skip()
        if guest.in_firmware:
            self._sleep()
        else:
            self._wait(not self._state.system_flags & INTERRUPT_FLAG)

    def _sleep(self) -> None:
        """HLT of a program: its notifications run in between, as an interrupt would let them."""
        self._state.store()
        uc = self._cpu.uc
        context = uc.context_save()
        self._guest.host.halted()
        uc.context_restore(context)
        self._state.load()

    # ---- registers of the processor -----------------------------------------------------------------------------

    def _msr(self) -> None:
        state, msrs = self._state, self._guest.vcpus.current.td.msrs
        number = state.register(RCX) & 0xFFFFFFFF
        writes = bool(state.error_code)
        owner = msrs.owner(number)
        if owner is Owner.PROCESSOR:
            self._processor_msr(number)
        elif owner is Owner.VMM and self._is_td and not self._guest.in_firmware:
            self._guest.exit_to_vmm(exits.WRMSR if writes else exits.RDMSR)
        elif writes:
            value = state.register(RAX) & 0xFFFFFFFF | (state.register(RDX) & 0xFFFFFFFF) << 32
            self._done_or_fault(msrs.write(number, value))
        else:
            value_read = msrs.read(number)
            if value_read is not None:
                state.set_register(RAX, value_read & 0xFFFFFFFF)
                state.set_register(RDX, value_read >> 32)
            self._done_or_fault(value_read is not None)

    def _processor_msr(self, number: int) -> None:
        """A write to one of SYSCALL's registers: done here, since SYSCALL is."""
        state = self._state
        value = state.register(RAX) & 0xFFFFFFFF | (state.register(RDX) & 0xFFFFFFFF) << 32
        state.hidden_flags &= ~INTERCEPTING  # the emulator's own write would exit too
        state.store()
        self._cpu.uc.msr_write(number, value)
        state.load()
        state.hidden_flags |= INTERCEPTING
        self._guest.vcpus.current.syscall_registers = None
        self._guest.skip()

    def _done_or_fault(self, done: bool) -> None:
        if done:
            self._guest.skip()
        else:
            self._guest.raise_exception(GENERAL_PROTECTION, 0)

    def system_call(self) -> None:
        """SYSCALL."""
        vcpu = self._guest.vcpus.current
        if vcpu.syscall_registers is None:
            star, entry, mask = (self._cpu.uc.msr_read(number) for number in (STAR, LSTAR, SYSCALL_MASK))
            vcpu.syscall_registers = star, entry, mask
        enter_system_call(self._state, self._cpu.read("EFLAGS"), *vcpu.syscall_registers)

    # ---- ports --------------------------------------------------------------------------------------------------

    def stops_at_port(self, code: bytes) -> bool:
        """Whether an instruction of a running system is one that :meth:`port` answers."""
        return (self._is_td or bool(self._cpu.read("CS") & _USER)) and decode_port_instruction(code) is not None

    def port(self) -> None:
        """IN, OUT and their string forms: #GP where the privilege level has no ports, #VE in a TD.

        Raises:
            GuestDead: No #VE handler: the kernel has never asked what TD it runs in.
        """
        state, guest = self._state, self._guest
        instruction = decode_port_instruction(guest.code())
        assert instruction is not None
        port = state.register(RDX) & 0xFFFF if instruction.port is None else instruction.port
        task = state.task
        if state.privilege > state.system_flags >> 12 & 3 and not allowed_by_task(
            self._cpu.memory.read, task.base, task.limit, port, instruction.size
        ):
            guest.raise_exception(GENERAL_PROTECTION, 0)
            return
        if not self._is_td:
            self._cpu.pass_port()
            return
        guest.counts[instruction.name] += 1
        if guest.is_linux and not self._module.informed:
            what = f"{instruction.name} of port {port:#x}"
            raise GuestDead(f"{what} raises #VE, but the kernel has no #VE handler; it does not support TDX")
        guest.exit_to_vmm(exits.IO, instruction.qualification(port), instruction.length)

    # ---- what the emulator does not know ------------------------------------------------------------------------

    def _tdcall(self) -> bool:
        guest, state = self._guest, self._state
        if not guest.code().startswith(_TDCALL):
            return False
        if state.privilege:
            guest.raise_exception(GENERAL_PROTECTION, 0)
            return True
        leaf = self._module.tdcall()
        guest.counts[LEAF_NAMES.get(leaf, f"TDCALL {leaf}")] += 1
        state.instruction_pointer += len(_TDCALL)
        return True

    def _random(self) -> bool:
        """RDRAND."""
        state = self._state
        instruction = decode_rdrand(self._guest.code())
        if instruction is None:
            return False
        value = self._numbers.next(instruction.bits)
        if instruction.bits == _SHORT:
            value |= state.register(instruction.register) & ~0xFFFF
        state.store()
        self._cpu.write("EFLAGS", self._guest.flags() & ~_ARITHMETIC | _CARRY)
        state.load()
        state.set_register(instruction.register, value)
        state.instruction_pointer += instruction.length
        return True
