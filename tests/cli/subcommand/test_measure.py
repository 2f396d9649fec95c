"""``tdvfsh measure`` and ``td measure`` on made firmware: what is printed, refused, expected and written."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tests.engine.firmware.made_firmware import CELLS, HLT, SECTIONS, made_firmware, store_number
from tests.measure.test_mrtd import calls_of, mrtd_of_calls

DIGEST = bytes(range(1, 49))
DIGESTS = CELLS + 0x1000


def extending(*rtmrs: int) -> bytes:
    """32-bit code that extends RTMRs with :data:`DIGEST` by TDCALL, and halts."""
    code = b"".join(
        store_number(DIGESTS + at, int.from_bytes(DIGEST[at : at + 4], "little")) for at in range(0, len(DIGEST), 4)
    )
    for number in rtmrs:
        code += b"\xb8" + (2).to_bytes(4, "little")  # mov eax, TDG.MR.RTMR.EXTEND
        code += b"\xb9" + DIGESTS.to_bytes(4, "little") + b"\xba" + number.to_bytes(4, "little")
        code += b"\x66\x0f\x01\xcc"  # tdcall
    return code + HLT


@pytest.fixture
def firmware(tmp_path: Path) -> Path:
    path = tmp_path / "made.fd"
    path.write_bytes(made_firmware(extending(0, 1, 1)))
    return path


def mrtd_of(path: Path, whole_sections: bool = False) -> str:
    return mrtd_of_calls(calls_of(path.read_bytes(), SECTIONS, whole_sections))


def extended(times: int) -> str:
    register = bytes(48)
    for _ in range(times):
        register = hashlib.sha384(register + DIGEST).digest()
    return register.hex()


def test_mrtd_is_printed_without_a_run(firmware: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", str(firmware)]) == 0
    shown, reports = capsys.readouterr()
    assert shown.splitlines()[0] == f"MRTD   {mrtd_of(firmware)}"
    assert "add order page" in shown
    assert "by running the firmware, with --kernel K or --run" in shown
    assert reports == ""


def test_the_order_of_adding_and_extending_is_chosen(firmware: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["measure", str(firmware), "--add-order", "section"]) == 0
    assert f"MRTD   {mrtd_of(firmware, whole_sections=True)}" in capsys.readouterr().out


def test_a_run_tells_the_registers_and_that_the_firmware_did_not_get_far(
    firmware: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(firmware), "--memory", "1G", "--json"]) == 1
    shown, reports = capsys.readouterr()
    found = json.loads(shown)
    assert (found["schema"], found["schema_version"]) == ("tdvfsh/measure", 1)
    assert found["mrtd"] == mrtd_of(firmware)
    assert found["rtmr"] == [extended(1), extended(2), extended(0), extended(0)]
    assert [each["rtmr"] for each in found["extends"]] == [0, 1, 1]
    assert {each["digest"] for each in found["extends"]} == {DIGEST.hex()}
    assert (found["events"], found["log"]) == ([], None)
    assert found["ended"]["reached"] is False
    assert reports.splitlines()[-1].startswith(f"tdvfsh: {firmware}: ")


def test_without_a_run_json_has_no_registers_and_expect_compares_mrtd_alone(
    firmware: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", str(firmware), "--json", "--no-run"]) == 0
    text = capsys.readouterr().out
    assert json.loads(text)["rtmr"] is None
    expected = tmp_path / "expected.json"
    expected.write_text(text)
    assert main(["measure", str(firmware), "--expect", str(expected)]) == 0
    assert capsys.readouterr().err == f"tdvfsh: as {expected} expects\n"
    firmware.write_bytes(made_firmware(extending(3)))
    assert main(["measure", str(firmware), "--expect", str(expected)]) == 1
    reports = capsys.readouterr().err.splitlines()
    assert reports[0] == f"tdvfsh: not as {expected} expects:"
    assert reports[1].startswith("MRTD  expected ")
    assert reports[2] == f"      found    {mrtd_of(firmware)}"


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ([], 2, "needs a FIRMWARE"),
        (["FW", "--no-td"], 2, "a plain VM has no measurement registers"),
        (["FW", "--accept", "1G"], 2, "--accept: real firmware decides that by itself"),
        (["FW", "--no-run", "--run"], 2, "--no-run: --run needs a run"),
        (["FW", "--no-run", "--log", "x"], 2, "--no-run: --log needs a run"),
        (["FW", "--initrd", "x", "--run"], 2, "--initrd: needs --kernel"),
        (["FW", "--add-order", "both"], 2, "--add-order"),
        (["FW", "--expect", "none.json"], 2, "none.json: no such file"),
        (["FW", "--acpi", "none"], 2, "none: no such file"),
        (["none.fd"], 2, "none.fd: "),
    ],
)
def test_misuse_is_one_line(
    firmware: Path, words: list[str], status: int, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", *(str(firmware) if word == "FW" else word for word in words)]) == status
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert why in lines[0]


def test_a_file_that_is_not_firmware_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for data, why in ((b"", "the file is empty"), (b"text", "no TDX metadata")):
        path = tmp_path / "other"
        path.write_bytes(data)
        assert main(["measure", str(path)]) == 1
        assert capsys.readouterr().err.splitlines() == [f"tdvfsh: {path}: {why}"] or why == "no TDX metadata"


def test_a_log_that_the_firmware_does_not_keep_cannot_be_written(
    firmware: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "ccel.bin"
    assert main(["measure", str(firmware), "--memory", "1G", "--log", str(log)]) == 2
    assert "this run has no event log: the firmware has no event log yet" in capsys.readouterr().err
    assert not log.exists()


def test_test_keys_are_made_once_and_only_for_their_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "key.pem"
    assert main(["measure", "--make-test-key", str(path)]) == 0
    assert "not Intel's" in capsys.readouterr().err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert main(["measure", "--make-test-key", str(path)]) == 2
    assert "the file exists" in capsys.readouterr().err
    assert path.read_bytes() == before


def test_the_prompt_measures_the_td_s_firmware(firmware: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", f"td measure -firmware fs0:\\{firmware.name}", "--fs0", str(firmware.parent)]) == 0
    assert f"MRTD   {mrtd_of(firmware)}" in capsys.readouterr().out
    words = ["--firmware", str(firmware), "--memory", "1G", "-c", "td measure -run -json"]
    assert main(words) != 0
    found = json.loads(capsys.readouterr().out)
    assert found["rtmr"][1] == extended(2)


@pytest.mark.parametrize(
    ("typed", "why"),
    [
        ("td measure", "td: this TD has no firmware file; give -firmware FILE"),
        ("td -run", "td: -kernel, -initrd, -cmdline, -run and -json apply only to 'td measure'"),
        ("td new -json", "td: -kernel, -initrd, -cmdline, -run and -json apply only to 'td measure'"),
        ("td mesure", "td: Invalid argument - 'mesure'"),
    ],
)
def test_the_prompt_refuses_in_a_line(typed: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", typed]) != 0
    assert capsys.readouterr().out.splitlines() == [why]
