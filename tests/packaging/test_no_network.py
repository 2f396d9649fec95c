"""Nothing but ``images fetch`` reaches out: the program runs where every socket is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel

BLOCKER = """
import os, socket, subprocess, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        sys.stderr.write(f"BLOCKED {event} {arguments}\\n")
        raise PermissionError(f"no network here: {event}")
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        sys.stderr.write(f"BLOCKED {event} {arguments}\\n")
        raise PermissionError(f"no other program here: {event}")
sys.addaudithook(refuse)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("offline")
    make_kernel(folder / "kernel", 0x10000, 0x900000)
    make_initrd(folder / "initrd", 0x8000, "zstd")
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(BLOCKER)
    return folder


def run(folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder / "hook"), "XDG_CACHE_HOME": str(folder / "cache"),
                   "XDG_STATE_HOME": str(folder / "state")}  # fmt: skip
    return subprocess.run([sys.executable, "-m", "tdvfsh", *words], cwd=folder, env=environment, input=stdin, text=True,
                          capture_output=True, timeout=120, check=False)  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("boot", "kernel", "--initrd", "initrd"),
        ("boot", "kernel", "--initrd", "initrd", "--json", "--loader", "grub2.12", "--on-demand", "service"),
        ("compare", "kernel", "--initrd", "initrd", "--accept", "256M,eager", "--on-demand", "none,service"),
        ("inspect", "initrd"),
        ("images", "list"),
        ("images", "make", "kernel", "--size", "1M", "--init-size", "8M", "-o", "made"),
        ("-c", "ver", "-c", "boot kernel -initrd initrd", "-c", "explain", "-c", "memmap", "-c", "map"),
    ],
    ids=" ".join,
)
def test_a_subcommand_needs_no_network_and_no_other_program(folder: Path, words: tuple[str, ...]) -> None:
    done = run(folder, *words)
    assert done.returncode == 0, done.stderr
    assert "BLOCKED" not in done.stderr


def test_a_session_of_the_shell_needs_none_either(folder: Path) -> None:
    done = run(folder, stdin="td\naccept 600M 2M\nmemmap\nfs0:\nls\ninspect kernel\ncompare kernel -accept 256M\n")
    assert done.returncode == 0, done.stderr
    assert "BLOCKED" not in done.stderr


def test_the_block_works(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(folder / "hook")}
    program = "import socket; socket.create_connection(('localhost', 9))"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert "BLOCKED" in done.stderr
    assert done.returncode == 1
