"""What the exit status of each subcommand says: 0, 1 for what failed, 2 for misuse, and 128 and a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.cli.grammar import parse_words
from tdvfsh.cli.main import main
from tdvfsh.cli.subcommands import SUBCOMMANDS, TASKS
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.units import MIB

SOUND = {
    "run": ["run", "ok.nsh"],
    "demo": ["demo", "--offline"],
    "boot": ["boot", "linux"],
    "compare": ["compare", "linux", "--accept", "1G"],
    "lazy": [],
    "explain": ["explain", "linux", "--initrd", "big"],
    "ladder": ["ladder", "linux", "--step", "64M"],
    "plot": ["plot", "linux", "--step", "300M"],
    "sweep": ["sweep", "spec.toml", "-o", "done", "--jobs", "1"],
    "advise": ["advise", "linux", "--step", "64M", "--jobs", "1"],
    "verify": [],
    "firmware": [],
    "measure": [],
    "exec": [],
    "diagnose": ["diagnose", "log"],
    "cost": ["cost"],
    "inspect": ["inspect", "linux"],
    "report": ["report", "linux", "-o", "out.svg"],
    "lint": ["lint", "ok.nsh"],
    "replay": [],
    "images": ["images", "list"],
    "completion": ["completion", "bash"],
    "man": ["man"],
}
"""Empty where only real code or a recording succeeds; tests of these hold that."""
FAILING = {
    "boot": ["boot", "linux", "--initrd", "big", "--memory", "1G", "--accept", "200M"],
    "run": ["run", "bad.nsh"],
    "lint": ["lint", "wrong.nsh"],
    "replay": ["replay", "wrong.tdt"],
    "advise": ["advise", "linux", "--initrd", "big", "--memory", "300M", "--jobs", "1"],
    "inspect": ["inspect", "--unpack-limit", "1K", "big"],
}
MISSING = {
    "run": ["run", "none.nsh"],
    "boot": ["boot", "none"],
    "compare": ["compare", "none"],
    "lazy": ["lazy", "none"],
    "explain": ["explain", "none"],
    "ladder": ["ladder", "none"],
    "plot": ["plot", "none"],
    "sweep": ["sweep", "none.toml", "-o", "there"],
    "advise": ["advise", "none"],
    "verify": ["verify", "none"],
    "firmware": ["firmware", "run", "none"],
    "measure": ["measure", "none"],
    "exec": ["exec", "none"],
    "diagnose": ["diagnose", "none"],
    "cost": ["cost", "--cost", "none.toml"],
    "inspect": ["inspect", "none"],
    "report": ["report", "none"],
    "lint": ["lint", "none.nsh"],
    "replay": ["replay", "none.tdt"],
    "images": ["images", "path", "none"],
    "completion": ["completion", "none"],
    "demo": ["demo", "--offline", "--map", "none"],
}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    make_kernel("linux", 12 * MIB, 60 * MIB)
    make_initrd("big", 300 * MIB, "gzip")
    Path("ok.nsh").write_text("echo ok\n")
    Path("bad.nsh").write_text("ls nowhere\n")
    Path("wrong.nsh").write_text("if a == b then\n")
    Path("wrong.tdt").write_text("no transcript\n")
    Path("log").write_text("[    0.000000] Linux version 6.12.0\n")
    Path("spec.toml").write_text('[[image]]\nname = "k"\nkernel = "linux"\n')


def test_every_subcommand_is_tried() -> None:
    assert set(SOUND) == {*MISSING, "man"} == set(SUBCOMMANDS)


@pytest.mark.parametrize("name", [name for name, words in SOUND.items() if words])
def test_0_is_success(name: str) -> None:
    assert main(SOUND[name]) == 0


@pytest.mark.parametrize("name", FAILING)
def test_1_is_what_failed(name: str) -> None:
    assert main(FAILING[name]) not in (0, 2)
    if name != "run":
        assert main(FAILING[name]) == 1


@pytest.mark.parametrize("name", MISSING)
def test_2_is_a_file_that_is_not_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(MISSING[name]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("tdvfsh: ")
    assert err.count("\n") == 1
    assert "none" in err
    assert name == "diagnose" or out == ""


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_2_is_an_option_that_is_not_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = SOUND[name] or MISSING[name]
    assert main([*words[:1], "--nonsense", *words[1:]]) == 2
    assert "--nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["boot", "linux", "--engine", "cpu"],
        ["lazy", "linux"],
        ["verify", "linux"],
        ["firmware", "run", "linux"],
        ["exec", "linux"],
        ["report", "linux", "-o", "x.html"],
        ["sweep", "-o", "there", "--plot", "png"],
        ["sweep", "spec.toml", "-o", "there", "--cluster", "tcp://127.0.0.1:1"],
    ],
)
def test_2_is_an_extra_that_is_not_installed(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = ("unicorn", "capstone", "jinja2", "plotly", "PIL", "distributed")
    imported = [name for name in sys.modules if name.split(".")[0] in hidden]  # by tests before this one
    for name in (*hidden, *imported):
        monkeypatch.setitem(sys.modules, name, None)
    if "--plot" in words:
        assert main(["sweep", "spec.toml", "-o", "there", "--jobs", "1"]) == 0
        capsys.readouterr()
    assert main(words) == 2
    assert "pip install 'tdvfsh[" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_128_and_more_is_a_signal(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tdvfsh", "-c", "echo ready", "-c", "stall 600000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(60) == 128 + number


@pytest.mark.parametrize("words", [[], *([name] for name in SUBCOMMANDS), ["firmware", "run"]])
def test_help_documents_it(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert "exit status:\n" in text
    assert "  2     misuse: invalid options, a file that is not there, an extra that is not installed\n" in text
    fails = SUBCOMMANDS[words[0]].fails if words else "the boot or the check failed"
    assert f"  1     {fails}; or " in text if fails else "  1     the host refused" in text


def test_help_groups_every_subcommand_by_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name:<10} " in text for name in SUBCOMMANDS)
    assert {one.task for one in SUBCOMMANDS.values()} <= set(TASKS)
    assert text.index("boot real kernels") < text.index("TD options:")


def test_messages_call_the_program_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot"]) == 2
    assert "(see 'tdvfsh boot --help')" in capsys.readouterr().err
    assert parse_words(["boot", "x"])["kernel"] == "x"
