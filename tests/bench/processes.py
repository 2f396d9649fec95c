"""Whole processes: what a user or a script waits for."""

from __future__ import annotations

import os
import statistics
import sys
import time
from compileall import compile_dir
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pexpect

import tdvfsh
from tests.bench.measure import Figure, Goal, interleave_commands

GROUP: Final = "process"
_ROUNDS: Final = 21
_PROMPT_ROUNDS: Final = 5


def figures() -> list[Figure]:
    """Start to end of one command; start to the first prompt."""
    program = Path(sys.executable).with_name("tdvfsh")
    compile_dir(str(Path(tdvfsh.__file__).parent), quiet=2)  # as an installer does: else a changed module is compiled
    medians = interleave_commands(
        {
            "ours": (str(program), "-c", "ver"),
            "memmap": (str(program), "-c", "memmap -sfo"),
            "python": (sys.executable, "-c", "pass"),
        },
        _ROUNDS,
    )
    bare = medians["python"]
    found = [
        Figure(GROUP, "tdvfsh -c ver", "python -c pass", medians["ours"], bare, goal=Goal(ratio=2.5)),
        Figure(GROUP, "tdvfsh -c 'memmap -sfo'", "python -c pass", medians["memmap"], bare),
    ]
    name = "first prompt, in a pseudo-terminal"
    if find_spec("ptpython") is None:
        return [*found, Figure(GROUP, name, "ptpython", skipped="ptpython is not installed")]
    ours, theirs = [], []
    for _ in range(_PROMPT_ROUNDS):
        ours.append(_first_prompt([str(program)], "> "))
        theirs.append(_first_prompt([sys.executable, "-m", "ptpython"], ">>>"))
    return [*found, Figure(GROUP, name, "ptpython", statistics.median(ours), statistics.median(theirs))]


def _first_prompt(command: list[str], prompt: str) -> float:
    environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    start = time.perf_counter()
    child = pexpect.spawn(command[0], command[1:], env=environment, dimensions=(40, 120), encoding="utf-8", timeout=20)
    child.expect_exact(prompt)
    elapsed = time.perf_counter() - start
    child.close(force=True)
    return elapsed
