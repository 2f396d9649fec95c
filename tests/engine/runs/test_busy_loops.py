"""A busy loop in a real system's user space: others get their time beside it, twice the same."""

from __future__ import annotations

import stat
import struct
from pathlib import Path

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult
from tdvfsh.engine.runs.os_run import POWER_OFF, SystemOptions
from tdvfsh.images.init_program import LOAD_ADDRESS, init_program
from tdvfsh.images.newc import NewcMember, newc_archive
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real kernels")]
ENTRY, FILE_SIZE = 24, 64 + 32
# fork(); if (!pid) for (;;); nanosleep({1, 0}, NULL)
FORK_AND_SLEEP = bytes.fromhex("B839000000 0F05 85C0 7502 EBFE 6A00 6A01 4889E7 31F6 B823000000 0F05 E9")


def busy_init(path: Path) -> None:
    """``(while :; do :; done) & sleep 1; echo SLEPT``, and power off."""
    program = bytearray(init_program("SLEPT"))
    (entry,) = struct.unpack_from("<Q", program, ENTRY)
    begin = LOAD_ADDRESS + len(program)
    program += FORK_AND_SLEEP + struct.pack("<i", entry - begin - len(FORK_AND_SLEEP) - 4)
    struct.pack_into("<Q", program, ENTRY, begin)
    struct.pack_into("<QQ", program, FILE_SIZE, len(program), len(program))
    console = NewcMember(b"dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    init = NewcMember(b"init", stat.S_IFREG | 0o755, bytes(program))
    path.write_bytes(newc_archive((NewcMember(b"dev", stat.S_IFDIR | 0o755), console, init)))


def boot(initrd: Path, vcpus: int) -> tuple[CpuBootResult, str]:
    sent = bytearray()
    with open_boot_files(image("kernel-6.12-cloud", "kernel"), [initrd], "console=ttyS0 quiet") as opened:
        through = SystemOptions(sent.extend)
        result = boot_on_cpu(
            TdOptions(memory=2 * GIB, vcpus=vcpus), opened.boot, through_os=through, fast_decompress=True
        )
    return result, sent.decode()


def test_who_sleeps_a_second_beside_a_busy_loop_wakes_up_twice_at_the_same_time(tmp_path: Path) -> None:
    busy_init(tmp_path / "init.cpio")
    (first, shown), (second, shown_again) = (boot(tmp_path / "init.cpio", 1) for _ in range(2))
    assert first.os_run is not None
    assert second.os_run is not None
    assert first.os_run.ending == POWER_OFF
    assert "SLEPT" in shown
    assert 1 < first.os_run.virtual_seconds < 3
    assert shown == shown_again
    assert first.os_run.virtual_seconds == second.os_run.virtual_seconds
    assert first.os_run.counts == second.os_run.counts
