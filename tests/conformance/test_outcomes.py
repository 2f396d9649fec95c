"""Direct boots of the RFC author's own firmware come out as recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.outcomes import main

RFC = Path(__file__).parents[1] / "recordings" / "rfc"


@pytest.mark.parametrize(
    ("more", "agree"), [((), 161), (("--map", str(RFC / "map-pr3245-512-2G-1-before-blobs.txt")), 51)]
)
def test_each_size_ends_and_lands_as_recorded_with_the_last_memory_map_where_firmware_is_known(
    more: tuple[str, ...], agree: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(RFC / "outcomes.tsv"), *more]) == 0
    assert f"agree={agree} differ=0" in capsys.readouterr().out


def test_another_firmware_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(RFC / "outcomes.tsv"), "--profile", "upstream"]) == 1
    assert "343M boots=False got 343M boots=True" in capsys.readouterr().out
