"""Names from the PDB beside a program, in reports and for stops."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from uuid import UUID

import pytest

from tdvfsh.cli.main import main
from tests.engine.assembler import Program
from tests.formats.pdb_builder import build_pdb, public, static, with_codeview


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a program that calls Stall."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO()))
    program = Program().mov("rcx", 1).boot("Stall").ret(0).image()
    (tmp_path / "app.efi").write_bytes(with_codeview(program, "c:\\build\\App.pdb"))
    return tmp_path


def stops(capsys: pytest.CaptureFixture[str], place: str) -> list[str]:
    assert main(["exec", "--break", place, "app.efi"]) == 0
    return capsys.readouterr().err.splitlines()


def test_a_stop_at_a_name_of_the_pdb_and_callers_by_its_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = public("_ModuleEntryPoint", 1, 0), static("InnerPart", 1, 4)
    (folder / "App.pdb").write_bytes(build_pdb(*names))
    lines = stops(capsys, "_ModuleEntryPoint")
    assert lines[0].startswith("tdvfsh: stop: breakpoint: _ModuleEntryPoint, at app.efi .text+0x1000 <_ModuleEntry")
    assert any(
        "called by app.efi .text+0x" in line and "<InnerPart+0x" in line for line in stops(capsys, "service:Stall")
    )


@pytest.mark.parametrize("data", [b"no PDB", build_pdb(public("main", 1, 0), guid=UUID(int=5)), build_pdb()[:700]])
def test_another_build_s_pdb_or_a_damaged_one_is_as_if_it_were_not_there(
    data: bytes, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "App.pdb").write_bytes(data)
    assert stops(capsys, "main") == ["tdvfsh: --break main: there was no symbol, image or service of that name"]
