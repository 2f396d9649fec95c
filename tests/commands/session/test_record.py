"""``record``: from the prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.script.streams import MemorySink
from tdvfsh.session.recording import recording
from tdvfsh.session.replay import replay
from tdvfsh.shell.drives.hostfolder import HostFolder
from tdvfsh.shell.shell import Shell
from tests.shell.under_test import ShellUnderTest


def _run(shell: Shell, *lines: str) -> str:
    sink = MemorySink()
    shell.stdout = shell.stderr = sink
    for line in lines:
        shell.run_line(line)
    return sink.text


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell()
    made.mount(HostFolder(str(tmp_path), writable=True))
    return made


def test_it_records_what_follows_until_it_is_ended(shell: Shell, tmp_path: Path) -> None:
    with recording(shell):
        _run(shell, "accept 512M 2M", "record demo.tdt", "echo hi", "accept 600M 2M")
        assert _run(shell, "record") == f"record: {tmp_path / 'demo.tdt'}\n"
        assert "'record -off' ends it" in _run(shell, "record other.tdt")
        _run(shell, "record -off", "echo not this")
    text = (tmp_path / "demo.tdt").read_text()
    assert "FS0:\\> echo hi\nhi\nFS0:\\> accept 600M 2M\n" in text
    assert "not this" not in text
    assert "record" not in text.partition("FS0:")[2]
    assert replay(tmp_path / "demo.tdt").agrees


def test_leaving_the_shell_ends_it(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"text")
    with recording(shell):
        _run(shell, "record demo.tdt", "type a.txt > nul")
    assert "# image: FS0:\\a.txt 4 sha256=" in (tmp_path / "demo.tdt").read_text()
    assert replay(tmp_path / "demo.tdt").agrees


def test_what_cannot_be_recorded_is_said(tmp_path: Path, under_test: ShellUnderTest) -> None:
    assert under_test.run("record x.tdt") == "record: this shell cannot record\n"
    assert under_test.shell.last_error_code == 3
    assert under_test.run("record", "record -off") == "record: nothing is being recorded\n" * 2
    assert under_test.shell.last_error_code == 6
    with recording(under_test.shell):
        assert "not a file on a folder of the host" in under_test.run("record x.tdt")
    read_only = Shell()
    read_only.mount(HostFolder(str(tmp_path)))
    with recording(read_only):
        assert _run(read_only, "record x.tdt") == "record: x.tdt: the drive is read-only; start with --fs0-write\n"
        assert read_only.last_error_code == 7
