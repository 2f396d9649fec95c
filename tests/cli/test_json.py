"""``--json`` of every subcommand: one object that its published schema describes, of what succeeds and what fails."""

from __future__ import annotations

import json
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.cli.subcommands import SUBCOMMANDS
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.report.schema import VERSIONS
from tdvfsh.units import MIB
from tests.cli.subcommand.test_measure import extending
from tests.engine.assembler import Program
from tests.engine.firmware.made_firmware import made_firmware
from tests.engine.runs.test_program import hello
from tests.schemas import FOLDER, TRACE, check_json, complaints

_SMALL = ["--memory", "1G"]
CASES: dict[str, list[list[str]]] = {
    "run": [["run", "--json", "ok.nsh"], ["run", "--json", "bad.nsh"]],
    "demo": [["demo", "--offline"]],
    "boot": [
        ["boot", "linux"],
        ["boot", "linux", "--initrd", "big", "--memory", "1G", "--accept", "200M"],
        ["boot", "linux", "--no-td", "--loader", "grub2.12"],
        ["boot", "linux", "--os-workload", "512M", "--vcpus", "4", "--memory", "8G", "--profile", "lazy-v2"],
    ],
    "compare": [["compare", "linux", "--initrd", "big", "--accept", "200M,1G"]],
    "lazy": [],
    "explain": [["explain", "linux", "--initrd", "big", "--accept", "200M"], ["explain", "linux", "--no-td"]],
    "ladder": [["ladder", "linux", "--step", "64M", "--loader", "direct,grub2.12"]],
    "plot": [["plot", "linux", "--step", "300M"]],
    "sweep": [
        ["sweep", "spec.toml", "-o", "done", "--jobs", "1"],
        ["sweep", "spec.toml", "-o", "done", "--jobs", "1", "--check", "done"],
    ],
    "advise": [
        ["advise", "linux", "--step", "64M", "--jobs", "1"],
        ["advise", "linux", "--initrd", "big", "--memory", "300M", "--jobs", "1"],
    ],
    "verify": [],
    "firmware run": [["firmware", "run", "made.fd", *_SMALL]],
    "firmware accepts": [["firmware", "accepts", "made.fd", *_SMALL], ["firmware", "accepts", "made.fd", "--model"]],
    "firmware record": [],
    "measure": [
        ["measure", "made.fd", "--no-run"],
        ["measure", "made.fd"],
        ["measure", "--make-test-key", "key.pem"],
    ],
    "exec": [["exec", "--json", "hello.efi"], ["exec", "--json", "five.efi"]],
    "diagnose": [["diagnose", "log"]],
    "cost": [["cost"], ["cost", "fit", "memory=64G vcpus=8 accept=eager measured=112s"]],
    "inspect": [["inspect", "linux"], ["inspect", "big"], ["inspect", "made.fd"]],
    "report": [["report", "linux", "-o", "out.svg"]],
    "lint": [["lint", "ok.nsh"], ["lint", "wrong.nsh"]],
    "replay": [["replay", "session.tdt"], ["replay", "changed.tdt"]],
    "images list": [["images", "list"]],
    "images fetch": [["images", "fetch", "init"]],
    "images path": [["images", "path", "init"]],
    "images clean": [["images", "clean", "--all"]],
    "images make": [["images", "make", "initrd", "--size", "1M", "-o", "small.cpio"]],
    "completion": [["completion", "bash"]],
    "man": [["man"]],
    "shell": [["--memory", "2G"], ["--no-td"]],
}
"""Empty where only a real kernel or real firmware succeeds: tests of these hold their objects."""
ELSEWHERE = {"lazy": "lazy", "verify": "verify", "firmware record": "firmware-record"}
FAILING: dict[str, list[str]] = {
    "run": ["run", "--json", "none.nsh"],
    "exec": ["exec", "--json", "none.efi"],
    "cost": ["cost", "--cost", "none.toml"],
    "completion": ["completion", "none"],
    "demo": ["demo", "--map", "none", "--offline"],
    "man": ["man", "none"],
    "images list": ["images", "list", "none"],
    "images make": ["images", "make", "initrd", "--size", "x", "-o", "f"],
    "images clean": ["images", "clean", "none"],
    "firmware record": ["firmware", "record", "none", "-o", "x.toml"],
    "images path": ["images", "path", "none"],
    "images fetch": ["images", "fetch", "none"],
    "sweep": ["sweep", "none.toml", "-o", "x"],
    "shell": ["--memory", "none"],
}
"""Others are called with a file that is not there."""


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"")))
    make_kernel("linux", 12 * MIB, 60 * MIB)
    make_initrd("big", 300 * MIB, "gzip")
    Path("ok.nsh").write_text("echo ok\n")
    Path("bad.nsh").write_text("ls nowhere\n")
    Path("wrong.nsh").write_text("if a == b then\n")
    Path("log").write_text("[    0.000000] Linux version 6.12.0\n")
    Path("spec.toml").write_text('[[image]]\nname = "k"\nkernel = "linux"\n')
    Path("made.fd").write_bytes(made_firmware(extending(0, 1)))
    Path("hello.efi").write_bytes(hello())
    Path("five.efi").write_bytes(Program().ret(5).image())
    assert main(["--record", "session.tdt", "-c", "echo one"]) == 0
    Path("changed.tdt").write_text(Path("session.tdt").read_text().replace("one\n", "two\n"))
    capsys.readouterr()


