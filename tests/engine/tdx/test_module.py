"""TDCALL: operands, results and completion codes of the TDX module's guest-side leaves."""

from __future__ import annotations

import hashlib

import pytest

from tdvfsh.engine.devices.local_apic import LocalApic
from tdvfsh.engine.tdx.module import TdxModule
from tdvfsh.engine.tdx.msrs import TdMsrs
from tdvfsh.engine.tdx.vcpu import TdVcpu, VirtualizationInfo
from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.units import GIB
from tests.engine.processor import bare_processor

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12 = range(13)
VMCALL, VP_INFO, RTMR_EXTEND, VEINFO_GET, MR_REPORT, CPUIDVE_SET, PAGE_ACCEPT, VM_RD, VM_WR = range(9)
SUCCESS = 0
OPERAND_INVALID = 0xC000010000000000
NO_VALID_VE_INFO = 0xC000070400000000
FIELD_ID_INCORRECT, FIELD_NOT_WRITABLE = 0xC0000C0000000000, 0xC0000C0100000000
ATTRIBUTES, CONFIG_FLAGS, TD_CTLS, NOTIFY_ENABLES = (
    0x1110000300000000, 0x1110000300000016, 0x1110000300000017, 0x9100000000000010,
)  # fmt: skip
SEPT_VE_DISABLE = 1 << 28
ONES = (1 << 64) - 1
OUTPUTS = (RCX, RDX, R8, R9, R10, R11)


class Guest:
    """A vCPU over 64 KiB of accepted memory; all else is not accepted."""

    def __init__(self, gpaw: int = 48, vcpus: int = 1) -> None:
        self.state: ProcessorState = bare_processor()[1]
        self.memory = bytearray(0x10000)
        self.accepted: list[int] = []
        self.vmcalls = 0
        td = TrustDomain(RamLayout.q35(GIB), gpaw=gpaw, vcpus=vcpus)
        vcpu = TdVcpu(0, TdMsrs(LocalApic(0, lambda: 0, 2)))
        self.module = TdxModule(td, vcpu, self.state, self._read, self._write, self._accept, self._vmcall)

    def _read(self, address: int, size: int) -> bytes | None:
        return bytes(self.memory[address : address + size]) if address + size <= len(self.memory) else None

    def _write(self, address: int, data: bytes) -> bool:
        if address + len(data) > len(self.memory):
            return False
        self.memory[address : address + len(data)] = data
        return True

    def _accept(self, rcx: int) -> int:
        self.accepted.append(rcx)
        return 0xC0000B0B00000001

    def _vmcall(self) -> None:
        self.vmcalls += 1

    def call(self, rax: int, **registers: int) -> int:
        for number in range(1, 16):
            self.state.set_register(number, 0)
        for name, value in registers.items():
            self.state.set_register(globals()[name], value)
        self.state.set_register(RAX, rax)
        assert self.module.tdcall() == rax & 0xFFFF
        return self.state.register(RAX)

    def has_ve(self) -> bool:
        return self.module.vcpu.virtualization is not None

    def outputs(self, *numbers: int) -> tuple[int, ...]:
        return tuple(self.state.register(number) for number in numbers)


@pytest.mark.parametrize("leaf", [CPUIDVE_SET, 9, 22, 0x100, 0xFFFF])
def test_a_leaf_that_is_not_there_is_an_invalid_rax(leaf: int) -> None:
    assert Guest().call(leaf) == OPERAND_INVALID


@pytest.mark.parametrize("rax", [VP_INFO | 1 << 16, VP_INFO | 1 << 24, VMCALL | 1 << 63, VEINFO_GET | 2 << 16])
def test_reserved_bits_and_versions_that_a_leaf_lacks_are_an_invalid_rax(rax: int) -> None:
    guest = Guest()
    guest.module.vcpu.virtualization = VirtualizationInfo(10)
    assert guest.call(rax) == OPERAND_INVALID
    assert (guest.vmcalls, guest.has_ve()) == (0, True)


@pytest.mark.parametrize(("gpaw", "vcpus"), [(48, 1), (52, 4)])
def test_vp_info_tells_width_attributes_and_vcpus(gpaw: int, vcpus: int) -> None:
    guest = Guest(gpaw, vcpus)
    informed = [guest.module.informed]
    assert guest.call(VP_INFO, R9=7, R10=7, R11=7) == SUCCESS
    rcx, rdx, r8, r9, r10, r11 = guest.outputs(*OUTPUTS)
    assert (rcx & 0x3F, rcx >> 6) == (gpaw, 0)
    assert rdx == SEPT_VE_DISABLE
    assert (r8 & 0xFFFFFFFF, r8 >> 32) == (vcpus, vcpus)
    assert (r9, r11) == (0, 0)
    assert r10 & ~1 == 0
    assert [*informed, guest.module.informed] == [False, True]


def test_vp_info_tells_the_vcpu_which_one_it_is() -> None:
    guest = Guest(vcpus=4)
    guest.module.vcpu.index = 3
    assert guest.call(VP_INFO) == SUCCESS
    assert guest.outputs(R9) == (3,)


def test_ve_information_is_told_once() -> None:
    guest = Guest()
    guest.module.vcpu.virtualization = VirtualizationInfo(48, 0x182, 0xFFFF800000001000, 0x800000FEC00000, 3, 0x8B)
    assert guest.call(VEINFO_GET) == SUCCESS
    assert guest.outputs(RCX, RDX, R8, R9, R10) == (48, 0x182, 0xFFFF800000001000, 0x800000FEC00000, 0x8B << 32 | 3)
    assert not guest.has_ve()
    assert guest.call(VEINFO_GET, RCX=9, RDX=9, R8=9, R9=9, R10=9) == NO_VALID_VE_INFO
    assert guest.outputs(RCX, RDX, R8, R9, R10) == (0,) * 5


