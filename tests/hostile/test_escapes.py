"""Escape sequences in names and strings of files never reach a terminal raw, nor does anything that moves a cursor."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel
from tests.formats.archives import cpio
from tests.formats.pe_builder import Section, build_pe
from tests.hostile.program import at_terminal, run

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"
RAW = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files with evil names, and files with evil text inside."""
    folder = tmp_path_factory.mktemp("evil")
    make_kernel(folder / f"kernel{EVIL}", 0x10000, 0x900000)
    make_initrd(folder / f"initrd{EVIL}", 0x8000, None)
    kernel = (folder / f"kernel{EVIL}").read_bytes()
    at = int.from_bytes(kernel[0x20E:0x210], "little") + 0x200
    text = EVIL.encode()[:40]
    (folder / "kernel").write_bytes(kernel[:at] + text + kernel[at + len(text) :])
    name = b"\x1b[2J\x07\x9b\x01"
    (folder / "section.efi").write_bytes(build_pe((Section(name, 0x1000, 0x1000, 0x400, 0x200),)))
    evil = EVIL.encode() + b"\0"
    parts = [b".linux", b".cmdline", b".osrel", b".uname", name]
    sections = tuple(
        Section(part, 0x1000 * (index + 1), 0x40, 0x400 + 0x80 * index, 0x80, evil) for index, part in enumerate(parts)
    )
    (folder / "uki.efi").write_bytes(build_pe(sections, size_of_image=0x7000))
    (folder / "initrd").write_bytes(cpio(**{EVIL: b"x", f"../../{EVIL}": b"y"}))
    (folder / "script.nsh").write_bytes(b"if " + evil + b"\r\nnosuch" + evil + b"\r\ngoto " + evil + b"\r\n")
    (folder / "map.txt").write_bytes(b"Type Start\r\n" + evil)
    return folder


COMMANDS = (
    ("boot", f"kernel{EVIL}", "--initrd", f"initrd{EVIL}"),
    ("boot", "kernel", "--initrd", "initrd", "--cmdline", f"nokaslr {EVIL}"),
    ("boot", "kernel", "--json"),
    ("boot", "uki.efi"),
    ("boot", "section.efi"),
    ("boot", f"missing{EVIL}"),
    ("boot", "kernel", "--map", "map.txt"),
    ("boot", "kernel", "--accept", EVIL),
    ("boot", "kernel", "--memory", EVIL),
    ("compare", f"kernel{EVIL}", "--initrd", f"initrd{EVIL}", "--accept", "256M", "--on-demand", "none"),
    ("inspect", f"kernel{EVIL}"),
    ("inspect", "kernel"),
    ("inspect", "kernel", "--json"),
    ("inspect", "uki.efi"),
    ("inspect", "uki.efi", "--json"),
    ("inspect", "section.efi"),
    ("inspect", "initrd"),
    ("lint", "script.nsh"),
    ("lint", f"missing{EVIL}"),
    ("run", f"missing{EVIL}"),
    ("images", "fetch", f"none{EVIL}"),
    (f"sub{EVIL}",),
    (f"--option{EVIL}",),
    ("--fs0", f"missing{EVIL}", "-c", "ver"),
)
LINES = (
    "ls",
    "load section.efi",
    "boot kernel -initrd initrd",
    "explain",
    "trace",
    "trace -sfo",
    "inspect uki.efi",
    "compare kernel -initrd initrd -accept 256M",
    "script.nsh",
    "dh -v",
    f"nosuch{EVIL}",
    f"ls {EVIL}",
    f"cd {EVIL}",
    f"echo {EVIL}",
    f"set a {EVIL}",
    f"load {EVIL}",
    f"boot {EVIL}",
    f"help {EVIL}",
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words).encode("ascii", "replace").decode()[:60])
def test_a_subcommand_shows_them_spelled(folder: Path, words: tuple[str, ...]) -> None:
    done = run(*words, cwd=folder)
    for text in (done.stdout, done.stderr):
        assert RAW.search(os.fsencode(text)) is None
    assert "internal error" not in done.stderr


def test_every_command_of_the_shell_shows_them_spelled_on_a_terminal(folder: Path) -> None:
    words = [word for line in LINES for word in ("-c", line)]
    output = at_terminal(*words, cwd=folder)
    assert RAW.search(output) is None, RAW.search(output)
    assert rb"\x1b" in output
