"""The table of real programs in figures: what its rows say."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from tests.engine.assembler import Program
from tests.engine_figures.__main__ import main, row
from tests.engine_figures.beside_qemu import ROWS, cells, seconds
from tests.engine_figures.cases import CASES, Case, small_program
from tests.engine_figures.under_qiling import Calls

OURS: dict[str, object] = {"how": "returned", "seconds": 1.5, "calls": 7, "peak_kib": 50 << 10}


def test_a_program_runs_in_a_process_of_its_own_and_fills_a_row(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "calls"]) == 0
    figures = json.loads(capfd.readouterr().out)["engine"]
    assert (figures["how"], figures["calls"]) == ("returned", 1000)
    assert figures["seconds"] > 0
    assert figures["peak_kib"] > 10 << 10


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["shel"])
    assert "there are count, calls" in capsys.readouterr().err


def test_a_row_says_how_a_program_ended_only_where_that_is_not_as_it_should() -> None:
    assert row(CASES["hello"], OURS, None)[2:5] == ("1.50 s", "7", "50 MiB")
    assert row(CASES["hello"], {**OURS, "how": "returned 0x15"}, None)[2] == "1.50 s: returned 0x15"
    assert row(CASES["hello"], {"skipped": "no archive"}, None)[2] == "no archive"


@pytest.mark.parametrize(
    ("how", "calls", "cell"),
    [
        ("returned", 7, "1.50 s, 50 MiB"),
        ("returned", 3, "no: returned after 3 calls"),
        ("UcError: x", 7, "no: UcError: x after 7 calls"),
    ],
)
def test_qiling_has_run_a_program_only_if_it_returned_after_all_its_calls(how: str, calls: int, cell: str) -> None:
    assert row(CASES["hello"], OURS, {**OURS, "how": how, "calls": calls})[5] == cell


@pytest.mark.parametrize(
    ("image", "how"),
    [(b"no program", "LoadImage says EFI_UNSUPPORTED"), (Program().ret(5).image(), "returned 0x5")],
)
def test_a_program_that_does_not_load_or_fails_is_told(image: bytes, how: str, tmp_path: Path) -> None:
    assert Case("ends", small_program(image)).prepare(tmp_path)()[0] == how


def test_calls_are_counted_from_qiling_s_own_log() -> None:
    handler = Calls()
    for text in (
        "AllocatePool(PoolType = 0x2) = 0x0",
        "Running from 0x1000 of (x)",
        " | RaiseTPL 0x4",
        "Global tables:",
    ):
        handler.emit(logging.LogRecord("q", logging.INFO, "", 0, text, None, None))
    assert handler.calls == ["AllocatePool"]
    assert "qiling" not in sys.modules


def test_a_row_beside_qemu_has_the_ratio_where_both_came_to_their_end() -> None:
    row = ROWS["plain-kernel"]
    assert cells(row, {"engine": 10.0, "qemu": 5.0})[2:] == ("10.0 s", "5.0 s", "2.00")
    assert cells(row, {"engine": "status 1", "qemu": 5.0})[2:] == ("status 1", "5.0 s", "")
    assert cells(row, {"engine": 1.25, "qemu": None})[2:] == ("1.2 s", "", "")
    assert cells(row, {"skipped": "no archive"})[2:] == ("no archive", "", "")


def test_processor_seconds_are_those_of_the_process_that_ended_well() -> None:
    burn = "import sys, time\nwhile time.process_time() < 0.3: pass\nsys.exit(sys.stdin.read() != 'x')"
    assert isinstance(spent := seconds([sys.executable, "-c", burn], b"x"), float)
    assert 0.3 <= spent < 3
    assert seconds([sys.executable, "-c", burn]) == "status 1"
