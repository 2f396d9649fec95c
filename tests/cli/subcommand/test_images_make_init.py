"""``images make init`` as a stranger would use it."""

from __future__ import annotations

from pathlib import Path

from tdvfsh.images.init_program import ENDINGS, init_program
from tests.cli.test_main import run


def test_it_writes_an_initrd_with_the_asked_program_and_says_its_size(tmp_path: Path) -> None:
    words = ("images", "make", "init", "-o", "hello.cpio")
    done = run(*words, "--message", "hello", "--then", "halt", cwd=tmp_path)
    data = (tmp_path / "hello.cpio").read_bytes()
    assert (done.returncode, done.stdout) == (0, f"hello.cpio: {len(data)} B\n")
    assert init_program("hello", "halt") in data
    assert run(*words, cwd=tmp_path).returncode == 0
    assert init_program("tdvfsh: user space runs", "power-off") in (tmp_path / "hello.cpio").read_bytes()


def test_its_help_names_every_ending_and_an_unknown_one_is_one_line(tmp_path: Path) -> None:
    said = run("images", "make", "init", "--help").stdout
    assert all(ending in said for ending in ENDINGS)
    assert "example" in said
    done = run("images", "make", "init", "-o", "x", "--then", "sleep", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("tdvfsh: 'sleep' is not a way for /init to end (one of power-off, ")
    assert not (tmp_path / "x").exists()