def test_ve_information_has_a_version_1() -> None:
    guest = Guest()
    guest.module.vcpu.virtualization = VirtualizationInfo(10)
    assert guest.call(VEINFO_GET | 1 << 16) == SUCCESS
    assert guest.outputs(RCX)[0] & 0xFFFFFFFF == 10


def test_a_page_accept_gets_the_raw_rcx_and_gives_the_raw_status() -> None:
    guest = Guest()
    assert guest.call(PAGE_ACCEPT, RCX=0x200001) == 0xC0000B0B00000001
    assert guest.accepted == [0x200001]


def test_an_rtmr_is_extended_by_the_digest_in_memory() -> None:
    guest = Guest()
    digest = bytes(range(48))
    guest.memory[0x1040:0x1070] = digest
    for _ in range(2):
        assert guest.call(RTMR_EXTEND, RCX=0x1040, RDX=2) == SUCCESS
    once = hashlib.sha384(bytes(48) + digest).digest()
    assert guest.module.measurements.rtmrs[2] == hashlib.sha384(once + digest).digest()


@pytest.mark.parametrize(
    ("address", "index", "operand"),
    [(0x1020, 0, RCX), (0x1001, 0, RCX), (0x10000, 0, RCX), (1 << 47 | 0x1000, 0, RCX), (0x1000, 4, RDX),
     (0x1000, 1 << 40, RDX)],
)  # fmt: skip
def test_an_extension_with_a_wrong_operand_names_it_and_changes_nothing(address: int, index: int, operand: int) -> None:
    guest = Guest()
    assert guest.call(RTMR_EXTEND, RCX=address, RDX=index) == OPERAND_INVALID | operand
    assert guest.module.measurements.rtmrs == [bytes(48)] * 4


def test_a_report_over_the_caller_s_data_is_written_where_it_says() -> None:
    guest = Guest()
    guest.memory[0x1040:0x1080] = b"d" * 64
    assert guest.call(MR_REPORT, RCX=0x2400, RDX=0x1040) == SUCCESS
    assert guest.memory[0x2400 + 128 : 0x2400 + 192] == b"d" * 64
    assert guest.memory[0x2400] == 0x81
    assert guest.memory[0x2800:0x2C00] == bytes(1024)


@pytest.mark.parametrize(
    ("target", "source", "subtype", "operand"),
    [(0x2200, 0x1040, 0, RCX), (0x10000, 0x1040, 0, RCX), (0x2400, 0x1020, 0, RDX), (0x2400, 0x10000, 0, RDX),
     (0x2400, 0x1040, 1, R8)],
)  # fmt: skip
def test_a_report_with_a_wrong_operand_names_it_and_writes_nothing(
    target: int, source: int, subtype: int, operand: int
) -> None:
    guest = Guest()
    assert guest.call(MR_REPORT, RCX=target, RDX=source, R8=subtype) == OPERAND_INVALID | operand
    assert guest.memory == bytes(0x10000)


def test_fields_of_the_td_are_read() -> None:
    guest = Guest()
    for field, value in ((ATTRIBUTES, SEPT_VE_DISABLE), (CONFIG_FLAGS, 0), (TD_CTLS, 0)):
        assert guest.call(VM_RD, RDX=field, R8=7) == SUCCESS
        assert guest.outputs(R8) == (value,)


@pytest.mark.parametrize("leaf", [VM_RD, VM_WR])
def test_a_field_that_is_not_there_has_no_value(leaf: int) -> None:
    guest = Guest()
    assert guest.call(leaf, RDX=0x1110000300001234, R8=7, R9=ONES) == FIELD_ID_INCORRECT
    assert guest.outputs(R8) == (0,)
    assert guest.call(leaf, RCX=1, RDX=TD_CTLS, R8=7, R9=ONES) == OPERAND_INVALID | RCX


def test_a_write_changes_the_bits_of_its_mask_and_gives_what_was_before() -> None:
    guest = Guest()
    assert guest.call(VM_WR, RDX=NOTIFY_ENABLES, R8=0b1011, R9=0b0011) == SUCCESS
    assert guest.outputs(R8) == (0,)
    assert guest.call(VM_WR, RDX=NOTIFY_ENABLES, R8=0b0100, R9=0b0110) == SUCCESS
    assert guest.outputs(R8) == (0b0011,)
    assert guest.call(VM_RD, RDX=NOTIFY_ENABLES) == SUCCESS
    assert guest.outputs(R8) == (0b0101,)


@pytest.mark.parametrize(("field", "mask"), [(ATTRIBUTES, ONES), (CONFIG_FLAGS, 1), (NOTIFY_ENABLES, 0)])
def test_what_cannot_be_written_stays(field: int, mask: int) -> None:
    guest = Guest()
    guest.call(VM_RD, RDX=field)
    before = guest.outputs(R8)
    assert guest.call(VM_WR, RDX=field, R8=ONES, R9=mask) == FIELD_NOT_WRITABLE
    guest.call(VM_RD, RDX=field)
    assert guest.outputs(R8) == before


def test_a_vmcall_goes_to_the_vmm_and_completes() -> None:
    guest = Guest()
    assert guest.call(VMCALL, RCX=0xFC00) == SUCCESS
    assert guest.vmcalls == 1


@pytest.mark.parametrize("mask", [1 << RAX, 1 << RCX, 1 << RSP, 1 << 32, 1 << 63])
def test_a_vmcall_cannot_give_away_what_the_module_uses(mask: int) -> None:
    guest = Guest()
    assert guest.call(VMCALL, RCX=0xFC00 | mask) == OPERAND_INVALID | RCX
    assert guest.vmcalls == 0
