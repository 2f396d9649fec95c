"""``tdvfsh cost`` and ``--cost`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.machine.machine import Machine
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.cost import CONSTANTS, cost_model

TRUTH = ("kvm-4k", "accept_4k=5.5us", "serial_share=17%")


def test_every_constant_is_listed_with_range_and_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cost"]) == 0
    text = capsys.readouterr().out
    for name, constant in cost_model().constants.items():
        assert f"\n{name} " in text
        assert constant.source.split()[0] in text
    assert "placeholder" in text
    assert main(["cost", "--json", "--cost", "kvm-2m", "--cost", "accept_4k=9us"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["schema"], data["host_page_size"], list(data["constants"])) == ("tdvfsh/cost", 2 << 20, [*CONSTANTS])
    assert data["constants"]["accept_4k"]["likely"] == 9000


def test_the_shell_tells_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("td -v", "td -verbose"):
        assert main(["-c", words]) == 0
        text = capsys.readouterr().out
        assert "Cost        kvm-4k; the host maps 4 KiB pages" in text
        assert "accept_4k           2us     4us    7us" in text


def _measurement(**options: str) -> str:
    accepted = Machine(TdOptions(**{"cost": TRUTH, "accept": "eager", **options})).boot_accept  # type: ignore[arg-type]
    assert accepted is not None
    words = " ".join(f"{name}={value}" for name, value in options.items())
    return f"{words} measured={accepted.seconds:.6f}s"


def test_fit_finds_constants_again_and_writes_a_file_that_cost_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lab.toml"
    boots = (_measurement(memory="4G"), _measurement(memory="8G", vcpus="8"), _measurement(memory="16G", vcpus="4"))
    assert main(["cost", "fit", "--cost", "td_exit=8us", *boots, "-o", str(path)]) == 0
    text = capsys.readouterr().out
    assert "+0.0 %" in text
    constants = cost_model((str(path),)).constants
    assert constants["accept_4k"].likely == pytest.approx(5500, rel=0.01)
    assert constants["serial_share"].likely == pytest.approx(0.17, rel=0.01)
    assert "# Fitted by 'tdvfsh cost fit' to:" in path.read_text()
    table = tmp_path / "measured.toml"
    table.write_text('[[measurement]]\nmemory = "4G"\nmeasured = "14s"\n[[measurement]]\nvcpus = 8\nmeasured = "5s"\n')
    assert main(["cost", "fit", str(table), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["not_told_apart"] == [["accept_4k", "td_exit"]]
    assert len(data["measurements"]) == 2


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["cost", "fit", "memory=1G"], "'measured' is missing"),
        (["cost", "fit", "nonsense"], "not a measurement"),
        (["cost", "fit", "memory=1G speed=3 measured=3s"], "speed: not a TD option"),
        (["cost", "fit", "memory=1G measured=fast"], "measured=fast: not a time"),
        (["cost", "fit", "memory=1G measured=1s fixed=2s"], "not above its fixed part"),
        (["cost", "--cost", "kvm-8k"], "--cost kvm-8k: unknown; choose one of kvm-4k, kvm-2m, FILE.toml"),
        (["cost", "--cost", "accept_4k=fast"], "--cost accept_4k=fast: not a time (example: accept_4k=9us)"),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    text = capsys.readouterr().err
    assert why in text
    assert text.count("\n") == 1


def test_a_boot_under_each_preset_tells_its_range(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    likely = {}
    for preset in ("kvm-4k", "kvm-2m"):
        assert main(["--cost", preset, "--memory", "2G", "-c", "td -v"]) == 0
        text = capsys.readouterr().out
        assert f"Cost        {preset}" in text
        assert ("placeholder" in text.partition("\ncost ")[0]) == (preset == "kvm-2m")
        likely[preset] = Machine(TdOptions(memory="2G", cost=preset)).clock.now_ns
    assert likely["kvm-4k"] > 20 * likely["kvm-2m"]
