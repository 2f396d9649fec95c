"""``tdvfsh exec``: exit statuses, messages, and what it says without the extra."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.formats.signature_lists import EFI_CERT_SHA256_GUID, Signature, build_signature_lists
from tdvfsh.trace.file import read_trace_file
from tdvfsh.uefi.guids import Guid
from tests.engine.assembler import Program
from tests.engine.runs.test_program import hello, touch


@pytest.fixture(autouse=True)
def small_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FS0: is the current folder; a checkout with an environment in it has too many files for a disk."""
    monkeypatch.chdir(tmp_path)


def execute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str, keys: str = ""
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(keys.encode())))
    status = main(["exec", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_output_goes_to_standard_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    assert execute(monkeypatch, capsys, str(tmp_path / "hello.efi")) == (0, "Hello from the TD\n", "")


def test_the_exit_status_is_the_program_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "five.efi").write_bytes(Program().ret(5).image())
    status, _, error = execute(monkeypatch, capsys, str(tmp_path / "five.efi"))
    assert status == 5
    assert "five.efi: the program returned EFI_WARN_STALE_DATA" in error


def test_a_violation_is_reported_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "touch.efi").write_bytes(touch().ret(0).image())
    status, _, error = execute(monkeypatch, capsys, "--memory", "2G", str(tmp_path / "touch.efi"))
    assert status == 1
    assert error.startswith("tdvfsh: stopped: read of memory that is not accepted, 0x40000000\n")
    assert "touch.efi .text+0x" in error


def test_what_is_no_program_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.efi").write_bytes(b"no program")
    status, _, error = execute(monkeypatch, capsys, str(tmp_path / "text.efi"))
    assert (status, error) == (1, f"tdvfsh: {tmp_path}/text.efi: LoadImage says EFI_UNSUPPORTED\n")
    assert execute(monkeypatch, capsys, str(tmp_path))[2] == f"tdvfsh: {tmp_path}: a folder\n"


def test_an_endless_program_is_given_up_after_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spin.efi").write_bytes(Program().label("again").jump("again").image())
    status, _, error = execute(monkeypatch, capsys, "--time-limit", "0.3", str(tmp_path / "spin.efi"))
    assert (status, error) == (1, "tdvfsh: given up after 0.3 s\n")


@pytest.mark.parametrize("image", [hello(), touch().ret(0).image()])
def test_the_journal_is_written_however_the_program_ends(
    image: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "program.efi").write_bytes(image)
    trace = tmp_path / "calls.jsonl"
    execute(monkeypatch, capsys, "--trace", str(trace), str(tmp_path / "program.efi"))
    records = read_trace_file(trace).records
    assert [record.arguments["handle"] for record in records if record.service == "StartImage"] != []
    assert (image == hello()) == any(record.arguments.get("string") == "Hello from the TD\r\n" for record in records)


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("--record", "x.tdt", "exec records no session; --trace FILE writes the program's calls"),
        ("--cast", "x.cast", "exec records no session; --trace FILE writes the program's calls"),
        ("--engine", "model", "exec runs real code, which needs the cpu"),
    ],
)
def test_options_that_mean_nothing_to_exec_are_refused_and_not_ignored(
    option: str, value: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "hello.efi").write_bytes(hello())
    status, output, error = execute(monkeypatch, capsys, option, value, str(tmp_path / "hello.efi"))
    assert (status, output) == (2, "")
    assert f"tdvfsh: {option}" in error
    assert why in error


@pytest.mark.parametrize("command", ["exec", "verify", "boot"])
def test_without_the_extra_one_line_says_what_to_install(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    for name in ("unicorn", "unicorn.x86_const"):
        monkeypatch.setitem(sys.modules, name, None)
    words = [command, str(tmp_path / "hello.efi")]
    assert main([*words, "--engine", "cpu"] if command == "boot" else words) == 2
    assert capsys.readouterr().err == "tdvfsh: the CPU engine is not installed; pip install 'tdvfsh[cpu]'\n"


def test_a_program_that_secure_boot_refuses_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "PK.esl").write_bytes(b"")
    other = Signature(EFI_CERT_SHA256_GUID, Guid("00000000000000000000000000000000"), bytes(32))
    (keys / "db.esl").write_bytes(build_signature_lists([other]))
    program = tmp_path / "plain.efi"
    program.write_bytes(hello())
    status, _, said = execute(monkeypatch, capsys, "--secure-boot", f"{keys}/", str(program))
    assert status == 1
    assert "EFI_ACCESS_DENIED: Secure Boot: it is not signed, and its SHA-256 hash is not in db" in said


