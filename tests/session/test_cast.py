"""Asciicasts: the format, and timing that is made up or real."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.session.cast import CastRecorder
from tdvfsh.session.recording import recording
from tdvfsh.shell.shell import Shell


def events(path: Path) -> tuple[dict[str, object], list[tuple[float, str, str]]]:
    header, *rest = path.read_text().splitlines()
    return json.loads(header), [(at, kind, text) for at, kind, text in map(json.loads, rest)]


def test_a_script_s_cast_is_the_same_each_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a.cast", "b.cast"):
        main(["--cast", str(tmp_path / name), "--fs0", str(tmp_path), "-c", "td", "-c", "echo hi"])
    assert (tmp_path / "a.cast").read_bytes() == (tmp_path / "b.cast").read_bytes()
    header, found = events(tmp_path / "a.cast")
    assert header == {"version": 2, "width": 110, "height": 32, "title": "tdvfsh"}
    times = [at for at, _, _ in found]
    assert times == sorted(times)
    assert {kind for _, kind, _ in found} == {"o"}
    shown = "".join(text for _, _, text in found)
    assert shown.startswith("FS0:\\> td\r\nRAM         4 GiB")
    assert shown.endswith("FS0:\\> echo hi\r\nhi\r\n")
    assert "\n" not in shown.replace("\r\n", "")


def test_keys_are_typed_one_by_one(shell: Shell, tmp_path: Path) -> None:
    recorder = CastRecorder(shell, str(tmp_path / "a.cast"))
    shell.run_line("echo abc")
    recorder.stop()
    _, found = events(tmp_path / "a.cast")
    assert [text for _, _, text in found] == ["FS0:\\> ", *"echo abc", "\r\n", "abc\r\n"]
    assert found[-1][0] == pytest.approx(0.6 + 8 * 0.05 + 0.4)


def test_at_a_prompt_the_timing_is_what_it_was(shell: Shell, tmp_path: Path) -> None:
    readings = iter([100.0, 103.0, 103.5, 104.25])
    recorder = CastRecorder(shell, str(tmp_path / "a.cast"), lambda: next(readings))
    shell.run_line("echo abc")
    recorder.stop()
    _, found = events(tmp_path / "a.cast")
    assert found == [(3.0, "o", "FS0:\\> "), (3.5, "o", "echo abc\r\n"), (4.25, "o", "abc\r\n")]


def test_both_files_are_written_beside_each_other_and_the_shell_is_let_go(shell: Shell, tmp_path: Path) -> None:
    stdout = shell.stdout
    with recording(shell, str(tmp_path / "a.tdt"), str(tmp_path / "a.cast")):
        shell.run_line("echo abc")
    assert (tmp_path / "a.tdt").read_text().endswith("FS0:\\> echo abc\nabc\n")
    assert "abc" in (tmp_path / "a.cast").read_text()
    assert shell.watchers == []
    assert shell.stdout is stdout


def test_a_place_that_cannot_be_written_is_said_before_anything_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for option in ("--record", "--cast"):
        assert main([option, str(tmp_path / "no" / "x"), "-c", "echo hi"]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert err.lower() == f"tdvfsh: {tmp_path / 'no' / 'x'}: no such file or directory\n".lower()
