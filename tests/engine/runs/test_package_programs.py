"""Programs of Debian packages in a real kernel's user space: memtester, stress-ng and Canonical's fwts.

They take minutes, and packages that change: they run where TDVFSH_PACKAGES is set. What fwts says on QEMU with OVMF of
the same initrd is the verdict.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.runs.cpu_boot import boot_on_cpu
from tdvfsh.engine.runs.os_run import POWER_OFF, SystemOptions
from tdvfsh.machine import TdOptions
from tdvfsh.units import GIB
from tests.engine.runs.package_initrd import LIBRARIES, package_initrd, package_root
from tests.engine.runs.test_real_programs import image

pytestmark = [
    pytest.mark.images,
    pytest.mark.xdist_group("real kernels"),
    pytest.mark.skipif("TDVFSH_PACKAGES" not in os.environ, reason="takes minutes: set TDVFSH_PACKAGES to run it"),
]
STRESS = """
memtester 8M 1 >/tmp/out 2>&1; echo MEMTESTER $?
stress-ng --futex 1 --timeout 2s >/tmp/out 2>&1; echo FUTEX $?
stress-ng --vm 2 --vm-bytes 2M --verify --timeout 5s >/tmp/out 2>&1; echo VM $?
"""
FWTS = """
fwts -q -r stdout --batch 2>&1 | grep -E 'PASSED|FAILED'
"""
FAILED_ON_QEMU_WITH_OVMF = {
    "X_GPE0_BLKBadAccessWidth", "MMapUnmappable", "MTRRMSRDefaultNotAvailable", "MTRRIncorrectAttr", "MTRRLackingAttr",
    "WakeAlarmNotTriggeredTest3", "WakeAlarmNotTriggeredTest4", "BacklightNoPath",
}  # fmt: skip
"""What fwts 26.09 fails there: OVMF 2025.02, QEMU 7.2 (q35, TCG, 2 GiB), Linux 6.12 for clouds."""


def shown(initrd: Path) -> str:
    sent = bytearray()
    with open_boot_files(image("kernel-6.12-cloud", "kernel"), [initrd], "console=ttyS0 quiet") as opened:
        result = boot_on_cpu(
            TdOptions(memory=2 * GIB), opened.boot, through_os=SystemOptions(sent.extend), fast_decompress=True
        )
    assert result.os_run is not None
    assert result.os_run.ending == POWER_OFF
    return sent.decode("utf-8", "replace")


def test_memory_and_futexes_are_stressed_and_nothing_fails(tmp_path: Path) -> None:
    root = package_root(tmp_path, ("busybox-static", "stress-ng", "memtester", *LIBRARIES))
    package_initrd(tmp_path / "initrd.img", root, ("usr/bin/stress-ng", "usr/sbin/memtester"), STRESS)
    assert re.findall(r"(MEMTESTER|FUTEX|VM) (\d+)", shown(tmp_path / "initrd.img")) == [
        ("MEMTESTER", "0"), ("FUTEX", "0"), ("VM", "0"),
    ]  # fmt: skip


def test_fwts_fails_nothing_that_does_not_fail_on_qemu_with_ovmf(tmp_path: Path) -> None:
    root = package_root(tmp_path, ("busybox-static", "fwts", *LIBRARIES))
    package_initrd(tmp_path / "initrd.img", root, ("usr/bin/fwts",), FWTS, ["usr/share/fwts"])
    output = shown(tmp_path / "initrd.img")
    assert "PASSED" in output
    failed = {line.strip() for line in output.splitlines() if "FAILED" in line}
    assert {line for line in failed if not any(known in line for known in FAILED_ON_QEMU_WITH_OVMF)} == set()
