"""A whole boot of a kernel and an initrd: modelled, and by firmware in QEMU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tdvfsh.boots.modelled_boot import boot
from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.boots.started import StartedMachines
from tdvfsh.images.make import make_initrd
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import GIB, MIB
from tests.bench.images import Pair, pair
from tests.bench.measure import Figure, Goal, in_turns, steady

GROUP: Final = "boot"
_QEMU: Final = "qemu-system-x86_64"
_FIRMWARE: Final = ("/usr/share/ovmf/OVMF.fd", "/usr/share/OVMF/OVMF.fd", "/usr/share/qemu/OVMF.fd")
_BANNER: Final = b"Linux version"
_CMDLINE: Final = "nokaslr console=ttyS0 earlyprintk=ttyS0 panic=-1"
_SECONDS: Final = 120
_ROUNDS: Final = 3
_WHOLE: Final = Goal(ours=0.07)
_IN_A_PROCESS: Final = Goal(ratio=1 / 200, ours=1e-3)
_PROCESS: Final = "of a whole process, most is Python's start and imports"
_PEER: Final = "QEMU (TCG) + OVMF, to the kernel's banner"


def figures() -> list[Figure]:
    """The model in a running process, with and without its firmware's start; a whole process; one that unpacks the
    initrd to tell its size.
    """
    with pair() as files, TemporaryDirectory() as folder:
        plain = Path(folder, "initrd.cpio")
        make_initrd(plain, 39 * MIB, None)
        program = str(Path(sys.executable).with_name("tdvfsh"))
        common = ("--no-td", "--memory", "2G", "--cmdline", _CMDLINE, "--json")

        def modelled() -> object:
            with open_boot_files(files.kernel, [plain], _CMDLINE) as opened:
                result = boot(TdOptions(memory=2 * GIB, td=False), opened.boot)
            assert result.booted
            return result

        machines = StartedMachines()

        def started() -> object:
            with open_boot_files(files.kernel, [plain], _CMDLINE) as opened:
                return machines.boot(TdOptions(memory=2 * GIB, td=False), opened.boot)

        def process(initrd: Path) -> object:
            command = (program, "boot", str(files.kernel), "--initrd", str(initrd), *common)
            return subprocess.run(command, stdout=subprocess.DEVNULL, check=True)

        runs: dict[str, Callable[[], object]] = {
            "plain": lambda: process(plain),
            "packed": lambda: process(files.initrd),
        }
        firmware, why = _firmware(files)
        if firmware is not None:
            log = Path(folder, "serial")
            runs["qemu"] = lambda: _boot_in_qemu(files, firmware, log)
        in_process = steady({"model": modelled, "started": started})
        medians = in_turns(runs, _ROUNDS)
    own, slowness = in_process
    qemu = medians.get("qemu")
    names = (
        ("plain", "tdvfsh boot, initrd of plain cpio", _PROCESS),
        ("packed", "tdvfsh boot, initrd unpacked to measure it", _PROCESS),
    )
    return [
        Figure(GROUP, "open, read headers, boot", _PEER, own["model"], qemu, goal=_IN_A_PROCESS, skipped=why,
               at_full_speed=own["model"] / slowness),
        Figure(GROUP, "the same, of a firmware that has started", _PEER, own["started"], qemu, skipped=why),
        *(Figure(GROUP, name, _PEER, medians[key], qemu, goal=_WHOLE if key == "plain" else None, skipped=why,
                 note=note)
          for key, name, note in names),
    ]  # fmt: skip


def _firmware(files: Pair) -> tuple[str | None, str | None]:
    """OVMF's file, or why QEMU cannot boot this."""
    firmware = next((path for path in _FIRMWARE if Path(path).is_file()), None)
    if shutil.which(_QEMU) is None or firmware is None:
        return None, f"{_QEMU if shutil.which(_QEMU) is None else 'OVMF'} is not installed"
    return (firmware, None) if files.real else (None, "a made kernel does not run; fetch installer-13")


def _boot_in_qemu(files: Pair, firmware: str, log: Path) -> None:
    command = (
        _QEMU, "-machine", "q35", "-cpu", "max", "-accel", "tcg", "-m", "2G", "-nodefaults", "-display", "none",
        "-no-reboot", "-bios", firmware, "-serial", f"file:{log}",
        "-kernel", str(files.kernel), "-initrd", str(files.initrd), "-append", _CMDLINE,
    )  # fmt: skip
    log.unlink(missing_ok=True)
    start = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env=os.environ) as child:  # fmt: skip
        try:
            while time.perf_counter() - start < _SECONDS and child.poll() is None:
                if log.exists() and _BANNER in log.read_bytes():
                    return
                time.sleep(0.02)
        finally:
            child.kill()
    raise SystemExit(f"{_QEMU}: no kernel banner after {_SECONDS} s")
