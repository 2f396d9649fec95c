"""TDG.VP.VMCALL: what the VMM answers, as the Guest-Host-Communication Interface has it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tdvfsh.engine.devices.cmos import CmosClock
from tdvfsh.engine.devices.local_apic import LocalApic
from tdvfsh.engine.devices.ports import Ports
from tdvfsh.engine.devices.serial_port import SerialPort
from tdvfsh.engine.errors import GuestFatal, GuestReset
from tdvfsh.engine.tdx.cpuid import TdCpuid
from tdvfsh.engine.tdx.msrs import TdMsrs
from tdvfsh.engine.tdx.vcpu import TdVcpu
from tdvfsh.engine.tdx.vmm import Vmm
from tdvfsh.engine.x86.processor_state import ProcessorState
from tdvfsh.td.accept import accept_memory_resource
from tdvfsh.td.ram import RamLayout
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.units import GIB, LARGE_PAGE_SIZE, MIB, PAGE_SIZE
from tests.engine.processor import bare_processor

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 = range(16)
CPUID, HLT, IO, RDMSR, WRMSR, MMIO, WBINVD = 10, 12, 30, 31, 32, 48, 54
INFORMATION, MAP_GPA, GET_QUOTE, FATAL_ERROR, NOTIFY = range(0x10000, 0x10005)
SUCCESS, RETRY, INVALID = 0, 1, 1 << 63
ALL = 0xFFEC  # every register that may be seen
SHARED = 1 << 47
IO_APIC = 0xFEC00000
X2APIC_ID, SPURIOUS = 0x802, 0x80F


class Guest:
    """A vCPU that asks, and what its asking did."""

    def __init__(self, max_map_gpa: int | None = None) -> None:
        self.state: ProcessorState = bare_processor()[1]
        self.td = TrustDomain(RamLayout.q35(GIB), max_map_gpa=max_map_gpa)
        self.sent = bytearray()
        self.halts: list[bool] = []
        self.conversions = 0
        self.device: dict[int, tuple[int, int]] = {}
        serial = SerialPort(self.sent.append, lambda level: None)
        ports = Ports(serial, CmosClock(lambda: datetime(2024, 1, 1, tzinfo=UTC)), lambda: 0, lambda: 0)
        self.apic = LocalApic(5, lambda: 0, 2)
        cpuid = TdCpuid(lambda leaf, subleaf: (0, 0, 0, 0), 1, 2, True)
        vcpu = TdVcpu(0, TdMsrs(self.apic))
        self.vmm = Vmm(self.td, vcpu, self.state, cpuid, ports, self, self._halt, self._converted)

    def _halt(self, blocked: bool) -> None:
        self.halts.append(blocked)

    def _converted(self) -> None:
        self.conversions += 1

    def read(self, address: int, size: int) -> int:
        return self.device[address][1]

    def write(self, address: int, size: int, value: int) -> None:
        self.device[address] = size, value

    def call(self, function: int, r12: int = 0, r13: int = 0, r14: int = 0, r15: int = 0, mask: int = ALL) -> int:
        for number, value in ((RCX, mask), (R10, 0), (R11, function), (R12, r12), (R13, r13), (R14, r14), (R15, r15)):
            self.state.set_register(number, value)
        self.vmm.vmcall()
        return self.state.register(R10)

    def outputs(self, *numbers: int) -> tuple[int, ...]:
        return tuple(self.state.register(number) for number in numbers)


@pytest.mark.parametrize("function", [0, 1, 11, 33, 0x10005, 0x20000, 1 << 40, GET_QUOTE])
def test_calls_that_the_vmm_lacks_are_refused_getting_a_quote_too(function: int) -> None:
    assert Guest().call(function, IO_APIC) == INVALID


def test_a_vendor_s_own_call_is_refused() -> None:
    guest = Guest()
    guest.state.set_register(RCX, ALL)
    guest.state.set_register(R10, 1)
    guest.state.set_register(R11, HLT)
    guest.vmm.vmcall()
    assert guest.outputs(R10) == (INVALID,)
    assert guest.halts == []


def test_every_leaf_of_cpuid_is_answered_the_caller_s_own_apic_id_too() -> None:
    guest = Guest()
    guest.vmm.vcpu = TdVcpu(3, guest.vmm.vcpu.msrs)
    assert guest.call(CPUID, 0xB, 0) == SUCCESS
    assert guest.outputs(R12, R13, R14, R15) == (0, 1, 0x100, 3)


def test_asking_for_calls_beyond_the_usual_ones_finds_none() -> None:
    guest = Guest()
    assert guest.call(INFORMATION, 0, 7, 7) == SUCCESS
    assert guest.outputs(R11, R12, R13, R14) == (0, 0, 0, 0)
    assert guest.call(INFORMATION, 5) == INVALID


def test_cpuid_comes_back_in_r12_to_r15() -> None:
    guest = Guest()
    assert guest.call(CPUID, 0x40000000, 0) == SUCCESS
    a, b, c, d = guest.outputs(R12, R13, R14, R15)
    assert a == 0x40000001
    assert b"".join(part.to_bytes(4, "little") for part in (b, c, d)) == b"KVMKVMKVM\0\0\0"


def test_hlt_waits_and_wbinvd_does_nothing() -> None:
    guest = Guest()
    assert (guest.call(HLT), guest.halts) == (SUCCESS, [False])
    assert (guest.call(HLT, 1), guest.halts) == (SUCCESS, [False, True])  # interrupts are off
    assert (guest.call(WBINVD), guest.halts) == (SUCCESS, [False, True])


def test_port_io_has_size_direction_port_and_data() -> None:
    guest = Guest()
    assert guest.call(IO, 1, 1, 0x3F8, ord("A")) == SUCCESS
    assert bytes(guest.sent) == b"A"
    assert guest.call(IO, 1, 0, 0x3FD) == SUCCESS
    assert guest.outputs(R11) == (0x60,)
    assert guest.call(IO, 4, 0, 0x80) == SUCCESS
    assert guest.outputs(R11) == (0xFFFFFFFF,)


@pytest.mark.parametrize(
    ("size", "write", "port"), [(0, 0, 0x80), (3, 0, 0x80), (8, 0, 0x80), (1, 2, 0x80), (1, 0, 0x10000)]
)
def test_port_io_of_another_size_direction_or_space_is_refused(size: int, write: int, port: int) -> None:
    assert Guest().call(IO, size, write, port) == INVALID


def test_switching_off_by_a_port_ends_the_run() -> None:
    with pytest.raises(GuestReset) as ended:
        Guest().call(IO, 2, 1, 0x604, 1 << 13)
    assert ended.value.kind == "shutdown"


def test_registers_are_read_and_written_and_unknown_ones_refused() -> None:
    guest = Guest()
    assert guest.call(RDMSR, X2APIC_ID) == SUCCESS
    assert guest.outputs(R11) == (5,)
    assert guest.call(WRMSR, SPURIOUS, 0x1FF) == SUCCESS
    assert guest.apic.read(SPURIOUS) == 0x1FF
    assert guest.call(RDMSR, 0x12345678) == INVALID
    assert guest.call(WRMSR, 0x12345678, 0) == INVALID
    assert guest.call(WRMSR, X2APIC_ID, 0) == INVALID


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_devices_are_reached_at_shared_addresses(size: int) -> None:
    guest = Guest()
    assert guest.call(MMIO, size, 1, SHARED | IO_APIC, 0x12) == SUCCESS
    assert guest.device == {IO_APIC: (size, 0x12)}
    assert guest.call(MMIO, size, 0, SHARED | IO_APIC) == SUCCESS
    assert guest.outputs(R11) == (0x12,)


@pytest.mark.parametrize(
    ("size", "write", "address"), [(3, 0, SHARED | IO_APIC), (16, 0, SHARED | IO_APIC), (4, 2, SHARED | IO_APIC),
                                   (4, 1, IO_APIC)]
)  # fmt: skip
def test_device_access_of_another_size_direction_or_a_private_address_is_refused(
    size: int, write: int, address: int
) -> None:
    guest = Guest()
    assert guest.call(MMIO, size, write, address, 1) == INVALID
    assert guest.device == {}


def test_map_gpa_shares_pages_and_takes_them_back_unaccepted() -> None:
    guest = Guest()
    accept_memory_resource(guest.td, 0, GIB)
    assert guest.call(MAP_GPA, SHARED | 16 * MIB, LARGE_PAGE_SIZE) == SUCCESS
    assert (guest.td.shared_bytes, guest.td.unaccepted_bytes, guest.conversions) == (LARGE_PAGE_SIZE, 0, 1)
    assert guest.call(MAP_GPA, 16 * MIB, LARGE_PAGE_SIZE) == SUCCESS
    assert (guest.td.shared_bytes, guest.td.unaccepted_bytes, guest.conversions) == (0, LARGE_PAGE_SIZE, 2)


def test_map_gpa_of_more_than_the_vmm_does_at_once_says_where_to_go_on() -> None:
    guest = Guest(max_map_gpa=2 * LARGE_PAGE_SIZE)
    at, left, answers = SHARED | 16 * MIB, 5 * LARGE_PAGE_SIZE, []
    while left:
        answers.append(guest.call(MAP_GPA, at, left))
        if answers[-1] != RETRY:
            break
        (following,) = guest.outputs(R11)
        assert following == at + 2 * LARGE_PAGE_SIZE
        at, left = following, left - (following - at)
    assert answers == [RETRY, RETRY, SUCCESS]
    assert guest.td.shared_bytes == 5 * LARGE_PAGE_SIZE


@pytest.mark.parametrize(
    ("address", "size"),
    [(16 * MIB, 0), (GIB - PAGE_SIZE, 2 * PAGE_SIZE), (16 * MIB, (1 << 64) - PAGE_SIZE)],
)
def test_map_gpa_of_what_is_not_all_ram_is_refused(address: int, size: int) -> None:
    guest = Guest()
    assert guest.call(MAP_GPA, SHARED | address, size) == INVALID
    assert guest.td.shared_bytes == 0


def test_map_gpa_lets_firmware_share_device_registers_which_are_shared_already() -> None:
    guest = Guest()
    assert guest.call(MAP_GPA, SHARED | IO_APIC, PAGE_SIZE) == SUCCESS
    assert guest.call(MAP_GPA, IO_APIC, PAGE_SIZE) == INVALID
    assert guest.td.shared_bytes == 0


@pytest.mark.parametrize(("vector", "status"), [(31, INVALID), (32, SUCCESS), (255, SUCCESS), (256, INVALID)])
def test_an_event_needs_a_vector_that_is_no_exception(vector: int, status: int) -> None:
    assert Guest().call(NOTIFY, vector) == status


def test_a_fatal_error_s_message_is_in_eight_registers_and_ends_at_its_nul() -> None:
    guest = Guest()
    message = b"No TDX: SEPT_VE_DISABLE attribute must be set, says this kernel."
    assert len(message) == 64
    for number, at in zip((R14, R15, RBX, RDI, RSI, R8, R9, RDX), range(0, 64, 8), strict=True):
        guest.state.set_register(number, int.from_bytes(message[at : at + 8], "little"))
    r14, r15 = guest.outputs(R14, R15)
    with pytest.raises(GuestFatal) as ended:
        guest.call(FATAL_ERROR, 0x1234, 0, r14, r15)
    assert (ended.value.code, ended.value.message) == (0x1234, message.decode())
    for number in (RBX, RDI, RSI, R8, R9, RDX):
        guest.state.set_register(number, 0)
    with pytest.raises(GuestFatal, match=r"0x0: short$"):
        guest.call(FATAL_ERROR, 0, 0, int.from_bytes(b"short\0xx", "little"))


def test_registers_outside_of_the_mask_are_neither_seen_nor_changed() -> None:
    guest = Guest()
    mask = 1 << R10 | 1 << R11 | 1 << R12
    assert guest.call(CPUID, 0x40000000, 0xAAAA, 0xBBBB, 0xCCCC, mask) == SUCCESS
    assert guest.outputs(R12, R13, R14, R15) == (0x40000001, 0xAAAA, 0xBBBB, 0xCCCC)
    assert guest.call(WRMSR, SPURIOUS, 0x1FF, mask=mask) == SUCCESS
    assert guest.apic.read(SPURIOUS) == 0
