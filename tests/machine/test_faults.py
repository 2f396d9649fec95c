"""Failures on purpose: the n-th of something ends as requested, and nothing else changes."""

from __future__ import annotations

import pytest

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.boots.modelled_boot import BootResult, boot
from tdvfsh.errors import UsageError
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.machine.faults import parse_fault, set_faults
from tdvfsh.td.mapgpa import set_memory_shared
from tdvfsh.trace.records import PageAccept
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType
from tdvfsh.uefi.status import SUCCESS, EfiStatus
from tdvfsh.units import GIB, MIB
from tests.boots.made_files import INSTALLER_INITRD, Opener

ANY, DATA = EfiAllocateType.AllocateAnyPages, EfiMemoryType.EfiLoaderData


def _boot(opened: Opener, *faults: str, initrd: int = INSTALLER_INITRD, **more: object) -> BootResult:
    return boot(TdOptions(memory=2 * GIB, fault=faults, **more), opened(initrd).boot)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "accept:1=OPERAND_BUSY",
        "tdcall:5-9=PAGE_SIZE_MISMATCH",
        "mapgpa:1-3=RETRY",
        "LoadImage:2=EFI_NOT_FOUND",
        "sec-accept:1=OPERAND_INVALID",
    ],
)
def test_a_fault_reads_back_as_it_was_written(text: str) -> None:
    assert str(parse_fault(text)) == text