def _leaves() -> set[str]:
    """Every subcommand and action that there is."""
    names = {"shell"}
    for name, subcommand in SUBCOMMANDS.items():
        if not subcommand.actions or subcommand.alone:
            names.add(name)
        else:
            names |= {f"{name} {action}" for action in subcommand.actions}
    return names - {"images"} | {f"images {action}" for action in ("list", "fetch", "path", "clean", "make")}


def test_no_subcommand_is_forgotten_and_every_schema_is_published() -> None:
    assert set(CASES) == _leaves()
    assert {name for name, cases in CASES.items() if not cases} == set(ELSEWHERE)
    published = {path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json")}
    assert published == {*VERSIONS, TRACE}
    for name in VERSIONS:
        schema = json.loads((FOLDER / f"{name}.schema.json").read_text("utf-8"))
        assert schema["properties"]["schema"] == {"const": f"tdvfsh/{name}"}
        assert schema["properties"]["schema_version"] == {"const": VERSIONS[name]}
        assert {"schema", "schema_version"} <= set(schema["required"])
        assert schema["description"].endswith(".")


def _with_json(words: list[str]) -> list[str]:
    return words if "--json" in words else [*words, "--json"]


@pytest.mark.parametrize("words", [words for cases in CASES.values() for words in cases], ids=" ".join)
def test_what_is_printed_is_as_its_schema_says(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if words[:2] in (["images", "clean"], ["images", "path"]):
        main(["images", "fetch", "init"])
        capsys.readouterr()
    if words[0] == "sweep" and "--check" in words:
        main(words[: words.index("--check")])
        capsys.readouterr()
    status = main(_with_json(words))
    assert status != 2
    value = check_json(capsys.readouterr().out)
    assert value["schema"] != "tdvfsh/error"


@pytest.mark.parametrize("name", CASES)
def test_what_is_refused_is_an_object_too_and_a_line_for_people(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = FAILING.get(name) or [*name.split(), "none"]
    status = main(_with_json(words))
    out, err = capsys.readouterr()
    value = check_json(out)
    assert value["schema"] == "tdvfsh/error"
    assert value["exit_status"] == status == 2
    assert f"tdvfsh: {value['error']}\n" in err


def test_a_boot_that_fails_is_no_error_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["boot", "linux", "--initrd", "big", "--memory", "1G", "--accept", "200M", "--json"]
    assert main(words) == 1
    value = check_json(capsys.readouterr().out)
    assert value["failure"]["status"] == "EFI_OUT_OF_RESOURCES"
    assert value["cure"]["text"].startswith("boots from --accept")
    assert "service" in value["cure"]["on_demand"]


def test_a_trace_is_as_its_schema_says_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["boot", "linux"], ["boot", "linux", "--initrd", "big", "--memory", "1G", "--on-demand", "service"]):
        assert main([*words, "--trace", "t"]) in (0, 1)
        header, *records = map(json.loads, Path("t").read_text().splitlines())
        assert header["command"] == ["tdvfsh", *words, "--trace", "t"]
        assert complaints(TRACE, header) == []
        assert complaints("boot", header["boot"]) == []
        assert [found for record in records for found in complaints(TRACE, record)] == []
        assert len(records) > 100
    assert complaints(TRACE, {"number": 1}) != []


def test_the_console_of_a_program_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", "--json", "hello.efi"]) == 0
    out, err = capsys.readouterr()
    assert "Hello from the TD" in err
    assert check_json(out)["exit_status"] == 0
    assert main(["run", "--json", "ok.nsh"]) == 0
    out, err = capsys.readouterr()
    assert "ok" in err.splitlines()
    assert check_json(out)["lasterror"] == 0
