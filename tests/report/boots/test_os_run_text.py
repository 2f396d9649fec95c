"""The report of an operating system's run: a table that adds up, in readable form and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

import pytest

from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult, ExitAccount
from tdvfsh.engine.runs.os_run import OsRun
from tdvfsh.engine.tdx.page_accepts import Acceptor, AcceptTally
from tdvfsh.loaders.files import BootFiles
from tdvfsh.loaders.flow import EXIT_BOOT_SERVICES
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.report.boots.os_run_text import bits_set, os_run_dict, os_run_lines
from tdvfsh.report.modelled_text import cell_text, range_text
from tdvfsh.td.cost import NO_TIME, Modelled
from tdvfsh.uefi.memory import MemoryMapListing
from tdvfsh.uefi.status import SUCCESS
from tdvfsh.units import GIB, MIB

KERNEL = {
    Acceptor("kernel, memblock"): AcceptTally(83, 0, 83, td_exits=83, ns=17_264_000),
    Acceptor("kernel, page allocator"): AcceptTally(520, 512, 6, 1, 1, 518, 8_000_000),
}

REST = Modelled(100_000_000, 125_000_000, 200_000_000)
NAMES = [acceptor.phase for acceptor in KERNEL]


def result(
    td: bool = True,
    on_demand: int = 0,
    tallies: Mapping[Acceptor, AcceptTally] = KERNEL,
    lost: int = 0,
    shared: int = 0,
    vcpus: int = 1,
    ran: int = 1,
) -> CpuBootResult:
    """A boot of 2 GiB of which 512 MiB were accepted, ``on_demand`` large pages before the kernel."""
    machine = Machine(TdOptions(td=td, vcpus=vcpus, cost="kvm-2m"))
    boot = machine.boot_accept
    calls = (0 if boot is None else boot.outcome.calls) + on_demand
    cost = machine.td.cost
    spent = machine.td.spent + cost.time(AcceptTally(on_demand, 0, on_demand, td_exits=on_demand))
    accepted = sum(tally.accepted_bytes for tally in tallies.values())
    before = 2 * GIB - 512 * MIB
    account = ExitAccount(512 * MIB, before, calls, 0, 0, spent, NO_TIME, 0, 0, on_demand)
    run = OsRun(
        "power off", "the system switched the machine off", tallies, before, before - accepted + lost, shared, lost,
        b"\xff" * 96, b"\xff" * 60 + b"\x0f", 1.5, sum((cost.time(tally) for tally in tallies.values()), NO_TIME),
        REST,
        {"#VE": 12, "CPUID": 3}, vcpus=ran,
    )  # fmt: skip
    return CpuBootResult(
        machine=machine,
        files=cast(BootFiles, None),
        status=SUCCESS,
        stage=EXIT_BOOT_SERVICES,
        placements=(),
        failure=None,
        messages=(),
        memory_map=MemoryMapListing(),
        at_exit=account,
        os_run=run,
    )


def cells(lines: list[str], name: str) -> list[str]:
    (line,) = (line for line in lines if line.startswith(name))
    return line.removeprefix(name).split()


def test_rows_are_the_firmware_then_on_demand_then_the_kernel_s_phases() -> None:
    assert [row.name for row in result().accept_account] == ["firmware", *NAMES]
    assert [row.name for row in result(on_demand=3).accept_account] == ["firmware", "on demand", *NAMES]


def test_the_firmware_s_row_is_what_the_model_accepted_at_boot() -> None:
    boot = result()
    outcome = boot.machine.boot_accept
    assert outcome is not None
    row = boot.accept_account[0]
    tally = row.tally
    assert (tally.calls, tally.pages_4k, tally.pages_2m) == (
        outcome.outcome.calls, outcome.outcome.pages_4k, outcome.outcome.pages_2m,
    )  # fmt: skip
    assert row.time == boot.boot_accept_time


def test_on_demand_is_what_came_between_the_firmware_and_the_kernel() -> None:
    row = result(on_demand=3).accept_account[1]
    tally = row.tally
    assert (tally.calls, tally.pages_4k, tally.pages_2m) == (3, 0, 3)
    assert row.time.likely == 3 * 208_000
    assert row.time.low < row.time.likely < row.time.high


def test_every_accept_is_in_the_table_by_caller_size_and_cost() -> None:
    boot = result()
    lines = os_run_lines(boot)
    times = [cell_text(row.time).split() for row in boot.accept_account[1:]]
    assert cells(lines, "kernel, memblock") == ["166", "MiB", "0", "83", "83", "83", *times[0], "0"]
    assert cells(lines, "kernel, page allocator") == ["14", "MiB", "512", "6", "520", "518", *times[1], "0"]
    assert times[0] == ["17", "ms", "(4.6-42", "ms,", "placeholder)"]


def test_what_was_accepted_is_what_is_no_longer_unaccepted() -> None:
    text = " ".join(" ".join(os_run_lines(result())).split())
    assert "1.50 GiB unaccepted before the kernel" in text
    assert "180 MiB less; it accepted 180 MiB" in text
    assert "anew" not in text
    assert "768 units of 2 MiB unaccepted before, 484 after" in text


def test_what_was_accepted_twice_is_said() -> None:
    text = " ".join(" ".join(os_run_lines(result(lost=20 * MIB, shared=4 * MIB))).split())
    assert "160 MiB less; it accepted 180 MiB, 20 MiB of it anew after conversions" in text
    assert "shared 4 MiB in the end; conversions took away 20 MiB that were accepted" in text


def test_what_was_shared_without_ever_being_accepted_is_said() -> None:
    text = " ".join(" ".join(os_run_lines(result(lost=-4 * MIB, shared=4 * MIB))).split())
    assert "184 MiB less; it accepted 180 MiB, and shared 4 MiB that were never accepted" in text


def test_the_modelled_cost_tells_what_is_done_from_what_is_put_off() -> None:
    boot = result(on_demand=3)
    assert boot.os_run is not None
    before = boot.accept_time
    done = before + boot.os_run.accept_time
    text = " ".join(" ".join(os_run_lines(boot)).split())
    assert f"{range_text(done)} of accepting so far, {range_text(before)} of it before the kernel" in text
    assert f"would take {range_text(done + REST)}, so that 100-200 ms, likely 120 ms is put off" in text


def test_the_firmware_accepts_with_all_vcpus_and_the_kernel_with_those_that_run() -> None:
    lines = os_run_lines(result(vcpus=4))
    assert cells(lines, "firmware")[-1] == "0-3"
    assert cells(lines, "kernel, memblock")[-1] == "0"
    assert any("one of the 4 vCPUs ran" in line for line in lines)
    assert [row["vcpus"] for row in os_run_dict(result(vcpus=4))["accepts"]] == [4, 1, 1]


def test_each_vcpu_s_accepts_are_a_row_beside_those_of_its_phase() -> None:
    tallies = {
        Acceptor("kernel, memblock", 0): AcceptTally(1, 0, 1),
        Acceptor("kernel, page allocator", 1): AcceptTally(2, 0, 2),
        Acceptor("kernel, eager", 1): AcceptTally(3, 0, 3),
        Acceptor("kernel, page allocator", 0): AcceptTally(4, 0, 4),
    }
    boot = result(vcpus=2, tallies=tallies, ran=2)
    rows = [(row.name, row.executed_by, row.tally.calls) for row in boot.accept_account[1:]]
    assert rows == [
        ("kernel, memblock", "0", 1), ("kernel, page allocator", "0", 4), ("kernel, page allocator", "1", 2),
        ("kernel, eager", "1", 3),
    ]  # fmt: skip
    assert any("2 of the 2 vCPUs ran" in line for line in os_run_lines(boot))
    data = os_run_dict(boot)
    assert [row["vcpu"] for row in data["accepts"]] == [0, 0, 0, 1, 1]
    assert data["vcpus"] == 2


@pytest.mark.parametrize(("ran", "said"), [(1, "one of the 2 vCPUs ran"), (2, "2 of the 2 vCPUs ran")])
def test_a_plain_vm_of_several_vcpus_says_how_many_ran(ran: int, said: str) -> None:
    (line,) = (line for line in os_run_lines(result(td=False, tallies={}, vcpus=2, ran=ran)) if "vCPU" in line)
    assert line.strip() == said


def test_a_plain_vm_has_nothing_to_accept_and_says_how_it_ended() -> None:
    lines = os_run_lines(result(td=False, tallies={}))
    assert [line for line in lines if line] == ["OS ran    power off: the system switched the machine off"]


def test_the_numbers_for_machines_are_those_of_the_table_and_are_plain_values() -> None:
    data = json.loads(json.dumps(os_run_dict(result(on_demand=3, lost=20 * MIB))))
    assert [row["by"] for row in data["accepts"]] == ["firmware", "on demand", *NAMES]
    last = dict(data["accepts"][-1])
    low, high = last.pop("range")
    assert low < last.pop("modelled_seconds") < high
    assert last == {
        "by": "kernel, page allocator", "vcpu": 0, "vcpus": 1, "bytes": 14 * MIB, "calls": 520, "pages_4k": 512,
        "pages_2m": 6, "size_mismatches": 1, "refused": 1, "td_exits": 518,
    }  # fmt: skip
    kernel = sum(row["bytes"] for row in data["accepts"] if row["by"].startswith("kernel"))
    assert data["unaccepted_bytes_before"] - data["unaccepted_bytes_after"] == kernel - 20 * MIB
    assert (data["bitmap_units_before"], data["bitmap_units_after"]) == (768, 484)
    assert data["modelled_seconds"]["rest"] == 0.125
    assert data["modelled_seconds"]["range"]["rest"] == [0.1, 0.2]
    assert data["modelled_seconds"]["kernel_accepts"] == pytest.approx(
        sum(row["modelled_seconds"] for row in data["accepts"] if row["by"].startswith("kernel"))
    )
    assert (data["ending"], data["counts"], data["violation"]) == ("power off", {"#VE": 12, "CPUID": 3}, None)


def test_the_bitmap_is_counted_bit_by_bit() -> None:
    assert [bits_set(data) for data in (b"", b"\0\0", b"\x01\x80", b"\xff" * 96)] == [0, 0, 2, 768]


def test_without_an_unaccepted_memory_table_no_bitmap_is_shown() -> None:
    boot = result()
    run = boot.os_run
    assert run is not None
    lines = os_run_lines(replace(boot, os_run=replace(run, bitmap_before=b"", bitmap_after=b"")))
    assert not any(line.startswith("bitmap") for line in lines)


def test_what_virtio_devices_refused_is_named_and_counted() -> None:
    boot = result()
    assert boot.os_run is not None
    assert not any(line.startswith("refused") for line in os_run_lines(boot))
    refused = {"virtio block 01.0: a buffer in private memory": 2}
    boot = replace(boot, os_run=replace(boot.os_run, refused=refused))
    assert "refused   virtio block 01.0: a buffer in private memory × 2" in os_run_lines(boot)
    assert os_run_dict(boot)["refused"] == refused