def resets(kind: int) -> bytes:
    """A program that counts its starts in a variable, and resets the machine while there were fewer than three."""
    attributes, reset, get_variable, set_variable = 7, 24 + 8 * 10, 24 + 8 * 6, 24 + 8 * 8
    program = Program().load("rbp", "rbx", 88).mov("rax", 0).store("rsp", 0x40, "rax").mov("rax", 8)
    program.store("rsp", 0x48, "rax").lea("rcx", "name").lea("rdx", "vendor").mov("r8", 0).address("r9", "rsp", 0x48)
    program.address("rax", "rsp", 0x40).stack_argument(4, "rax").call_at("rbp", get_variable)
    program.raw("48FF442440")  # inc qword [rsp + 0x40]
    program.lea("rcx", "name").lea("rdx", "vendor").mov("r8", attributes).mov("r9", 8)
    program.address("rax", "rsp", 0x40).stack_argument(4, "rax").call_at("rbp", set_variable)
    program.print("line").raw("48837C244003").raw("0F84").raw("1D000000")  # cmp qword [rsp + 0x40], 3; je
    program.mov("rcx", kind).mov("rdx", 0).raw("4531C0 4531C9").raw("FF55" + f"{reset:02X}")
    return program.ret(0).text("name", "Starts").data("vendor", bytes(range(16))).text("line", "start\r\n").image()


@pytest.mark.parametrize(("kind", "words", "starts"), [(0, ("--reset", "restart"), 3), (1, ("--reset", "restart"), 3),
                                                       (2, ("--reset", "restart"), 1), (0, (), 1)])  # fmt: skip
def test_a_reset_starts_the_program_again_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: int,
    words: tuple[str, ...], starts: int,
) -> None:  # fmt: skip
    (tmp_path / "resets.efi").write_bytes(resets(kind))
    status, output, error = execute(monkeypatch, capsys, *words, str(tmp_path / "resets.efi"))
    assert (status, output.count("start"), error) == (0, starts, "")


def test_the_watchdog_resets_the_machine_where_it_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = Program().print("line").mov("rcx", 1).mov("rdx", 0).mov("r8", 0).mov("r9", 0).boot("SetWatchdogTimer")
    program.mov("rcx", 3_000_000).boot("Stall").ret(0).text("line", "start\r\n")
    (tmp_path / "waits.efi").write_bytes(program.image())
    status, output, error = execute(monkeypatch, capsys, "waits.efi")
    assert (status, output.count("start"), error) == (1, 1, "tdvfsh: the watchdog timer of 1 s ran out\n")
    limited = ("--reset", "restart", "--time-limit", "2", "waits.efi")
    status, output, error = execute(monkeypatch, capsys, *limited)
    assert status == 1
    assert output.count("start") > 1
    assert error == "tdvfsh: given up after 2 s\n"


def test_an_nvram_file_carries_the_count_from_run_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "resets.efi").write_bytes(resets(0))
    words = ("--nvram", "nv.json", "resets.efi")
    assert [execute(monkeypatch, capsys, *words)[0] for _ in range(2)] == [0, 0]
    assert '"name": "Starts"' in (tmp_path / "nv.json").read_text()
    assert '"data": "0200000000000000"' in (tmp_path / "nv.json").read_text()
    (tmp_path / "nv.json").write_text("{}")
    status, _, error = execute(monkeypatch, capsys, *words)
    assert (status, error.count("\n")) == (1, 1)
    assert "nv.json: not an nvram file" in error


def test_starting_again_and_a_debugger_do_not_go_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hello.efi").write_bytes(hello())
    status, _, error = execute(monkeypatch, capsys, "--reset", "restart", "--gdb", "1", str(tmp_path / "hello.efi"))
    assert status == 2
    assert "--reset restart: not with --gdb" in error


def test_a_folder_that_links_make_too_large_for_a_disk_is_left_out_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkout with an environment: its lib64 is a link to lib, and the disk has both."""
    monkeypatch.setattr("tdvfsh.engine.storage.fat.MAXIMUM_ENTRIES", 20)
    (tmp_path / "hello.efi").write_bytes(hello())
    (tmp_path / "lib").mkdir()
    for number in range(12):
        (tmp_path / "lib" / f"module{number}.py").write_text("")
    (tmp_path / "lib64").symlink_to("lib")
    status, shown, error = execute(monkeypatch, capsys, str(tmp_path / "hello.efi"))
    assert (status, shown) == (0, "Hello from the TD\n")
    assert error == "tdvfsh: no FS0: the current folder has more than 20 files; see --fs0 DIR\n"
