"""``tdvfsh lint``: severities, programs beside the script, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.main import main


def test_notes_and_warnings_leave_0_and_errors_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "flash.nsh"
    script.write_text('ifu payload.bin\ntype "%nope%\n')
    assert main(["lint", str(script)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split(": ")[1] for line in told] == ["note", "warning", "note"]
    script.write_text("goto away\n")
    assert main(["lint", "--json", str(script)]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["severity"] == "error"


def test_a_program_beside_the_script_or_named_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "flash.nsh"
    script.write_text("ifu payload.bin\nAfuEfix64 a\n")
    (tmp_path / "IFU.EFI").touch()
    assert main(["lint", str(script)]) == 0
    assert "ifu" not in capsys.readouterr().out
    assert main(["lint", "--program", "AfuEfix64.efi", str(script)]) == 0
    assert capsys.readouterr().out == ""
