"""``ladder``, ``plot`` and ``compare`` as processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tdvfsh.images.make import make_initrd, make_kernel
from tests.boots.made_files import CLOUD_6_12, INSTALLER_INITRD
from tests.cli.test_main import run

MACHINE = ("--memory", "2G", "--cmdline", "nokaslr")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The cloud kernel and the installer's initrd, made."""
    folder: Path = tmp_path_factory.mktemp("pair")
    make_kernel(
        folder / "linux",
        CLOUD_6_12["size"],
        CLOUD_6_12["init_size"],
        size_of_image=CLOUD_6_12["size_of_image"],
        output_len=CLOUD_6_12["output_len"],
    )
    make_initrd(folder / "initrd", INSTALLER_INITRD, None)
    return str(folder / "linux"), str(folder / "initrd")


def test_a_ladder_for_each_loader(pair: tuple[str, str]) -> None:
    done = run("ladder", pair[0], "--initrd", pair[1], *MACHINE, "--loader", "direct,grub2.12")
    assert done.returncode == 0
    assert done.stdout.startswith("direct, firmware inteltdx, on demand: none")
    assert "\n\ngrub2.12, firmware inteltdx" in done.stdout
    assert done.stdout.splitlines()[8].split()[:3] == ["boots", "237", "MiB"]


def test_a_ladder_as_json_in_steps_of_a_page(pair: tuple[str, str]) -> None:
    done = run("ladder", pair[0], *MACHINE, "--step", "4K", "--json")
    (value,) = json.loads(done.stdout)["ladders"]
    assert (value["td"]["profile"], value["td"]["firmware_model"]) != ("auto", "auto")
    assert value["td"]["loader"] == "direct"
    rungs = {rung["stage"]: rung["accepted_bytes"] for rung in value["rungs"]}
    assert 158 << 20 < rungs["boots"] <= 159 << 20


def test_a_plot_of_every_option_and_of_one(pair: tuple[str, str]) -> None:
    done = run("plot", pair[0], *MACHINE, "--to", "500M", "--step", "50M")
    assert done.returncode == 0
    assert done.stdout.startswith("initrd size, 50 MiB a column\n")
    rows = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[3:-1]}
    assert rows["none"] == "####iiiikbb"
    assert rows["allocator"] == "########k##"
    one = run("plot", pair[0], *MACHINE, "--to", "100M", "--step", "50M", "--on-demand", "service", "--json")
    assert list(json.loads(one.stdout)["options"]) == ["service"]


def test_a_comparison_takes_lists(pair: tuple[str, str]) -> None:
    words = ("--memory", "1G,2G", "--accept", "224M,eager", "--on-demand", "none,service", "--loader", "direct")
    done = run("compare", pair[0], "--initrd", pair[1], "--cmdline", "nokaslr", *words, "--json")
    rows = json.loads(done.stdout)["boots"]
    assert [(row["memory"] >> 30, row["accept"], row["on_demand"], row["booted"]) for row in rows] == [
        (memory, accept, on_demand, accept == "eager" or on_demand == "service")
        for memory in (1, 2)
        for accept in ("224M", "eager")
        for on_demand in ("none", "service")
    ]
    sfo = run("compare", pair[0], "--accept", "eager", "--loader", "direct", "--sfo")
    assert sfo.stdout.startswith('ShellCommand,"compare"\nBoot,"eager","direct","none"')


@pytest.mark.parametrize(
    "words",
    [
        ("ladder", "--step", "5"),
        ("ladder", "--no-td"),
        ("ladder", "--loader", "direct,lilo"),
        ("plot", "--over", "ram"),
        ("plot", "--from", "2M", "--to", "1M"),
        ("plot", "--step", "0"),
        ("plot", "--to", "1T", "--step", "4K"),
        ("compare", "--accept", "512M,"),
        ("compare", "--firmware-model", "seabios"),
        ("boot", "--loader", "direct,grub2.12"),
    ],
)
def test_misuse_is_one_line_and_status_2(pair: tuple[str, str], words: tuple[str, ...]) -> None:
    done = run(words[0], pair[0], *words[1:])
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("tdvfsh: ")
    assert done.stderr.count("\n") == 1
