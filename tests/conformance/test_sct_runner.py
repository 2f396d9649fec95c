"""The runner of UEFI's self-certification test: its logs, verdicts, and what it says where there is no build."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance import sct
from tests.conformance.sct import assertions_of, compare, main, read_verdict

PASSES = "25CFFDF5-D252-4515-AF8F-D8DB68F022C3"
FAILS = "3F54452D-E68C-49EC-AE62-9B898894DEE3"
SOMETIMES = "497C37B8-1371-4B2C-B985-D099676EA579"
HALF = "555913E8-BA56-4C68-80B5-A96B8A3AFCB1"
RULE = "-" * 60


def log(*results: tuple[str, str]) -> bytes:
    """A log in the suite's form."""
    lines = [RULE, "A_Func", "Revision 0x00010002", "Test Entry Point GUID: B6A82616-E08E-4226-A8E2-E6912BAA8E8C", RULE]
    for guid, verdict in results:
        lines += [f"BS.Service - a check -- {verdict}", guid, "/home/who/Test.c:12:Status - Success, TPL - 4", ""]
    return "\r\n".join([*lines, f"Passes........... {len(results)}", RULE]).encode("utf-16")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "Log" / "BootServicesTest" / "A0"
    folder.mkdir(parents=True)
    (folder / "one.log").write_bytes(log((PASSES, "PASS"), (FAILS, "FAILURE"), (SOMETIMES, "PASS"), (HALF, "WARNING")))
    (folder / "two.log").write_bytes(log((SOMETIMES, "FAILURE"), (PASSES, "PASS")))
    (folder / "one.ekl").write_bytes(b"|Terminate|||||")
    return tmp_path / "Log"


def test_assertions_are_counted_by_guid_over_all_logs(logs: Path) -> None:
    found = assertions_of(logs)
    assert {guid: (one.passed, one.failed) for guid, one in found.items()} == {
        PASSES: (2, 0), FAILS: (0, 1), SOMETIMES: (1, 1), HALF: (0, 0),
    }  # fmt: skip
    assert found[FAILS].detail == "Test.c:12:Status - Success, TPL - 4"


def test_what_passes_there_and_fails_here_differs_and_nothing_else(logs: Path) -> None:
    here = assertions_of(logs)
    assert [line.split()[1] for line in compare("A", here, None).differences] == [FAILS, SOMETIMES]
    tally = compare("A", here, {("A", PASSES): "PASS", ("", FAILS): "FAIL", ("", SOMETIMES): "PASS"})
    assert (tally.agree, len(tally.differences), dict(tally.skipped)) == (
        1, 1, {"fails on the real firmware": 1, "not reached by the real firmware": 1},
    )  # fmt: skip
    assert SOMETIMES in tally.differences[0]
    assert "failed 1 of 2" in tally.differences[0]


def test_a_verdict_is_a_folder_of_logs_or_a_table(logs: Path, tmp_path: Path) -> None:
    found = {PASSES: "PASS", FAILS: "FAIL", SOMETIMES: "FAIL", HALF: "PASS"}
    assert read_verdict(logs) == {("", guid): verdict for guid, verdict in found.items()}
    logs.rename(logs.parent / "ABBTest")
    assert read_verdict(logs.parent) == {("A", guid): verdict for guid, verdict in found.items()}
    file = tmp_path / "verdict.tsv"
    file.write_text(f"# test\tguid\nATest0\t{PASSES.lower()}\nABBTest\t{FAILS}\tFAIL\n")
    assert read_verdict(file) == {("A", PASSES): "PASS", ("A", FAILS): "FAIL"}


def test_what_passes_there_and_is_not_reached_here_is_counted(logs: Path) -> None:
    here = sct.assertions_of(logs)
    other = "00000000-0000-0000-0000-000000000000"
    there = {("A", PASSES): "PASS", ("A", other): "PASS", ("A", other[::-1] + "1"): "FAIL", ("B", other): "PASS"}
    assert sct.unreached("ABBTest", here, there) == 1
    assert sct.unreached("ABBTest", here, None) == 0


def build(folder: Path) -> Path:
    for name in ("Test", "Support", "Data", "Dependency/ABBTest"):
        (folder / name).mkdir(parents=True)
    (folder / "SCT.efi").write_bytes(b"MZ")
    (folder / "Test" / "ABBTest.efi").write_bytes(b"MZ")
    (folder / "Dependency" / "ABBTest" / "a.ini").write_text("x")
    return folder


def test_a_drive_has_the_one_test_what_it_needs_and_the_shell(tmp_path: Path) -> None:
    shell = tmp_path / "shell.efi"
    shell.write_bytes(b"MZ")
    sct.prepare(build(tmp_path / "sct"), "ABBTest", shell, tmp_path / "drive")
    made = {str(path.relative_to(tmp_path / "drive")) for path in (tmp_path / "drive").rglob("*") if path.is_file()}
    assert made == {"Shell.efi", "startup.nsh", "Sct/SCT.efi", "Sct/Test/ABBTest.efi", "Sct/Dependency/ABBTest/a.ini"}


def test_a_run_prints_differences_a_line_a_test_and_the_table(
    tmp_path: Path, logs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ran(folder: Path, seconds: float) -> str:
        logs.rename(folder / "Sct" / "Log")
        return ""

    monkeypatch.setattr(sct, "run_test", ran)
    shell = tmp_path / "shell.efi"
    shell.write_bytes(b"MZ")
    words = ("--sct", str(build(tmp_path / "sct")), "--shell", str(shell), "-o", str(tmp_path / "out.tsv"), "A")
    assert main(words) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:2]] == [FAILS, SOMETIMES]
    assert lines[2] == "ABBTest agree=2 differ=2 skip=0"
    assert lines[4].split() == ["ABBTest", "3", "2", "2", "2", "0", "0"]
    assert f"ABBTest\t{PASSES}\tPASS\n" in (tmp_path / "out.tsv").read_text()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((), 2, "--sct"),
        (("--sct", "nowhere"), 2, "not a build of the SCT: no SCT.efi, Test, Support, Data"),
        (("--sct", "sct", "Unknown"), 2, "Unknown: no such test"),
        (("--sct", "sct", "--verdict", "missing.tsv"), 1, "missing.tsv: No such file or directory"),
        (("--sct", "sct", "--verdict", "bad.tsv"), 1, "bad.tsv: line 1: not TEST, GUID and PASS or FAIL"),
    ],
)
def test_misuse_is_a_line_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], status: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    build(tmp_path / "sct")
    (tmp_path / "bad.tsv").write_text("what is this\n")
    try:
        got = main(words)
    except SystemExit as ended:
        got = int(str(ended.code))
    assert got == status
    assert message in capsys.readouterr().err


def test_the_recorded_verdict_of_real_firmware_can_be_read() -> None:
    recorded = read_verdict(Path(__file__).parents[1] / "recordings" / "sct" / "ovmf-2025.02.tsv")
    assert len(recorded) > 2_500
    assert recorded["EfiCompliant", "B7CD2D76-EA43-4013-B7D1-59EB2EC9BF1B"] == "PASS"  # the HII protocols are there
    covered = {test for test, _ in recorded}
    assert not [name for name in sct.DEFAULT_TESTS if name not in covered]
