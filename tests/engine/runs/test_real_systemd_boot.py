"""Debian's systemd-boot of the development suite, unmodified: the calls that the model makes."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from shutil import copyfile

import pytest

from tdvfsh.cli.main import main
from tdvfsh.trace.file import read_trace_file
from tdvfsh.trace.records import AllocatePagesCall, AllocatePoolCall, LoadImageCall
from tests.engine.runs.test_real_programs import image

pytestmark = pytest.mark.images
TERMINATOR = 2


def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loader: str, *initrds: int) -> list[str]:
    """What it asks for between its start and the kernel's, with initrds of so many bytes."""
    disk = tmp_path / "disk"
    for folder in ("EFI/BOOT", "loader/entries"):
        (disk / folder).mkdir(parents=True)
    program = disk / "EFI/BOOT/BOOTX64.EFI"
    copyfile(image(loader, "efi"), program)
    kernel = copyfile(image("kernel-6.12-cloud", "kernel"), disk / "vmlinuz")
    for number, size in enumerate(initrds):
        (disk / f"i{number}").write_bytes(bytes(size))
    named = "".join(f"initrd /i{number}\n" for number in range(len(initrds)))
    (disk / "loader/loader.conf").write_text("timeout 0\n")
    (disk / "loader/entries/one.conf").write_text(f"title One\nlinux /vmlinuz\n{named}options nokaslr\n")
    trace = tmp_path / "trace.jsonl"
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))
    main(["exec", "--no-td", "--memory", "1G", "--fs0", str(disk), "--trace", str(trace), str(program)])
    found = []
    for record in read_trace_file(trace).records:
        match record:
            case AllocatePagesCall(caller="BOOTX64.EFI", pages=pages):
                found.append(f"{pages} pages")
            case AllocatePoolCall(caller="BOOTX64.EFI", size=size) if size == kernel.stat().st_size + TERMINATOR:
                found.append("pool for the kernel's file")
            case LoadImageCall(caller="BOOTX64.EFI"):
                found.append("LoadImage")
    return found


def test_one_of_2026_reads_the_kernel_first_and_pads_each_initrd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """262.1; with one empty initrd it was seen to ask for no pages at all, where 257.13 asks for 0 and halts."""
    assert calls(tmp_path, monkeypatch, "systemd-boot-sid", 4095, 4097) == [
        "pool for the kernel's file",
        "LoadImage",
        "3 pages",
    ]
