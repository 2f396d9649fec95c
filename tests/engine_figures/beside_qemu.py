"""Real firmware and a kernel in figures: processor seconds of a whole process, with QEMU's TCG on the same files.

QEMU emulates no TDX, so that a row of a TD stands beside QEMU's plain VM on the same firmware, where it has one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tdvfsh.images.fetch import fetch
from tdvfsh.images.make_init import make_init

HEADS: Final = ("program", "bar", "engine", "QEMU (TCG)", "ratio")
_QEMU: Final = "qemu-system-x86_64"
_FIRMWARE: Final = "ovmf-2025.02"
_KERNEL: Final = "kernel-6.12-cloud"
_CMDLINE: Final = "console=ttyS0 quiet"
_SESSION: Final = b"reset -s\n"
_SECONDS: Final = 600


@dataclass(frozen=True, slots=True)
class Files:
    """Firmware, kernel and an initrd whose ``/init`` says a line and powers off."""

    firmware: Path
    kernel: Path
    initrd: Path


@dataclass(frozen=True, slots=True)
class Beside:
    """One row.

    Attributes:
        name: What the table calls it.
        bar: What it is to be.
        words: The words of our command line after ``tdvfsh``.
        typed: What is typed at its console.
        qemu: QEMU's options for the same as a plain VM; None where it has nothing to compare.
    """

    name: str
    bar: str
    words: Callable[[Files], Sequence[str]]
    typed: bytes = b""
    qemu: Callable[[Files], Sequence[str]] | None = None


def _run(files: Files, *more: str) -> tuple[str, ...]:
    return ("firmware", "run", str(files.firmware), "--time-limit", str(_SECONDS), *more)


def _kernel(files: Files, *more: str) -> tuple[str, ...]:
    words = ("--kernel", str(files.kernel), "--initrd", str(files.initrd), "--cmdline", _CMDLINE)
    return _run(files, *words, *more)


def _qemu_kernel(files: Files) -> tuple[str, ...]:
    return ("-kernel", str(files.kernel), "-initrd", str(files.initrd), "-append", _CMDLINE)


ROWS: Final = {
    "sec": Beside(
        "SEC of OVMF 2025.02, a TD of 2G",
        "≤ 2 s",
        lambda files: ("firmware", "accepts", str(files.firmware), "--memory", "2G"),
    ),
    "firmware-shell": Beside(
        "OVMF 2025.02 to its Shell and off, a TD of 2G",
        "≤ 10 s",
        lambda files: _run(files, "--memory", "2G", "--console"),
        _SESSION,
    ),
    "firmware-kernel": Beside(
        "OVMF 2025.02 and Linux 6.12 to user space and off, a TD of 2G",
        "≤ 40 s",
        lambda files: _kernel(files, "--memory", "2G"),
        qemu=_qemu_kernel,
    ),
    "plain-kernel": Beside(
        "the same, a plain VM",
        "≤ 2.0 × QEMU's",
        lambda files: _kernel(files, "--memory", "2G", "--no-td"),
        qemu=_qemu_kernel,
    ),
}


def measure(row: Beside) -> dict[str, object]:
    """Run a row here and, where it is installed, in QEMU right after.

    Raises:
        TdvfshError: A file cannot be had.
    """
    with tempfile.TemporaryDirectory() as name:
        initrd = Path(name, "init.cpio")
        make_init(initrd)
        files = Files(fetch(_FIRMWARE).files["firmware"], fetch(_KERNEL).files["kernel"], initrd)
        ours = seconds([sys.executable, "-m", "tdvfsh", *row.words(files)], row.typed)
        theirs = None
        if row.qemu is not None and shutil.which(_QEMU) is not None:
            options = (
                "-machine", "q35", "-cpu", "SandyBridge,+pdpe1gb,+rdrand", "-accel", "tcg", "-m", "2G", "-nodefaults",
                "-display", "none", "-no-reboot", "-serial", "stdio", "-bios", str(files.firmware), *row.qemu(files),
            )  # fmt: skip
            theirs = seconds([_QEMU, *options])
    return {"bar": row.bar, "engine": ours, "qemu": theirs}


def seconds(command: Sequence[str], typed: bytes = b"") -> float | str:
    """Processor seconds of a process and its children that ends with status 0; else how it ended."""
    with tempfile.TemporaryFile() as keys:
        keys.write(typed)
        keys.seek(0)
        child = subprocess.Popen(command, stdin=keys, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime if child.returncode == 0 else f"status {child.returncode}"


def cells(row: Beside, figures: dict[str, object]) -> tuple[str, ...]:
    """The cells of a row of the table."""
    if "skipped" in figures:
        return (row.name, row.bar, str(figures["skipped"]), "", "")
    ours, theirs = figures["engine"], figures["qemu"]
    ratio = f"{ours / theirs:.2f}" if isinstance(ours, float) and isinstance(theirs, float) else ""
    return (row.name, row.bar, _cell(ours), "" if theirs is None else _cell(theirs), ratio)


def _cell(value: object) -> str:
    return f"{value:.1f} s" if isinstance(value, float) else str(value)
