"""Debian's own kernels, run through: to user space as TDX guests, and to their ends where they are none.

Every boot takes many seconds: what one boot shows is looked at by several tests, and the file keeps to few of them.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.cli.main import main
from tdvfsh.engine.console.serial_input import TypedLines
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.os_run import OsRun, SystemOptions
from tdvfsh.images.make_init import make_init
from tdvfsh.machine import TdOptions
from tdvfsh.report.boots.os_run_text import bits_set, os_run_dict, os_run_lines
from tdvfsh.uefi.tdx import SeptState, TdcallLeaf
from tdvfsh.units import GIB, KIB, LARGE_PAGE_SIZE, PAGE_SIZE
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real kernels")]
MEMORY = 2 * GIB
VCPUS = 2
ONE = TdOptions(cost="kvm-2m", memory=MEMORY)
TWO = replace(ONE, vcpus=VCPUS)
BLOCK = 2 * LARGE_PAGE_SIZE  # what the page allocator accepts at a time, and counts
CONSOLE = "console=ttyS0"
SECONDS = 400  # of a machine that does much else
ACCEPTS = TdcallLeaf.TDACCEPTPAGE.name


class Booted(NamedTuple):
    """A boot's result, what happened to its kernel, and its console."""

    result: CpuBootResult
    run: OsRun
    console: str


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An initrd whose /init says one line, shows what the kernel says of memory, and switches the machine off."""
    path = tmp_path_factory.mktemp("init") / "init.cpio"
    make_init(path, "greetings from user space", show=["/proc/meminfo"])
    return path


def boot_through(
    kernel: str,
    init: Path,
    options: TdOptions | None = None,
    until: str | None = None,
    drop_accept: int | None = None,
    fast_decompress: bool = False,
) -> Booted:
    """Run a kernel to its end."""
    console = bytearray()
    system = SystemOptions(console.extend, None if until is None else re.compile(until), drop_accept)
    with open_boot_files(image(kernel, "kernel"), [init], CONSOLE) as opened:
        result = boot_on_cpu(
            options or ONE, opened.boot, time_limit=SECONDS, through_os=system,
            fast_decompress=fast_decompress,
        )  # fmt: skip
    assert result.os_run is not None
    return Booted(result, result.os_run, console.decode())


@pytest.fixture(scope="module")
def guest(init: Path) -> Booted:
    """Linux 6.12 as a TDX guest of 2 GiB and two vCPUs."""
    return boot_through("kernel-6.12-cloud", init, TWO)


def test_linux_finds_that_it_is_a_tdx_guest_runs_init_in_user_space_and_powers_off(guest: Booted) -> None:
    assert (guest.run.ending, guest.run.succeeded) == ("power off", True)
    lines = guest.console.replace("\r\n", "\n").split("\n")
    found = [next((at for at, line in enumerate(lines) if line.endswith(text)), -1) for text in (
        "tdx: Guest detected",
        "Memory Encryption Features active: Intel TDX",
        "Run /init as init process",
        "greetings from user space",
        "reboot: Power down",
    )]  # fmt: skip
    assert -1 not in found
    assert found == sorted(found)
    assert "Call Trace" not in guest.console
    assert "WARNING" not in guest.console


def test_what_the_kernel_accepted_is_what_is_no_longer_unaccepted(guest: Booted) -> None:
    run = guest.run
    assert run.violation is None
    assert run.unaccepted_before == MEMORY - 512 * 2**20
    assert 0 < run.total.accepted_bytes == run.unaccepted_before - run.unaccepted_after
    assert run.unaccepted_after == guest.result.machine.td.unaccepted_bytes
    assert run.total.calls == run.counts[ACCEPTS]
    assert run.total.refused == run.total.mismatches == 0
    assert sum(tally.calls for tally in run.tallies.values()) == run.total.calls
    assert {"kernel, memblock", "kernel, page allocator"} <= {acceptor.phase for acceptor in run.tallies}


def test_the_bitmap_of_unaccepted_memory_shrinks_by_what_was_accepted(guest: Booted) -> None:
    run = guest.run
    before, after = bits_set(run.bitmap_before), bits_set(run.bitmap_after)
    assert before * LARGE_PAGE_SIZE == run.unaccepted_before
    assert after * LARGE_PAGE_SIZE == run.unaccepted_after
    assert int.from_bytes(run.bitmap_after, "little") & ~int.from_bytes(run.bitmap_before, "little") == 0


def test_the_kernel_s_own_count_of_unaccepted_memory_is_that_of_the_blocks_that_are_left(guest: Booted) -> None:
    (counted,) = re.findall(r"^Unaccepted: +(\d+) kB", guest.console, re.MULTILINE)
    left = {start // BLOCK for start in unaccepted_units(guest)}
    assert int(counted) * KIB == len(left) * BLOCK


def test_both_vcpus_run_and_accept(guest: Booted) -> None:
    assert "smp: Brought up 1 node, 2 CPUs" in guest.console
    assert guest.run.vcpus == VCPUS
    assert {acceptor.vcpu for acceptor in guest.run.tallies} == {0, 1}


def test_the_kernel_reaches_every_port_by_a_virtualization_exception_and_a_hypercall(guest: Booted) -> None:
    counts = guest.run.counts
    ports = counts["IN"] + counts["OUT"]
    assert ports > len(guest.console)
    assert counts["#VE"] >= ports
    assert counts[TdcallLeaf.TDGETVEINFO.name] == counts["#VE"]
    assert counts[TdcallLeaf.TDVMCALL.name] >= counts["#VE"]


def test_shared_memory_is_what_the_kernel_asked_for_and_nothing_is_converted_by_the_way(guest: Booted) -> None:
    run = guest.run
    assert run.shared_bytes == guest.result.machine.td.shared_bytes > 64 * 2**20  # its bounce buffers
    assert run.lost_bytes == run.shared_bytes
    assert "implicit conversions" not in run.counts
    assert "PCI-DMA: Using software bounce buffering for IO (SWIOTLB)" in guest.console


def test_the_report_s_rows_add_up_to_all_of_memory(guest: Booted) -> None:
    data = os_run_dict(guest.result)
    added = guest.result.machine.td.added_bytes
    again = guest.result.dma_pages * PAGE_SIZE  # shared for DMA and accepted once more when boot services ended
    assert sum(row["bytes"] for row in data["accepts"]) + added + data["unaccepted_bytes_after"] == MEMORY + again
    assert data["accepts"][0]["by"] == "firmware"
    assert data["bitmap_units_before"] - data["bitmap_units_after"] == guest.run.total.pages_2m
    text = "\n".join(os_run_lines(guest.result))
    assert "power off: the system switched the machine off" in text
    assert f"{data['bitmap_units_after']:,} after" in text


def test_the_command_line_boots_it_again_with_the_same_console_and_the_same_account(
    guest: Booted, init: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kernel = str(image("kernel-6.12-cloud", "kernel"))
    words = ["--initrd", str(init), "--cmdline", CONSOLE, "--cost", "kvm-2m", "--memory", "2G", "--vcpus", str(VCPUS)]
    words += ["--engine", "cpu", "--through-os", "--time-limit", str(SECONDS), "--json"]
    assert main(["boot", kernel, *words]) == 0
    captured = capfd.readouterr()
    shown = captured.err[captured.err.index("[    0.000000]") :]
    assert shown == guest.console[guest.console.index("[    0.000000]") :].replace("\r", "")
    value = json.loads(captured.out)
    assert value["os"] == json.loads(json.dumps(os_run_dict(guest.result)))
    assert value["status"] == "EFI_SUCCESS"


def test_a_kernel_that_the_host_unpacked_runs_to_the_same_console_and_the_same_account(
    guest: Booted, init: Path
) -> None:
    fast = boot_through("kernel-6.12-cloud", init, TWO, fast_decompress=True)
    assert fast.result.shortcut is not None
    assert fast.result.shortcut.taken
    assert guest.result.shortcut is None
    assert fast.console == guest.console
    assert os_run_dict(fast.result) == os_run_dict(guest.result)
    assert fast.result.machine.clock.now_ns == guest.result.machine.clock.now_ns


def units(booted: Booted, bits: int) -> list[int]:
    """Addresses of the units whose bits are set in a bitmap as the unaccepted-memory table has it."""
    table = next(entry for entry in booted.result.placements if entry.what == "unaccepted_table")
    base = int.from_bytes(booted.result.machine.td.contents.read(table.start + 8, 8), "little")
    return [base + unit * LARGE_PAGE_SIZE for unit in range(bits.bit_length()) if bits >> unit & 1]


def believed_accepted(booted: Booted) -> list[int]:
    """The pages whose bits in the unaccepted-memory table the kernel has cleared."""
    before, after = (int.from_bytes(bitmap, "little") for bitmap in (booted.run.bitmap_before, booted.run.bitmap_after))
    return units(booted, before & ~after)


def unaccepted_units(booted: Booted) -> list[int]:
    """The pages whose bits are still set."""
    return units(booted, int.from_bytes(booted.run.bitmap_after, "little"))


def test_a_dropped_accept_stops_the_kernel_at_its_first_touch_of_that_page(guest: Booted, init: Path) -> None:
    broken = boot_through("kernel-6.12-cloud", init, TWO, drop_accept=2)
    assert (broken.run.ending, broken.run.succeeded) == ("violation", False)
    violation = broken.run.violation
    assert violation is not None
    assert "accepted" in violation.what
    believed = believed_accepted(broken)
    td = broken.result.machine.td
    missing = [page for page in believed if td.sept.entry(page).state is not SeptState.MAPPED]
    assert missing == [violation.address // LARGE_PAGE_SIZE * LARGE_PAGE_SIZE]
    assert len(believed) == broken.run.total.pages_2m + 1
    assert set(believed) <= set(believed_accepted(guest))


def test_a_plain_vm_runs_the_same_kernel_and_ends_where_a_line_was_waited_for(init: Path) -> None:
    plain = boot_through(
        "kernel-6.12-cloud",
        init,
        replace(ONE, td=False),
        until=r"clocksource: \S+ mask|tsc: Detected",
    )
    assert (plain.run.ending, plain.run.succeeded) == ("matched", True)
    assert re.search(r"clocksource: \S+ mask|tsc: Detected", plain.console.rstrip().split("\n")[-1])
    assert "Linux version 6.12" in plain.console
    assert "tdx: Guest detected" not in plain.console
    assert "Intel TDX" not in plain.console
    assert ACCEPTS not in plain.run.counts
    assert "#VE" not in plain.run.counts
    assert plain.run.unaccepted_before == plain.run.unaccepted_after == 0


def test_a_kernel_that_knows_no_tdx_ends_early_and_the_report_says_why(init: Path) -> None:
    older = boot_through("kernel-6.1", init)
    assert (older.run.ending, older.run.succeeded) == ("dead", False)
    assert "it does not support TDX" in older.run.why
    assert "tdx: Guest detected" not in older.console
    assert older.run.total.calls == 0
    assert older.run.unaccepted_before == older.run.unaccepted_after > 0
    assert older.run.bitmap_before == b""


def test_a_distribution_s_shell_answers_what_is_typed_at_the_serial_console() -> None:
    typed = "mount -t proc proc /proc\nls -l /proc/self/exe\ngrep -c ^processor /proc/cpuinfo\npoweroff -f\n"
    console = bytearray()
    files = open_boot_files(
        image("installer-13", "kernel"), [image("installer-13", "initrd")], f"{CONSOLE} quiet rdinit=/bin/sh"
    )
    with files as opened:
        result = boot_on_cpu(
            TWO,
            opened.boot,
            time_limit=SECONDS,
            through_os=SystemOptions(console.extend, typed=TypedLines(typed)),
            fast_decompress=True,
        )
    assert result.os_run is not None
    assert result.os_run.ending == "power off"
    lines = console.decode().replace("\r", "").split("\n")
    assert "2" in lines
    assert any(re.search(r"/proc/self/exe -> /\S*busybox$", line) for line in lines)


def test_a_time_limit_gives_up_with_one_line_that_says_so(init: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kernel = str(image("kernel-6.12-cloud", "kernel"))
    words = ["--initrd", str(init), "--memory", "2G", "--engine", "cpu", "--through-os", "--time-limit", "1"]
    began = time.monotonic()
    assert main(["boot", kernel, *words]) == 1
    assert time.monotonic() - began < 30
    captured = capfd.readouterr()
    assert "given up after 1 s" in captured.out
    assert "Traceback" not in captured.err


def test_ctrl_c_while_the_kernel_runs_ends_at_once_with_one_line(init: Path) -> None:
    kernel = str(image("kernel-6.12-cloud", "kernel"))
    words = ["--initrd", str(init), "--cmdline", CONSOLE, "--memory", "2G", "--engine", "cpu", "--through-os"]
    with subprocess.Popen(
        [sys.executable, "-m", "tdvfsh", "boot", kernel, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        shown = b""
        end = time.monotonic() + SECONDS
        while b"tdx: Guest detected" not in shown and time.monotonic() < end:
            if select.select([process.stderr], [], [], 1)[0]:
                shown += os.read(process.stderr.fileno(), 1 << 16)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        output, rest = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == 130
    assert output == b""
    assert b"Traceback" not in rest
    assert rest.endswith(b"tdvfsh: interrupted\n")
    assert rest.count(b"interrupted") == 1
