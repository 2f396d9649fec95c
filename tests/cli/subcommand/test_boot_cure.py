"""A boot that fails ends with its cure, and ``explain`` stands on the command line too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel
from tests.cli.test_main import run

MIB = 1 << 20


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    make_kernel(tmp_path / "kernel", 12 * MIB, 56 * MIB)
    make_initrd(tmp_path / "initrd", 40 * MIB)
    return str(tmp_path / "kernel"), str(tmp_path / "initrd")


def test_the_cure_of_a_boot_that_fails_is_true(pair: tuple[str, str]) -> None:
    words = ("boot", pair[0], "--initrd", pair[1], "--memory", "2G", "--cmdline", "nokaslr")
    failed = run(*words, "--accept", "150M")
    assert failed.returncode == 1
    text = " ".join(failed.stdout.split())
    cure = re.search(r"cure boots from --accept (\d+)M on; (.*)", text)
    assert cure is not None
    assert "option 3 boots with" in cure[2]
    assert run(*words, "--accept", f"{cure[1]}M").returncode == 0
    assert run(*words, "--accept", f"{int(cure[1]) - 1}M").returncode == 1
    cured = run(*words, "--accept", "150M", "--on-demand", "service")
    assert cured.returncode == 0
    assert "\ncure " not in cured.stdout


def test_explain_on_the_command_line_says_what_the_shell_says(pair: tuple[str, str], tmp_path: Path) -> None:
    options = ("--memory", "2G", "--accept", "150M")
    line = run("explain", pair[0], "--initrd", pair[1], *options)
    shell = run("--fs0", str(tmp_path), *options, "-c", "boot -q kernel initrd >a nul", "-c", "explain")
    assert line.returncode == 0
    assert "The same boot under each option:" in line.stdout
    assert line.stdout == shell.stdout


def test_columns_wraps_what_the_command_line_prints(pair: tuple[str, str]) -> None:
    done = run("explain", pair[0], "--memory", "2G", "--accept", "100M", COLUMNS="50")
    assert max(len(row) for row in done.stdout.splitlines()) <= 50
