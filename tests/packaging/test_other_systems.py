"""Model, shell, scripts and sweeps where POSIX's own modules and calls are not there, as on Windows and macOS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel

HIDDEN = """
import os, signal, sys
for name in ("fcntl", "termios", "tty", "resource", "pwd", "grp"):
    sys.modules[name] = None
for name in ("pread", "pwrite", "sched_getaffinity", "geteuid", "SEEK_DATA", "SEEK_HOLE", "O_NONBLOCK", "O_CLOEXEC",
             "O_NOCTTY", "O_NOFOLLOW"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGWINCH", "SIGTSTP", "SIGCONT"):
    if hasattr(signal, name):
        delattr(signal, name)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    make_kernel(folder / "linux", 12 << 20, 56 << 20)
    make_initrd(folder / "initrd", 64 << 20, "gzip")
    (folder / "spec.toml").write_text('[[image]]\nkernel = "linux"\ninitrd = ["initrd"]\n')
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(HIDDEN)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["boot", "linux", "--initrd", "initrd", "--accept", "1G", "--json"],
        ["compare", "linux", "--initrd", "initrd", "--accept", "512M"],
        ["inspect", "initrd"],
        ["-c", "memmap", "-c", "accept 512M 64M"],
        ["--record", "session.tdt", "-c", "ver"],
        ["run", "tour"],
        ["sweep", "spec.toml", "-o", "results", "--jobs", "1"],
        ["images", "make", "initrd", "--size", "8M", "-o", "made"],
        ["report", "linux", "-o", "boot.svg"],
        ["images", "path", "init"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_it_prints_the_same_without_them(folder: Path, words: list[str]) -> None:
    outputs = []
    for hook in ("hook", "nothing"):
        settings = {"PYTHONPATH": folder / hook, "XDG_CACHE_HOME": folder / "cache", "TDVFSH_OFFLINE": "1"}
        environment = {**os.environ, **{name: str(value) for name, value in settings.items()}}
        done = subprocess.run(
            [sys.executable, "-m", "tdvfsh", *words],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert (done.returncode, "Error" in done.stderr) == (0, False), done.stderr
        outputs.append(done.stdout)
    assert outputs[0] == outputs[1]
