"""TDCALL: the leaves of the TDX module that a guest calls, on the state of its vCPU.

Source: Intel TDX module 1.5 ABI, chapter on guest-side (TDCALL) interface functions; leaf numbers as Linux
arch/x86/include/asm/shared/tdx.h has them.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.tdx.report import REPORT_DATA_SIZE, REPORT_SIZE, Measurements
from tdvfsh.engine.tdx.vcpu import TdVcpu
from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.formats.tcg.registers import DIGEST_SIZE, RTMRS
from tdvfsh.lazy_typing import Final
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.uefi.tdx import OperandId, TdcallLeaf, TdcallStatus

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
R8, R9, R10, R11, R12, R13, R14, R15 = range(8, 16)

_NO_VALID_VE_INFO: Final = 0xC000070400000000
_METADATA_FIELD_ID_INCORRECT: Final = 0xC0000C0000000000
_METADATA_FIELD_NOT_WRITABLE: Final = 0xC0000C0100000000
_LEAF_MASK: Final = 0xFFFF
_VERSION_1: Final = 1 << 16
_HAVE_VERSION_1: Final = frozenset((TdcallLeaf.TDGETVEINFO.value,))
_NO_OPERANDS: Final = 0xFFFFFFFF << 32 | 1 << 4 | 1 << 1 | 1 << 0
_OPERAND_INVALID: Final = TdcallStatus.OPERAND_INVALID
_RAX_INVALID: Final = _OPERAND_INVALID | OperandId.RAX
_VM_READ: Final = 7
_VM_WRITE: Final = 8
LEAF_NAMES: Final = {
    **{leaf.value: leaf.name for leaf in TdcallLeaf},
    _VM_READ: "TDG.VM.RD",
    _VM_WRITE: "TDG.VM.WR",
}
"""Leaves that the module has: by edk2's short names, and by the TDX module's own where edk2 has none."""
_REPORT_ALIGNMENT: Final = 1024
_DATA_ALIGNMENT: Final = 64

_ATTRIBUTES: Final = 0x1110000300000000
_CONFIG_FLAGS: Final = 0x1110000300000016
_TD_CONTROLS: Final = 0x1110000300000017
_NOTIFY_ENABLES: Final = 0x9100000000000010
_TOPOLOGY_CONFIGURED: Final = 0x9100000000000019
_WRITABLE: Final = frozenset((_TD_CONTROLS, _NOTIFY_ENABLES))


class TdxModule:
    """The module's side of one TD.

    Args:
        td: The trust domain.
        vcpu: The vCPU that runs.
        state: Its state, loaded.
        read: Bytes of private memory by physical address, or None where it is not accepted.
        write: Stores bytes likewise.
        accept: One TDG.MEM.PAGE.ACCEPT with a raw RCX; returns RAX.
        vmcall: Hands TDG.VP.VMCALL to the VMM.

    Attributes:
        vcpu: The vCPU that runs.
        measurements: The TD's.
        extended: Called with register and digest of each TDG.MR.RTMR.EXTEND; None for nobody.
        informed: Whether the guest has asked what TD it is in: one that never does knows nothing of #VE.
    """

    def __init__(
        self,
        td: TrustDomain,
        vcpu: TdVcpu,
        state: ProcessorState,
        read: Callable[[int, int], bytes | None],
        write: Callable[[int, bytes], bool],
        accept: Callable[[int], int],
        vmcall: Callable[[], None],
    ) -> None:
        self._td = td
        self.vcpu = vcpu
        self._state = state
        self._read = read
        self._write = write
        self._accept = accept
        self._vmcall = vmcall
        self.measurements = Measurements(td.attributes)
        self.extended: Callable[[int, bytes], None] | None = None
        self.informed = False
        self._leaves: dict[int, Callable[[], int]] = {
            TdcallLeaf.TDVMCALL: self._call_vmm,
            TdcallLeaf.TDINFO: self._information,
            TdcallLeaf.TDEXTENDRTMR: self._extend,
            TdcallLeaf.TDGETVEINFO: self._virtualization_information,
            TdcallLeaf.TDREPORT: self._report,
            TdcallLeaf.TDACCEPTPAGE: lambda: self._accept(state.register(RCX)),
            _VM_READ: lambda: self._field(write=False),
            _VM_WRITE: lambda: self._field(write=True),
        }
        self._fields = {
            _ATTRIBUTES: td.attributes, _CONFIG_FLAGS: 0, _TD_CONTROLS: 0, _NOTIFY_ENABLES: 0, _TOPOLOGY_CONFIGURED: 1,
        }  # fmt: skip

    def tdcall(self) -> int:
        """Carry out the TDCALL that RAX names: leaf in bits 15:0, version in 23:16; returns the leaf's number."""
        state = self._state
        rax = state.register(RAX)
        leaf = rax & _LEAF_MASK
        version = rax ^ leaf
        call = self._leaves.get(leaf) if not version or (version == _VERSION_1 and leaf in _HAVE_VERSION_1) else None
        state.set_register(RAX, _RAX_INVALID if call is None else call())
        return leaf

    def _information(self) -> int:
        state, td = self._state, self._td
        state.set_register(RCX, td.gpaw)
        state.set_register(RDX, td.attributes)
        state.set_register(R8, td.vcpus | td.vcpus << 32)
        state.set_register(R9, self.vcpu.index)
        for register in (R10, R11):
            state.set_register(register, 0)
        self.informed = True
        return TdcallStatus.SUCCESS

    def _virtualization_information(self) -> int:
        info, self.vcpu.virtualization = self.vcpu.virtualization, None
        state = self._state
        if info is None:
            for register in (RCX, RDX, R8, R9, R10):
                state.set_register(register, 0)
            return _NO_VALID_VE_INFO
        state.set_register(RCX, info.exit_reason)
        state.set_register(RDX, info.exit_qualification)
        state.set_register(R8, info.linear)
        state.set_register(R9, info.physical)
        state.set_register(R10, info.instruction_length | info.instruction_information << 32)
        return TdcallStatus.SUCCESS

    def _extend(self) -> int:
        state = self._state
        address, index = state.register(RCX), state.register(RDX)
        digest = None if address % _DATA_ALIGNMENT else self._read(address, DIGEST_SIZE)
        if digest is None:
            return _OPERAND_INVALID | OperandId.RCX
        if index >= RTMRS:
            return _OPERAND_INVALID | OperandId.RDX
        self.measurements.extend(index, digest)
        if self.extended is not None:
            self.extended(index, digest)
        return TdcallStatus.SUCCESS

    def _report(self) -> int:
        state = self._state
        target, source = state.register(RCX), state.register(RDX)
        if target % _REPORT_ALIGNMENT:
            return _OPERAND_INVALID | OperandId.RCX
        data = None if source % _DATA_ALIGNMENT else self._read(source, REPORT_DATA_SIZE)
        if data is None:
            return _OPERAND_INVALID | OperandId.RDX
        if state.register(R8):
            return _OPERAND_INVALID | R8
        report = self.measurements.report(data)
        assert len(report) == REPORT_SIZE
        if not self._write(target, report):
            return _OPERAND_INVALID | OperandId.RCX
        return TdcallStatus.SUCCESS

    def _call_vmm(self) -> int:
        """TDG.VP.VMCALL: RCX says which registers go to the VMM; RAX, RCX and RSP never do."""
        if self._state.register(RCX) & _NO_OPERANDS:
            return _OPERAND_INVALID | OperandId.RCX
        self._vmcall()
        return TdcallStatus.SUCCESS

    def _field(self, write: bool) -> int:
        state = self._state
        number, data = state.register(RDX), state.register(R8)
        state.set_register(R8, 0)
        if state.register(RCX):
            return _OPERAND_INVALID | OperandId.RCX
        if number not in self._fields:
            return _METADATA_FIELD_ID_INCORRECT
        before = self._fields[number]
        if write:
            mask = state.register(R9)
            if number not in _WRITABLE or not mask:
                return _METADATA_FIELD_NOT_WRITABLE
            self._fields[number] = before & ~mask | data & mask
        state.set_register(R8, before)
        return TdcallStatus.SUCCESS
