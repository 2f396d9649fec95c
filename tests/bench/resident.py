"""Resident memory, each figure in a process of its own, beside a bare Python or plain objects of the same content."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from tests.bench.measure import BYTES, Figure, Goal

GROUP: Final = "memory"
_TAIL: Final = """
from pathlib import Path
print(next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
_BOOT: Final = """
from pathlib import Path
from tempfile import TemporaryDirectory
from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.machine.options import TdOptions
with TemporaryDirectory() as folder:
    kernel, initrd = Path(folder, "linux"), Path(folder, "initrd")
    make_kernel(kernel, 12 << 20, 56 << 20)
    make_initrd(initrd, {initrd}, None)
    with open_boot_files(kernel, [initrd], "nokaslr") as opened:
        options = TdOptions(memory={memory}, gpaw=52, accept=parse_boot_accept("3G"))
        assert boot(options, opened.boot).booted
"""
_TRACE: Final = """
from tdvfsh.trace.journal import Trace
from tdvfsh.trace.records import AllocatePagesCall
from tdvfsh.uefi.status import SUCCESS
trace = Trace()
for number in range({count}):
    record = trace.begin(AllocatePagesCall(0, 2, 1, 0))
    record.memory = number << 12
    trace.end(record, SUCCESS)
"""
_PLAIN: Final = """
trace = []
for number in range({count}):
    trace.append(dict(number=number, parent=-1, time_ns=0, caller="shell", service="AllocatePages",
                      arguments=dict(allocate_type="AllocateAnyPages", memory_type="EfiLoaderData", pages=1, memory=0),
                      status="EFI_SUCCESS", results=dict(memory=number << 12)))
"""
_RECORDS: Final = 200_000


def figures() -> list[Figure]:
    """A boot with little and with much of everything, and a long journal."""
    bare = _resident("")
    small = _resident(_BOOT.format(memory=4 << 30, initrd=40 << 20))
    large = _resident(_BOOT.format(memory=64 << 40, initrd=1 << 30))
    trace = _resident(_TRACE.format(count=_RECORDS)) - _resident(_TRACE.format(count=1))
    plain = _resident(_PLAIN.format(count=_RECORDS)) - bare
    return [
        Figure(GROUP, "boot in a 4 GiB TD, 40 MiB initrd", "bare Python", small, bare, BYTES),
        Figure(GROUP, "boot in a 64 TiB TD, 1 GiB initrd", "4 GiB TD, 40 MiB initrd", large, small, BYTES,
               Goal(ratio=1.2)),
        Figure(GROUP, f"journal of {_RECORDS:,} records", "the same as plain dicts", trace, plain, BYTES,
               Goal(ratio=1)),
    ]  # fmt: skip


def _resident(program: str) -> int:
    ran = subprocess.run((sys.executable, "-c", program + _TAIL), capture_output=True, text=True, check=True)
    return int(ran.stdout)
