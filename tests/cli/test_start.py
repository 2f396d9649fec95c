"""What a process imports to do its work: what takes milliseconds is imported where it is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.units import MIB

SLOW = {
    "bz2", "calendar", "construct", "contextvars", "dataclasses", "datetime", "hashlib", "html", "importlib", "inspect",
    "logging", "lzma", "pathlib", "prompt_toolkit", "shutil", "subprocess", "tempfile", "threading", "typing", "uuid",
}  # fmt: skip
NOT_OF_A_COMMAND = SLOW | {"argparse", "json", "tomllib", "struct", "tdvfsh.machine", "tdvfsh.options", "unicodedata"}


def imported(words: list[str], folder: Path) -> set[str]:
    """The modules of a process that runs with these words, beside those of a bare Python."""
    code = (
        "import sys\n"
        "from tdvfsh.cli.main import main\n"
        f"sys.argv = ['tdvfsh', *{words!r}]\n"
        "status = main()\n"
        "print(status, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    status, *names = done.stderr.split()
    assert status == "0"
    return set(names)


def test_a_command_of_the_shell(tmp_path: Path) -> None:
    found = imported(["-c", "ver"], tmp_path)
    assert found & NOT_OF_A_COMMAND == set()
    assert "tdvfsh.commands.console.control" in found


@pytest.mark.parametrize("more", [["--json"], ["--json", "--no-td"], ["--json", "--accept", "256M"]])
def test_a_boot(tmp_path: Path, more: list[str]) -> None:
    make_kernel(tmp_path / "linux", 12 * MIB, 56 * MIB)
    make_initrd(tmp_path / "initrd", 8 * MIB, None)
    found = imported(["boot", "linux", "--initrd", "initrd", "--memory", "2G", "--cmdline", "nokaslr", *more], tmp_path)
    assert found & SLOW == set()
    assert "tdvfsh.boots.modelled_boot" in found
