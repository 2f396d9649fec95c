"""``inspect``: what a file is, in readable form and for parse."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.report.inspect_text import inspect_lines
from tdvfsh.shell.drives.hostfolder import HostFolder
from tests.shell.under_test import ShellUnderTest

IMAGES = Path(__file__).parents[2] / "recordings" / "dxe" / "images"


@pytest.fixture
def files(under_test: ShellUnderTest, tmp_path: Path) -> ShellUnderTest:
    """FS1: holds a kernel, an initrd of two segments, and files that are nothing."""
    make_kernel(tmp_path / "vmlinuz", 12 << 20, 56 << 20)
    make_initrd(tmp_path / "cpio", 1 << 20)
    make_initrd(tmp_path / "zstd", 2 << 20, "zstd")
    (tmp_path / "initrd.img").write_bytes((tmp_path / "cpio").read_bytes() + (tmp_path / "zstd").read_bytes())
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "cut").write_bytes((tmp_path / "zstd").read_bytes()[: 1 << 20])
    os.mkfifo(tmp_path / "fifo")
    under_test.shell.mount(HostFolder(str(tmp_path)))
    under_test.run("fs1:")
    return under_test


def test_a_kernel_shows_what_loaders_read_from_it(files: ShellUnderTest) -> None:
    lines = files.run("inspect vmlinuz").splitlines()
    assert lines[:3] == [
        "FS1:\\vmlinuz",
        "  size  12 MiB (12,582,912 bytes)",
        "  is    PE image and Linux kernel (bzImage)",
    ]
    words = [" ".join(line.split()) for line in lines]
    assert "subsystem EFI application (10)" in words
    assert "boot protocol 2.15" in words
    assert "init_size 56 MiB (58,720,256 bytes)" in words


def test_an_initrd_shows_its_segments_packed_and_unpacked(files: ShellUnderTest) -> None:
    lines = files.run("inspect initrd.img").splitlines()
    assert lines[2] == "  is    initrd"
    assert "  segments  2" in lines
    heading = next(
        index
        for index, line in enumerate(lines)
        if line.split() == ["format", "in", "file", "at", "packed", "unpacked"]
    )
    assert lines[heading + 1].split()[:3] == ["cpio", "0x0", "1"]
    assert lines[heading + 2].split()[:3] == ["zstd", "0x100000", "2"]
    assert len({len(line) for line in lines[heading : heading + 3]}) == 1


def test_an_image_that_firmware_refuses_says_why(under_test: ShellUnderTest) -> None:
    under_test.files.write_file("bad.efi", (IMAGES / "m40-soi-0.efi").read_bytes())
    text = under_test.run("inspect bad.efi")
    assert "LoadImage  EFI_" in text


def test_facts_can_be_parsed(files: ShellUnderTest) -> None:
    assert files.run("inspect initrd.img -sfo | parse FileFact 3 -i 5") == "cpio\n"
    rows = files.run("inspect vmlinuz -sfo").splitlines()
    assert rows[0] == 'ShellCommand,"inspect"'
    assert 'FileFact,"bzimage.init_size","58720256"' in rows
    assert 'FileFact,"bzimage.relocatable_kernel","true"' in rows


def test_a_pattern_tells_of_every_file(files: ShellUnderTest) -> None:
    text = files.run("inspect fs1:\\*z*")
    assert text.count("  size  ") == 2
    assert "\n\n" in text


@pytest.mark.parametrize(
    ("name", "why", "status"),
    [
        ("nosuch", "inspect: File not found - 'nosuch'", 14),
        ("text", "neither a PE image, a Linux kernel, an initrd, firmware", 3),
        ("empty", "the file is empty", 3),
        ("cut", "FS1:\\cut: ", 3),
        ("fifo", "inspect: File not found - 'fifo'", 14),
    ],
)
def test_what_is_no_image_is_one_line(files: ShellUnderTest, name: str, why: str, status: int) -> None:
    text = files.run(f"inspect {name}")
    assert text.startswith("inspect: ")
    assert why in text
    assert text.count("\n") == 1
    assert files.shell.last_error_code == status


def test_a_unified_kernel_image_shows_sections_and_system() -> None:
    facts: dict[str, object] = {
        "path": "uki.efi",
        "size": 4096,
        "formats": ["pe", "uki"],
        "uki": {
            "sections": [{"name": ".linux", "offset": 512, "size": 2048}],
            "cmdline": "quiet",
            "osrel": 'NAME=x\nPRETTY_NAME="Debian"\n',
            "uname": "6.12",
        },
    }
    assert inspect_lines(facts)[4:] == [
        "Unified kernel image",
        "  uname    6.12",
        "  cmdline  quiet",
        "  system   Debian",
        "  section  in file at  size",
        "  .linux        0x200  2 KiB (2,048 bytes)",
    ]


def test_firmware_shows_the_sections_that_the_vmm_adds() -> None:
    facts: dict[str, object] = {
        "path": "OVMF.fd",
        "size": 4096,
        "formats": ["tdvf"],
        "tdvf": {
            "offset": 64,
            "version": 1,
            "found_by": "guid table",
            "sections": [
                {
                    "type": 0,
                    "memory_address": 0xFFE20000,
                    "memory_data_size": 4096,
                    "raw_data_size": 4096,
                    "attributes": 1,
                },
                {"type": 2, "memory_address": 0x809000, "memory_data_size": 8192, "raw_data_size": 0, "attributes": 0},
            ],
        },
    }
    assert [line.split() for line in inspect_lines(facts)[-2:]] == [
        ["BFV", "0xffe20000", "4", "KiB", "(4,096", "bytes)", "4", "KiB", "(4,096", "bytes)", "MR_EXTEND"],
        ["TD_HOB", "0x809000", "8", "KiB", "(8,192", "bytes)", "-", "-"],
    ]


def test_hostile_texts_do_not_reach_the_terminal() -> None:
    facts: dict[str, object] = {
        "path": "a\x1b[2J",
        "size": 1,
        "formats": ["bzimage"],
        "uki": {"sections": [], "cmdline": "\x1b]0;x\x07", "osrel": "", "uname": ""},
    }
    assert "\x1b" not in "\n".join(inspect_lines(facts))
