"""A C program with the rules that firmware's own tests ask for: it prints what it prints on OVMF 2025.02."""

from __future__ import annotations

import shutil
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tests.engine.debug.compiled import compile_program, needs_compiler

RULES = Path(__file__).parent / "rules"
INVALID, DENIED, BAD_SIZE = "8000000000000002", "800000000000000F", "8000000000000004"
ON_OVMF = [
    "create 0", "write 0", "set read-only 0", "close 0", "1 size 5", f"2 flush {DENIED}", f"3 set info {BAD_SIZE}",
    f"4 query NV {INVALID}", f"4 query RT {INVALID}", f"5 next name {INVALID}", f"6 zone 1441 {INVALID}", "7 zone 60 0",
    "7 zone 3C", "7 daylight 3", f"8 year 1899 {INVALID}", "9 install 0", "9 notified 1",
    "NVMe(0xAB124BEF,AB-CD-EF-01-23-45-67-89)", "IPv4(10.0.2.2,TCP,DHCP,10.0.2.15,0.0.0.0,0.0.0.0)",
]  # fmt: skip


@needs_compiler
def test_every_rule_is_answered_as_real_firmware_answers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work, disk = tmp_path / "work", tmp_path / "disk"
    shutil.copytree(RULES, work)
    disk.mkdir()
    shutil.copy(compile_program(work, "rules"), disk)
    monkeypatch.chdir(disk)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"")))
    assert main(["exec", "--fs0", ".", "--fs0-write", "rules.efi"]) == 0
    assert capsys.readouterr().out.splitlines() == ON_OVMF
    assert (disk / "t1.txt").read_bytes() == b"hello"
