"""``tdvfsh sweep`` and ``tdvfsh advise`` as commands."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.cli.subcommand.sweep import Labels, pace
from tdvfsh.images.make import make_initrd, make_kernel
from tdvfsh.sweep.axes import AXIS_NAMES
from tdvfsh.sweep.spec import read_spec
from tdvfsh.units import MIB

SPEC = """
[[image]]
name = "pair"
kernel = "vmlinuz"
initrd = "initrd"
cmdline = "nokaslr"

[[grid]]
memory = ["320M", "384M"]
accept = ["128M", "256M"]
loader = "grub2.12"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_kernel(tmp_path / "vmlinuz", 12 * MIB, 56 * MIB)
    make_initrd(tmp_path / "initrd", 40 * MIB)
    make_initrd(tmp_path / "larger", 60 * MIB)
    (tmp_path / "fleet.toml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sweep_tells_totals_map_and_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert main(["sweep", "fleet.toml", "-o", "out", "--jobs", "1"]) == 0
    assert capsys.readouterr().out == (
        "4 scenarios: 2 boots, 2 fails\n"
        "\n"
        "pair, grub2.12\n"
        "  384M |.#|\n"
        "  320M |.#|\n"
        "        accept 128M to 256M\n"
        "\n"
        "# boots   . fails   (blank) the TD does not start   ! error\n"
        "\n"
        "out/results.csv\n"
    )
    assert sorted(path.name for path in Path("out").iterdir()) == ["results.csv", "results.jsonl"]


def test_json_tells_totals_files_and_what_a_baseline_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "fleet.toml", "-o", "before", "--jobs", "1", "--json", "--plot", "svg"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["outcomes"] == {"boots": 2, "fails": 2, "not started": 0, "error": 0}
    assert (told["scenarios"], told["run"], told["differences"]) == (4, 4, None)
    assert sorted(told["files"]) == sorted(str(path) for path in Path("before").iterdir() if path.suffix != ".jsonl")
    make_initrd("initrd", 128 * MIB)
    assert main(["sweep", "fleet.toml", "-o", "after", "--jobs", "1", "--json", "--check", "before"]) == 1
    differences = json.loads(capsys.readouterr().out)["differences"]
    assert [one["kind"] for one in differences] == ["worse", "worse"]
    assert "no longer boots" in differences[0]["what"]


def test_plots_of_several_forms_are_named_between_commas_or_one_by_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "fleet.toml", "-o", "out", "--jobs", "1"]) == 0
    capsys.readouterr()
    for words in (["--plot", "svg,png"], ["--plot", "svg", "--plot", "png"]):
        assert main(["sweep", "-o", "out", *words]) == 0
        files = capsys.readouterr().out.split()
        assert files == ["out/success.svg", "out/time.svg", "out/success.png", "out/time.png"]


def test_the_spec_that_help_shows_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--help"]) == 0
    text = capsys.readouterr().out.partition("a spec, here fleet.toml:\n")[2].partition("\nexit status:")[0]
    assert "{ from = " in text
    (tmp_path / "fleet.toml").write_text(text)
    assert [len(grid) for grid in read_spec(tmp_path / "fleet.toml").grids] == [3 * 2 * 63 * 3 * 2]
    named = text.rpartition("also ")[2].replace("#", " ").replace(",", " ").split()
    assert set(named) == set(AXIS_NAMES) - {"memory", "accept", "on_demand", "loader"}


def test_a_larger_initrd_under_the_same_name_is_caught_against_the_baseline(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "fleet.toml", "-o", "before", "--jobs", "1"]) == 0
    make_initrd("initrd", 128 * MIB)
    assert main(["sweep", "fleet.toml", "-o", "before", "--jobs", "1"]) == 2
    assert "an image that has changed since" in capsys.readouterr().err
    assert main(["sweep", "fleet.toml", "-o", "after", "--jobs", "1", "--check", "before"]) == 1
    assert "worse: pair, memory 320M, accept 256M, loader grub2.12: no longer boots" in capsys.readouterr().out