def test_names_may_be_short_and_in_any_case() -> None:
    assert str(parse_fault("allocatepages:1=out_of_resources")) == "AllocatePages:1=EFI_OUT_OF_RESOURCES"
    assert str(parse_fault("accept:1=size_mismatch")) == "accept:1=PAGE_SIZE_MISMATCH"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("accept", "write WHAT:N=HOW"),
        ("nothing:1=RETRY", "unknown nothing; choose one of accept"),
        ("accept:0=OPERAND_BUSY", "count from 1"),
        ("accept:3-2=OPERAND_BUSY", "ascend"),
        ("tdcall:1-9999999=OPERAND_BUSY", "at most 4096"),
        ("accept:1=EFI_NOT_FOUND", "cannot end with EFI_NOT_FOUND; choose one of PAGE_ALREADY_ACCEPTED"),
        ("accept:1=SUCCESS", "cannot end with SUCCESS"),
        ("LoadImage:1=SUCCESS", "cannot end with SUCCESS; give an error status"),
        ("mapgpa:1=OPERAND_BUSY", "choose one of RETRY"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as refusal:
        parse_fault(text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_just_the_nth_call_fails(number: int) -> None:
    machine = Machine(TdOptions(fault=(f"AllocatePages:{number}=OUT_OF_RESOURCES",)))
    statuses = [machine.services.allocate_pages(ANY, DATA, 1, 0).status for _ in range(4)]
    assert [status is SUCCESS for status in statuses] == [index != number for index in range(1, 5)]


def test_without_a_plan_no_call_is_counted() -> None:
    assert Machine(TdOptions()).services.fault_plan is None


def test_a_failed_pool_request_changes_nothing() -> None:
    machine = Machine(TdOptions(fault=("AllocatePool:1=OUT_OF_RESOURCES",)))
    key = machine.services.core.memory_map.key
    result = machine.services.allocate_pool(DATA, 1 << 20)
    assert (result.status, result.buffer) == (EfiStatus.EFI_OUT_OF_RESOURCES, None)
    assert machine.services.core.memory_map.key == key


@pytest.mark.parametrize(
    ("fault", "status", "stage"),
    [
        ("LoadImage:1=OUT_OF_RESOURCES", "EFI_OUT_OF_RESOURCES", "load_image"),
        ("LoadImage:1=SECURITY_VIOLATION", "EFI_ACCESS_DENIED", "load_image"),
        ("StartImage:1=ACCESS_DENIED", "EFI_ACCESS_DENIED", "start_image"),
    ],
)
def test_a_boot_ends_where_its_service_failed_and_says_that_it_was_on_purpose(
    opened: Opener, fault: str, status: str, stage: str
) -> None:
    result = _boot(opened, fault)
    assert (result.status.name, result.stage) == (status, stage)
    if result.failure is not None:
        at, given = fault.split("=")
        assert result.failure.why.startswith(f"on purpose ({at}=EFI_{given})")


def test_option_2_to_the_letter_answers_a_load_image_that_ran_out_of_memory_once(opened: Opener) -> None:
    once, twice = "LoadImage:1=OUT_OF_RESOURCES", "LoadImage:1-2=OUT_OF_RESOURCES"
    assert not _boot(opened, once, on_demand="none").booted
    assert not _boot(opened, twice, on_demand="loader-literal").booted


def test_the_stub_asks_exit_boot_services_a_second_time_and_not_a_third(opened: Opener) -> None:
    assert _boot(opened, "ExitBootServices:1=INVALID_PARAMETER").booted
    assert not _boot(opened, "ExitBootServices:1-2=INVALID_PARAMETER").booted


@pytest.mark.parametrize("on_demand", ["allocator", "loader", "service"])
def test_a_busy_page_fails_the_accept_on_demand_after_four_tries(opened: Opener, on_demand: str) -> None:
    sound = _boot(opened, initrd=300 * MIB, on_demand=on_demand)
    failed = _boot(opened, "accept:1=OPERAND_BUSY", initrd=300 * MIB, on_demand=on_demand)
    assert sound.booted
    assert failed.boot_bytes == sound.boot_bytes
    accepts = [record for record in failed.machine.trace if isinstance(record, PageAccept)]
    assert [record.calls for record in accepts if record.completion == "OPERAND_BUSY"] == [4]


def test_three_busy_tdcalls_are_survived_and_four_are_not() -> None:
    statuses = []
    for count in (3, 4):
        machine = Machine(TdOptions(fault=(f"tdcall:1-{count}=OPERAND_BUSY",)))
        statuses.append(machine.services.accept_memory(512 * MIB, 4 * MIB))
    assert statuses == [SUCCESS, EfiStatus.EFI_DEVICE_ERROR]


def test_a_failed_accept_in_sec_keeps_the_td_from_starting() -> None:
    with pytest.raises(UsageError, match=r"the TD does not start: .*\(OPERAND_BUSY\)"):
        Machine(TdOptions(fault=("sec-accept:1=OPERAND_BUSY",)))


def test_a_size_mismatch_costs_one_tdcall_and_512_small_ones() -> None:
    sound, mismatched = (
        Machine(TdOptions(host_page_size="2M", fault=fault)) for fault in ((), ("tdcall:1=SIZE_MISMATCH",))
    )
    calls = []
    for machine in (sound, mismatched):
        before = machine.td.tdcall.calls
        assert machine.services.accept_memory(512 * MIB, 8 * MIB) is SUCCESS
        calls.append(machine.td.tdcall.calls - before)
    assert calls == [4, 3 + 1 + 512]


def test_a_host_of_small_pages_meets_a_mismatch_at_every_2_mib() -> None:
    large = Machine(TdOptions(accept=parse_boot_accept("512M"), cost="kvm-2m"))
    small = Machine(TdOptions(accept=parse_boot_accept("512M")))
    assert large.boot_accept is not None
    assert small.boot_accept is not None
    assert small.boot_accept.outcome.size_mismatches == large.boot_accept.outcome.pages_2m
    assert small.boot_accept.outcome.pages_2m == 0
    assert small.boot_accept.seconds > 20 * large.boot_accept.seconds
    assert small.boot_bytes == large.boot_bytes


def test_map_gpa_that_answers_retry_without_progress_three_times_is_a_device_error() -> None:
    outcomes = []
    for last in (2, 3):
        machine = Machine(TdOptions(fault=(f"mapgpa:1-{last}=RETRY",)))
        outcomes.append(set_memory_shared(machine.td, 64 * MIB, 2 * MIB))
    assert [outcome.status for outcome in outcomes] == [SUCCESS, EfiStatus.EFI_DEVICE_ERROR]
    assert outcomes[0].retries == 2


def test_faults_set_later_count_from_then_on() -> None:
    machine = Machine(TdOptions())
    services = machine.services
    assert services.accept_memory(512 * MIB, 4 * MIB) is SUCCESS
    services.allocate_pages(ANY, DATA, 1, 0)
    set_faults(machine, [parse_fault("accept:2=OPERAND_INVALID"), parse_fault("AllocatePages:1=NOT_FOUND")])
    assert services.allocate_pages(ANY, DATA, 1, 0).status is EfiStatus.EFI_NOT_FOUND
    assert services.accept_memory(1024 * MIB, 4 * MIB) is SUCCESS
    assert services.accept_memory(1536 * MIB, 4 * MIB) is EfiStatus.EFI_DEVICE_ERROR
