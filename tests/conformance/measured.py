"""``python -m tests.conformance.measured [NAME...]``: what changes a TD's measurements, by runs of real firmware.

Run by hand: each line is a run of half a minute. A case is held against the base case: exactly the registers that it
names may differ, and the event log of each run must be equal to its registers. ``docs/measure.md`` has the last run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tdvfsh.boots.open_files import open_boot_files
from tdvfsh.engine.board.limit import RunLimit
from tdvfsh.engine.firmware.image import open_firmware
from tdvfsh.engine.firmware.measure import TdMeasurement, measure_firmware
from tdvfsh.images.fetch import fetch
from tdvfsh.images.make import make_initrd
from tdvfsh.machine.options import TdOptions
from tdvfsh.units import MIB

_SECONDS: Final = 900
_INITRD_BYTES: Final = 3 * MIB
_IN_SETUP_CODE: Final = 0x700  # real-mode code of the kernel, which an EFI boot never runs
_VARIABLES: Final = 0x84000
Registers = tuple[str, ...]


@dataclass(frozen=True)
class Case:
    """A run, and what differs in it from the base case.

    Attributes:
        differs: The registers that differ; None where the case is only held against its own log.
    """

    differs: Registers | None = ()
    firmware: str = "ovmf-2025.02"
    memory: str = "2G"
    vcpus: str = "1"
    kernel: bool = True
    initrd: bool = True
    cmdline: str = "console=ttyS0 quiet"
    change: dict[str, Callable[[bytes], int]] = field(default_factory=dict)
    """Where to change one byte of a file, by its role."""


def _free(start: int, end: int | None) -> Callable[[bytes], int]:
    """The middle of the longest run of erased flash in part of a firmware file."""

    def place(data: bytes) -> int:
        part = data[start:end]
        size = 1 << 20
        while (at := part.find(b"\xff" * size)) < 0:
            size >>= 1
        return start + at + size // 2

    return place


BASE: Final = "base"
CASES: Final = {
    BASE: Case(),
    "again": Case(),
    "kernel byte": Case(("RTMR1",), change={"kernel": lambda data: _IN_SETUP_CODE}),
    "initrd byte": Case(("RTMR2",), change={"initrd": lambda data: len(data) // 2}),
    "cmdline byte": Case(("RTMR2",), cmdline="console=ttyS1 quiet"),
    "firmware code byte": Case(("MRTD",), change={"firmware": _free(_VARIABLES, None)}),
    "variable store byte": Case(("RTMR0",), change={"firmware": _free(0, _VARIABLES)}),
    "no initrd": Case(("RTMR2",), initrd=False),
    "2 vCPUs": Case(("RTMR0",), vcpus="2"),
    "4 vCPUs": Case(("RTMR0",), vcpus="4"),
    "4G": Case(("RTMR0",), memory="4G"),
    "no kernel": Case(None, kernel=False),
    "IntelTdx, no kernel": Case(None, firmware="ovmf-inteltdx", kernel=False),
    "IntelTdx, no kernel, 2 vCPUs": Case(None, firmware="ovmf-inteltdx", kernel=False, vcpus="2"),
    "2022.11": Case(None, firmware="ovmf-2022.11"),
}


def run(case: Case, folder: Path) -> TdMeasurement:
    """Run a case."""
    files = {"firmware": fetch(case.firmware).files["firmware"]}
    if case.kernel:
        files["kernel"] = fetch("kernel-6.12-cloud").files["kernel"]
    if case.kernel and case.initrd:
        files["initrd"] = folder / "initrd"
        make_initrd(files["initrd"], _INITRD_BYTES)
    for role, place in case.change.items():
        data = bytearray(files[role].read_bytes())
        data[place(bytes(data))] ^= 1
        files[role] = folder / f"changed-{role}"
        files[role].write_bytes(data)
    with ExitStack() as stack:
        boot = None
        if case.kernel:
            initrds = [files["initrd"]] if case.initrd else []
            boot = stack.enter_context(open_boot_files(files["kernel"], initrds, case.cmdline)).boot
        image = stack.enter_context(open_firmware(files["firmware"]))
        limit = stack.enter_context(RunLimit(_SECONDS))
        return measure_firmware(image, TdOptions(memory=case.memory, vcpus=case.vcpus), boot, limit=limit)


def registers(measured: TdMeasurement) -> dict[str, str]:
    """MRTD and RTMRs by name."""
    values = {f"RTMR{number}": value.hex() for number, value in enumerate(measured.rtmrs)}
    return {"MRTD": measured.build.mrtd.hex(), **values}


def main() -> int:
    """Run what was asked for; exit status 1 where a case is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(CASES)}")
    names = parser.parse_args().names or list(CASES)
    base: dict[str, str] | None = None
    wrong = 0
    for name in dict.fromkeys([BASE, *names]):
        case = replace(CASES[name])
        started = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            measured = run(case, Path(folder))
        seconds = time.process_time() - started
        values = registers(measured)
        base = base or values
        differs = tuple(register for register in values if values[register] != base[register])
        events = 0 if measured.log is None else len(measured.log.events)
        log = "no log" if measured.replay is None else measured.replay.why or f"log of {events} events equal"
        fine = measured.succeeded and (case.differs is None or case.differs == differs)
        wrong += not fine
        shown = " ".join(f"{register}={value[:12]}" for register, value in values.items())
        verdict = "as expected" if fine else f"NOT as expected ({measured.why})"
        print(
            f"{name}: {verdict}, {log}; differs in {' '.join(differs) or 'nothing'}; {shown}; {seconds:.0f} s",
            flush=True,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