def test_advice_for_one_pair_is_told_in_full(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["advise", "vmlinuz", "--initrd", "initrd", "--memory", "320M", "--cmdline", "nokaslr", "--jobs", "1"]
    command += ["--step", "2M"]
    assert main([*command, "--loader", "grub2.12"]) == 0
    told = capsys.readouterr().out
    assert main([*command, "--loader", "grub2.12", "--json"]) == 0
    (advice,) = json.loads(capsys.readouterr().out)["images"]
    smallest = advice["loaders"][0]["options"]["none"]["smallest_accept"]
    assert next(line for line in told.splitlines() if line.startswith("grub2.12")).split()[1:3] == [
        "none",
        f"{smallest // MIB}M",
    ]
    assert f"advice    --accept {advice['recommended']['accept'] // MIB}M" in told
    for size, status in ((smallest, 0), (smallest - 2 * MIB, 1)):
        boot = ["boot", "vmlinuz", "--initrd", "initrd", "--memory", "320M", "--cmdline", "nokaslr"]
        assert main([*boot, "--loader", "grub2.12", "--accept", f"{size // MIB}M"]) == status
    capsys.readouterr()


def test_a_spec_and_several_pairs_give_a_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "fleet.toml", "--jobs", "1", "--step", "16M"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["image", "RAM", "grub2.12"]
    assert [line.split()[:2] for line in lines[1:3]] == [["pair", "320M"], ["pair", "384M"]]
    pairs = ["--pair", "vmlinuz,initrd", "--pair", "vmlinuz,larger"]
    assert main(["advise", *pairs, "--memory", "384M", "--cmdline", "nokaslr", "--step", "16M", "--jobs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["vmlinuz", "+", name] for name in ("initrd", "larger")]


def test_pairs_whose_files_have_the_same_names_are_told_apart_by_their_folders(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = []
    for version in ("6.1", "6.12", "old/6.12"):
        (folder / version).mkdir(parents=True)
        make_kernel(folder / version / "vmlinuz", 12 * MIB, 56 * MIB)
        pairs += ["--pair", f"{version}/vmlinuz,initrd"]
    words = ["advise", *pairs, "--loader", "direct", "--memory", "320M", "--cmdline", "nokaslr", "--step", "32M"]
    assert main([*words, "--jobs", "1", "--json"]) == 0
    assert [advice["image"] for advice in json.loads(capsys.readouterr().out)["images"]] == [
        "6.1/vmlinuz + initrd",
        f"{folder}/6.12/vmlinuz + initrd",
        f"{folder}/old/6.12/vmlinuz + initrd",
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["sweep"], "-o DIR is missing"),
        (["sweep", "-o", "out"], "give a SPEC to run, or --check or --plot"),
        (["sweep", "fleet.toml", "-o", "out", "--jobs", "2", "--cluster", "tcp://x:1"], "choose one"),
        (["sweep", "fleet.toml", "-o", "out", "--jobs", "many"], "--jobs many: not a number"),
        (["sweep", "fleet.toml", "-o", "out", "--jobs", "1", "--plot", "gif"], "--plot gif: unknown"),
        (["advise"], "give a KERNEL, a SPEC.toml, or --pair"),
        (["advise", "fleet.toml", "--initrd", "initrd"], "a spec names its images"),
        (["advise", "vmlinuz", "--accept", "1G"], "--accept is what it finds out"),
        (["advise", "vmlinuz", "--on-demand", "service"], "--on-demand is what it finds out"),
        (["advise", "--pair", "vmlinuz,initrd", "--initrd", "initrd"], "--initrd is for KERNEL"),
        (["advise", "vmlinuz", "--no-td", "--jobs", "1"], "--no-td and --map cannot be used with it"),
        (["advise", "vmlinuz", "--step", "1000", "--jobs", "1"], "must be a multiple of 4 KiB"),
        (["advise", "vmlinuz", "--loader", "direct,lilo"], "--loader lilo: unknown"),
    ],
)
def test_misuse_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], complaint: str) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_the_rate_counts_neither_what_was_there_before_nor_the_time_until_the_first_results() -> None:
    now = [100.0]
    labels = Labels("sweep", lambda: now[0])
    assert labels.at(5000, 9000) == "sweep"  # resumed
    now[0] = 103.0  # images are read, workers start
    assert labels.at(5000, 9000) == "sweep"
    assert labels.at(5032, 9000) == "sweep"
    now[0] = 104.0
    assert labels.at(5132, 9000) == "sweep, 100/s, 0:39 left"


def test_rate_and_time_left_count_what_this_run_has_done() -> None:
    assert pace("sweep", 0, 100, 1.0) == "sweep"
    assert pace("sweep", 500, 4500, 2.5) == "sweep, 200/s, 0:22 left"
    assert pace("sweep", 100, 24000, 1.0) == "sweep, 100/s, 4:00 left"


def test_where_pyarrow_is_installed_there_is_a_parquet_file_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    parquet = import_module("pyarrow.parquet")
    assert main(["sweep", "fleet.toml", "-o", "out", "--jobs", "1"]) == 0
    assert "out/results.parquet" in capsys.readouterr().out
    lines = Path("out/results.jsonl").read_text().splitlines()
    assert parquet.read_table("out/results.parquet").to_pylist() == [json.loads(line) for line in lines]
