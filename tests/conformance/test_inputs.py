"""The runners' inputs: what is no recording is a usage line, and a kernel's version is in its package's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import dxe, memmap, placement, scripts, trace
from tests.conformance.inputs import version_of_package

Main = Callable[[list[str]], int]


@pytest.mark.parametrize("main", [dxe.main, memmap.main, placement.main, trace.main, scripts.main])
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
