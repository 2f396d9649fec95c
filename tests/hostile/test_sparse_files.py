"""Files of 8 GiB that take no room on the disk: none is read into memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.sweep.store import RESULTS
from tests.hostile.program import refused, run

MEMORY = 300 << 20
SIZE = 8 << 30


def _sparse(path: Path, head: bytes = b"") -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(SIZE)
    return path


@pytest.mark.parametrize(
    ("name", "head", "words"),
    [
        ("a.tdt", b"# tdvfsh transcript 1\n", ("replay", "a.tdt")),
        ("a.toml", b"# a spec\n", ("sweep", "a.toml", "-o", "out")),
        (f"out/{RESULTS}", b"", ("sweep", "-o", "out", "--plot", "svg")),
        ("a.jsonl", b'{"tdvfsh_trace": 2, "version": "0.1.0"}\n', ("report", "a.jsonl", "-o", "a.html")),
        ("a.nsh", b"echo\n", ("run", "a.nsh")),
        ("a.nsh", b"echo\n", ("lint", "a.nsh")),
        ("a.log", b"[    0.000000] Linux\n", ("diagnose", "a.log")),
        ("a.toml", b"", ("boot", "kernel", "--firmware-model", "a.toml")),
        ("a.map", b"Available", ("boot", "kernel", "--map", "a.map")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_subcommand_refuses_it_in_little_memory(
    tmp_path: Path, name: str, head: bytes, words: tuple[str, ...]
) -> None:
    _sparse(tmp_path / name, head)
    refused(run(*words, cwd=tmp_path, memory=MEMORY))


@pytest.mark.parametrize("line", ["big", "snap load s -file big", "dmpstore -l big", "parse big a 1", "set a < big"])
def test_a_command_of_the_shell_does_without_it_in_little_memory(tmp_path: Path, line: str) -> None:
    _sparse(tmp_path / "big.nsh", b"echo\n").rename(tmp_path / "big")
    done = run("--fs0", str(tmp_path), "-c", "fs0:", "-c", line, "-c", "echo after", memory=MEMORY)
    assert done.stdout.endswith("after\n")
    assert "internal error" not in done.stderr + done.stdout


def test_a_header_without_an_end_is_a_damaged_trace(tmp_path: Path) -> None:
    _sparse(tmp_path / "a.jsonl", b'{"tdvfsh_trace": 2')
    assert "not a trace" in refused(run("report", "a.jsonl", "-o", "a.html", cwd=tmp_path, memory=MEMORY))


def test_files_of_any_size_are_compared_a_piece_at_a_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(400 << 20)
            file.seek(0, 2)
            file.write(name.encode() + b"same")
    done = run("--fs0", str(tmp_path), "-c", "comp fs0:\\a fs0:\\b", memory=1 << 30)
    assert "19000001: 61 73 61 6D" in done.stdout
    assert done.stdout.count("Difference #") == 1
