"""TDG.VP.VMCALL: what a TD asks of its VMM, as KVM and QEMU answer.

Source: Guest-Host-Communication Interface (GHCI) 1.5; Linux arch/x86/kvm/vmx/tdx.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.errors import GuestFatal
from tdvfsh.engine.tdx.cpuid import TdCpuid
from tdvfsh.engine.tdx.module import R8, R9, R10, R11, R12, R13, R14, R15, RBX, RCX, RDI, RDX, RSI
from tdvfsh.engine.tdx.vcpu import TdVcpu
from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.td.mapgpa import map_gpa
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.tdx import TdvmcallId, TdvmcallStatus

CPUID: Final = 10
HLT: Final = 12
IO: Final = 30
RDMSR: Final = 31
WRMSR: Final = 32
EPT_VIOLATION: Final = 48
WBINVD: Final = 54

_GET_TD_VMCALL_INFO: Final = 0x10000
_INVALID: Final = TdvmcallStatus.INVALID_OPERAND
_GPA_IN_R13: Final = 1 << 63
_MESSAGE_REGISTERS: Final = (R14, R15, RBX, RDI, RSI, R8, R9, RDX)


class Registers(Protocol):
    """Devices by port or by address."""

    def read(self, address: int, size: int) -> int:
        """What stands there."""
        ...

    def write(self, address: int, size: int, value: int) -> None:
        """Store it."""
        ...


class Vmm:
    """The VMM's side of one TD.

    Args:
        td: The trust domain.
        vcpu: The vCPU that runs.
        state: Its state, loaded.
        cpuid: Its CPUID.
        ports: I/O ports.
        memory_mapped: Devices in the address space.
        halt: Waits for an interrupt, or with True for an NMI only.
        converted: Called when memory became shared or private.

    Attributes:
        vcpu: The vCPU that runs.
        get_quote: Answers GetQuote for buffer and size; None where the host has no quoting service, which refuses it.
        mapped: Called after each MapGPA with the GPA as it was given, the size, and the status.
    """

    def __init__(
        self,
        td: TrustDomain,
        vcpu: TdVcpu,
        state: ProcessorState,
        cpuid: TdCpuid,
        ports: Registers,
        memory_mapped: Registers,
        halt: Callable[[bool], None],
        converted: Callable[[], None],
    ) -> None:
        self._td = td
        self.vcpu = vcpu
        self._state = state
        self._cpuid = cpuid
        self._ports = ports
        self._memory_mapped = memory_mapped
        self._halt = halt
        self._converted = converted
        self._notify_vector = 0
        self.mapped: Callable[[int, int, int], None] | None = None
        self.get_quote: Callable[[int, int], int] | None = None
        self._calls = {
            CPUID: self._call_cpuid,
            HLT: self._call_halt,
            IO: self._call_io,
            RDMSR: self._call_read_msr,
            WRMSR: self._call_write_msr,
            EPT_VIOLATION: self._call_memory_mapped,
            WBINVD: lambda: TdvmcallStatus.SUCCESS,
            _GET_TD_VMCALL_INFO: self._call_information,
            TdvmcallId.MAP_GPA: self._call_map_gpa,
            TdvmcallId.GET_QUOTE: self._call_get_quote,
            TdvmcallId.REPORT_FATAL_ERROR: self._call_fatal,
            TdvmcallId.SETUP_EVENT_NOTIFY_INTERRUPT: self._call_notify,
        }

    def vmcall(self) -> None:
        """Answer the call that R10 and R11 name: R10 gets the status.

        RCX says which registers the two sides see: the VMM reads 0 from the others, and cannot change them.

        Raises:
            GuestFatal: The guest reported a fatal error.
            GuestReset: It powered off or reset by a port.
        """
        self._set(R10, self._answer())

    def _answer(self) -> int:
        if self._get(R10):
            return _INVALID
        call = self._calls.get(self._get(R11))
        return _INVALID if call is None else call()

    def _get(self, register: int) -> int:
        return self._state.register(register) if self._state.register(RCX) >> register & 1 else 0

    def _set(self, register: int, value: int) -> None:
        if self._state.register(RCX) >> register & 1:
            self._state.set_register(register, value)

    def _call_cpuid(self) -> int:
        leaf, subleaf = self._get(R12) & 0xFFFFFFFF, self._get(R13) & 0xFFFFFFFF
        registers = self._cpuid.answer(leaf, subleaf, vcpu=self.vcpu.index) or self._cpuid.hypervisor(leaf)
        for number, value in zip((R12, R13, R14, R15), registers, strict=True):
            self._set(number, value)
        return TdvmcallStatus.SUCCESS

    def _call_halt(self) -> int:
        """R12 says that the guest has interrupts off, so that none will wake it."""
        self._halt(bool(self._get(R12) & 1))
        return TdvmcallStatus.SUCCESS

    def _call_io(self) -> int:
        size, write, port = self._get(R12), self._get(R13), self._get(R14)
        if size not in (1, 2, 4) or write > 1 or port > 0xFFFF:
            return _INVALID
        if write:
            self._ports.write(port, size, self._get(R15))
        else:
            self._set(R11, self._ports.read(port, size))
        return TdvmcallStatus.SUCCESS

    def _call_read_msr(self) -> int:
        value = self.vcpu.msrs.read(self._get(R12) & 0xFFFFFFFF)
        if value is None:
            return _INVALID
        self._set(R11, value)
        return TdvmcallStatus.SUCCESS

    def _call_write_msr(self) -> int:
        done = self.vcpu.msrs.write(self._get(R12) & 0xFFFFFFFF, self._get(R13))
        return TdvmcallStatus.SUCCESS if done else _INVALID

    def _call_memory_mapped(self) -> int:
        size, write, address = self._get(R12), self._get(R13), self._get(R14)
        if size not in (1, 2, 4, 8) or write > 1 or not address & self._td.shared_mask:
            return _INVALID
        address &= ~self._td.shared_mask
        if write:
            self._memory_mapped.write(address, size, self._get(R15))
        else:
            self._set(R11, self._memory_mapped.read(address, size))
        return TdvmcallStatus.SUCCESS

    def _call_information(self) -> int:
        """No call beyond those that every VMM has."""
        if self._get(R12):
            return _INVALID
        for register in (R11, R12, R13, R14):
            self._set(register, 0)
        return TdvmcallStatus.SUCCESS

    def _call_map_gpa(self) -> int:
        result = map_gpa(self._td, self._get(R12), self._get(R13))
        self._set(R11, result.r11)
        self._converted()
        if self.mapped is not None:
            self.mapped(self._get(R12), self._get(R13), result.r10)
        return result.r10

    def _call_get_quote(self) -> int:
        return _INVALID if self.get_quote is None else self.get_quote(self._get(R12), self._get(R13))

    def _call_notify(self) -> int:
        vector = self._get(R12)
        if not 32 <= vector <= 255:
            return _INVALID
        self._notify_vector = vector
        return TdvmcallStatus.SUCCESS

    def _call_fatal(self) -> int:
        code = self._get(R12)
        text = b"".join(self._get(number).to_bytes(8, "little") for number in _MESSAGE_REGISTERS)
        raise GuestFatal(code & ~_GPA_IN_R13, text.split(b"\0")[0].decode("latin-1"))
