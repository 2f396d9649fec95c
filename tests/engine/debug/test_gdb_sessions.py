"""Recorded sessions of a real gdb, repeated: its commands are sent again, and it must print what it printed.

A session is a transcript of ``set trace-commands on``: lines that begin with ``+`` are commands. Addresses of code that
was compiled here count as one, since they are the compiler's; so does virtual time, which is the cost model's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.engine.debug.compiled import compiled, needs_compiler
from tests.engine.runs.test_real_programs import image

SESSIONS: Final = Path(__file__).parent / "sessions"
_NOISE: Final = re.compile(
    r"^(Reading |repeated \d+ of |warning: (File transfers|Missing auto-)|\(No debugging|determining |\[New Thread).*"
)
_ADDRESS: Final = re.compile(r"0x0*[0-9a-f]{5,}")
_HANDLE: Final = re.compile(r"\bimage=0x[0-9a-f]+")
_RECORD: Final = re.compile(r"\brecord \d+")
_ELSEWHERE: Final = re.compile(r'(\d+ +Thread \d+ "vCPU \d+" \(ready\)) .*')
"""A vCPU that is not the one that halted: where it stands follows from everything that the kernel found before."""
_TIME: Final = re.compile(r"\d+\.\d{3} ms|duration_ns=0x[0-9a-f]+|\[ *\d+\.\d{6}\]")

pytestmark = pytest.mark.skipif(shutil.which("gdb") is None, reason="needs gdb (Debian: gdb)")


def normal(text: str, addresses: bool) -> list[str]:
    """Lines that count, as they count."""
    lines = [_TIME.sub("TIME", line.rstrip()) for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    lines = [_RECORD.sub("record NUMBER", _ELSEWHERE.sub(r"\1 ELSEWHERE", line)) for line in lines]
    return lines if addresses else [_HANDLE.sub("image=HANDLE", _ADDRESS.sub("ADDRESS", line)) for line in lines]


def repeated(name: str, folder: Path, *words: str, addresses: bool = False) -> None:
    """Run ``tdvfsh WORDS --gdb …`` under a real gdb with the commands of a session, and compare.

    With ``TDVFSH_RECORD_SESSIONS`` set the session is recorded anew.
    """
    path, place = SESSIONS / f"{name}.txt", folder / "gdb"
    transcript = path.read_text(encoding="utf-8")
    lines = transcript.splitlines()
    commands = [  # a reverse command is shown with the forward one that it is made of
        line[1:] for before, line in zip(["", *lines], lines, strict=False)
        if line.startswith("+") and not before.startswith("+reverse-")
    ]  # fmt: skip
    script = folder / "commands"
    head = ["set pagination off", "set confirm off", "set style enabled off", "set debuginfod enabled off"]
    script.write_text("\n".join([*head, f"target remote {place}", "set trace-commands on", *commands, ""]))
    program = [sys.executable, "-m", "tdvfsh", *words]
    program[4:4] = ["--gdb", f"unix:{place}"] if words[0] != "firmware" else []
    with subprocess.Popen(program, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None
        seen = ""
        while "waiting for a connection" not in seen:
            line = run.stdout.readline()
            assert line, seen
            seen += line
        gdb = ["gdb", "-nx", "-batch", "-x", str(script)]
        said = subprocess.run(
            gdb, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500, cwd=folder, check=False
        )
        run.communicate(timeout=60)
    output = said.stdout
    got = normal(output, addresses)
    start = next(number for number, line in enumerate(got) if line.startswith("+"))
    if os.environ.get("TDVFSH_RECORD_SESSIONS"):
        path.write_text("\n".join(normal(output, True)[start:]) + "\n", encoding="utf-8")
    assert got[start:] == normal(transcript, addresses)


@needs_compiler
def test_an_efi_program_with_dwarf(tmp_path: Path) -> None:
    repeated("efi_program", tmp_path, "exec", str(compiled(tmp_path)))


@pytest.mark.images
def test_tdvf_s_sec_on_two_vcpus(tmp_path: Path) -> None:
    firmware = str(image("ovmf-inteltdx", "firmware"))
    repeated(
        "sec_accepts", tmp_path, "firmware", "run", "--gdb", f"unix:{tmp_path / 'gdb'}", "--memory", "2G", "--vcpus",
        "2", firmware, addresses=True,
    )  # fmt: skip


@pytest.mark.images
@pytest.mark.xdist_group("real kernels")
def test_a_kernel_s_accept_memory_on_two_vcpus(tmp_path: Path) -> None:
    repeated(
        "kernel_accepts", tmp_path, "boot", str(image("kernel-7-cloud", "kernel")), "--initrd",
        str(image("init", "initrd")), "--cmdline", "console=ttyS0 nokaslr quiet", "--memory", "2G", "--accept", "256M",
        "--vcpus", "2", "--engine", "cpu", "--through-os", "--fast-decompress", addresses=True,
    )  # fmt: skip


@pytest.mark.images
def test_grub_s_first_call_of_a_service(tmp_path: Path) -> None:
    repeated("grub", tmp_path, "exec", str(image("grub-2.12", "efi")), addresses=True)


@pytest.mark.images
@pytest.mark.xdist_group("real kernels")
def test_a_module_of_grub_s_that_boots_a_kernel(tmp_path: Path) -> None:
    repeated(
        "grub_module", tmp_path, "boot", str(image("kernel-7-cloud", "kernel")), "--grub",
        str(image("grub-2.12", "efi")), "--memory", "2G", "--accept", "512M", "--engine", "cpu",
        "--fast-decompress", "--cmdline", "nokaslr", addresses=True,
    )  # fmt: skip
