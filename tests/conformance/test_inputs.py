"""The runners' inputs: what is no recording is a usage line, and a kernel's version is in its package's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import dxe, memmap, placement, scripts, shell, tdvf, trace
from tests.conformance.inputs import machine_of_name, version_of_package

Main = Callable[[list[str]], int]


@pytest.mark.parametrize(
    "main", [dxe.main, memmap.main, placement.main, trace.main, scripts.main, shell.main, tdvf.main]
)
def test_a_missing_file_is_a_usage_line(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([str(tmp_path / "nowhere")], []):
        with pytest.raises(SystemExit) as left:
            main(words)
        assert left.value.code == 2
        assert capsys.readouterr().err.startswith("usage: ")


def test_a_table_without_the_columns_is_a_usage_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.tsv"
    table.write_text("case\tfirmware\nx\ty\n")
    with pytest.raises(SystemExit):
        placement.main([str(table)])
    assert "not a placement table: no column image" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("package", "version"),
    [
        ("linux-image-6.1.0-50-cloud-amd64", (6, 1)),
        ("linux-binary-7.3.4+deb13-cloud-amd64", (7, 3)),
        ("linux-image-cloud-amd64-6.12.1", (6, 12)),
        ("vmlinuz", None),
    ],
)
def test_a_kernels_version_is_read_from_its_package(package: str, version: tuple[int, int] | None) -> None:
    assert version_of_package(package) == version


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("sec-t-2G-2.accepts.tsv", ("2G", "2", "")),
        ("sec-t-2047M-1.accepts.tsv", ("2047M", "1", "")),
        ("sec-pr3245-512-2G-1.accepts.tsv", ("2G", "1", "512M")),
        ("accepts.tsv", ("", "", "")),
    ],
)
def test_a_recordings_name_tells_its_machine(name: str, machine: tuple[str, str, str]) -> None:
    assert machine_of_name(Path(name)) == machine


def test_accepts_of_a_named_machine_need_no_options(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lists = Path(__file__).parents[1] / "recordings" / "rfc"
    words = ["--model", "--profile", "lazy-v2", "-v"]
    assert tdvf.main([*words, str(lists / "sec-pr3245-512-1G-1.accepts.tsv")]) == 0
    assert " differ=0 " in capsys.readouterr().out
    nameless = tmp_path / "accepts.tsv"
    nameless.touch()
    with pytest.raises(SystemExit):
        tdvf.main([*words, str(nameless)])
    assert "its name does not tell the RAM; --memory is needed" in capsys.readouterr().err


def test_a_placement_says_whether_its_machine_was_a_td(tmp_path: Path) -> None:
    columns = ["case", "firmware", "loader", "ram", "kernel_package", "kernel_bytes", "size_of_image", "init_size"]
    columns += ["output_len", "initrd_bytes", *placement.ADDRESSES, "result", "td", "vcpus", "accept"]
    cells = [
        "a",
        "inteltdx",
        "direct",
        "2G",
        "linux-image-6.12.1",
        "0xB2A800",
        "0xB90000",
        "0x37DD000",
        "0x36E802C",
        "0",
    ]
    table = tmp_path / "t.tsv"
    for td, is_td in (("yes", True), ("no", False), ("-", False)):
        row = [*cells, *["-"] * len(placement.ADDRESSES), "linux-up", td, "2", "640M"]
        table.write_text("\t".join(columns) + "\n" + "\t".join(row) + "\n")
        options = placement.boot_row(placement.read_rows(table)[0], tmp_path).machine.options
        assert (options.td, options.vcpus, options.accept.name) == (is_td, 2, "640M")
