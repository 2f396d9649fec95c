"""Runs the program in a process of its own, with its memory and its time bounded."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect

MEMORY = 1 << 30
SECONDS = 60


def run(*words: str, stdin: str = "", cwd: Path | None = None, memory: int = MEMORY,
        environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """``python -m tdvfsh`` with at most ``memory`` bytes of address space."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

    return subprocess.run(
        [sys.executable, "-m", "tdvfsh", *words],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        timeout=SECONDS,
        preexec_fn=limit,
        check=False,
    )


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which the program refused, and which no traceback is."""
    assert done.returncode in (1, 2), (done.returncode, done.stderr)
    assert done.stderr.startswith("tdvfsh: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "internal error" not in done.stderr, done.stderr
    return done.stderr


def at_terminal(*words: str, cwd: Path | None = None) -> bytes:
    """What a plain terminal without colours gets to see."""
    environment = {**os.environ, "TERM": "dumb", "NO_COLOR": "1"}
    child = pexpect.spawn(sys.executable, ["-m", "tdvfsh", *words], cwd=cwd, env=environment, timeout=SECONDS,
                          dimensions=(50, 200))  # fmt: skip
    child.expect(pexpect.EOF)
    child.close()
    output: object = child.before
    assert isinstance(output, bytes)
    return output
