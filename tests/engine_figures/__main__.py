"""``python -m tests.engine_figures [--qiling PYTHON] [--json] [NAME...]``: real programs on the engine, in figures.

Each program runs in a process of its own: processor seconds from making the TD to the program's end (other work on the
machine does not count), calls of services as the journal counts them, and the process's peak memory. Beside it stand
the figures of the trial that came before the engine (2 shared cores, another day) and, with ``--qiling`` and the
interpreter of an environment that has Qiling, the same file there, in the same run. Instructions are counted nowhere,
since counting costs six times the run. A second table has real firmware, beside QEMU's TCG on the same files in the
same run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tdvfsh.errors import TdvfshError
from tests.engine_figures import beside_qemu
from tests.engine_figures.cases import CASES, Case

_HEADS: Final = ("program", "trial", "engine", "calls", "peak", "Qiling")
_NAMES: Final = (*CASES, *beside_qemu.ROWS)
_ONE: Final = "--one"
_FIRMWARE: Final = frozenset(("shell", "sec", "dxe", "bds", "direct", "firmware", "QemuKernelLoaderFsDxe"))
"""Callers in the journal that are the model's own."""


def measure(case: Case) -> dict[str, object]:
    """Run a case here, once."""
    with tempfile.TemporaryDirectory() as name:
        run = case.prepare(Path(name))
        started = time.process_time()
        how, records = run()
        seconds = time.process_time() - started
    calls = 0
    for record in records:
        times = record.results.get("times")
        if record.caller not in _FIRMWARE:
            calls += times if isinstance(times, int) else 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"how": how, "seconds": seconds, "calls": calls, "peak_kib": peak}


def under_qiling(case: Case, python: str) -> dict[str, object] | None:
    """The same file under Qiling; None where there is no file to give it."""
    if not case.program:
        return None
    script = Path(__file__).with_name("under_qiling.py")
    with tempfile.TemporaryDirectory() as name:
        case.prepare(Path(name))
        words = [python, str(script), str(Path(name) / case.program), name]
        output = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    lines = output.decode().splitlines()
    return json.loads(lines[-1]) if lines else {"how": "ended without a word", "seconds": 0, "calls": 0, "peak_kib": 0}


def row(case: Case, ours: dict[str, object], other: dict[str, object] | None) -> tuple[str, ...]:
    """The cells of one row; how a program ended where that is not as it should, or where Qiling ended it early."""
    if "skipped" in ours:
        return (case.name, case.trial, f"{ours['skipped']}", "", "", "")
    ended = "" if ours["how"] == case.ends else f": {ours['how']}"
    cells = (case.name, case.trial, _seconds(ours) + ended, f"{ours['calls']}", _peak(ours))
    if other is None:
        return (*cells, "")
    if other["how"] == "returned" and other["calls"] == ours["calls"]:
        return (*cells, f"{_seconds(other)}, {_peak(other)}")
    return (*cells, f"no: {other['how']} after {other['calls']} calls")


def _seconds(figures: dict[str, object]) -> str:
    seconds = figures["seconds"]
    assert isinstance(seconds, int | float)
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.1f} ms"


def _peak(figures: dict[str, object]) -> str:
    peak = figures["peak_kib"]
    assert isinstance(peak, int)
    return f"{peak >> 10} MiB"


def main(words: list[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.engine_figures", description=__doc__)
    parser.add_argument("--qiling", metavar="PYTHON", help="interpreter that can import qiling")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(_ONE, action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(_NAMES)}; all by default")
    arguments = parser.parse_args(words)
    for name in arguments.names:
        if name not in _NAMES:
            parser.error(f"{name}: there are {', '.join(_NAMES)}")
    if arguments.one:
        try:
            figures = measure(CASES[arguments.names[0]])
        except TdvfshError as error:
            figures = {"skipped": str(error)}
        print(json.dumps(figures))
        return 0
    names = arguments.names or list(_NAMES)
    programs = [name for name in names if name in CASES]
    if programs and not arguments.json:
        _print_heads(_HEADS)
    for name in programs:
        child = [sys.executable, "-m", "tests.engine_figures", _ONE, name]
        ours = json.loads(subprocess.run(child, stdout=subprocess.PIPE, check=True).stdout)
        other = under_qiling(CASES[name], arguments.qiling) if arguments.qiling and "skipped" not in ours else None
        if arguments.json:
            print(json.dumps({"name": name, "engine": ours, "qiling": other}), flush=True)
        else:
            print("| " + " | ".join(row(CASES[name], ours, other)) + " |", flush=True)
    _print_beside_qemu([name for name in names if name in beside_qemu.ROWS], arguments.json)
    return 0


def _print_heads(heads: Sequence[str]) -> None:
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))


def _print_beside_qemu(names: Sequence[str], as_json: bool) -> None:
    if names and not as_json:
        _print_heads(beside_qemu.HEADS)
    for name in names:
        row = beside_qemu.ROWS[name]
        try:
            figures = beside_qemu.measure(row)
        except TdvfshError as error:
            figures = {"skipped": str(error)}
        if as_json:
            print(json.dumps({"name": name, **figures}), flush=True)
        else:
            print("| " + " | ".join(beside_qemu.cells(row, figures)) + " |", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
