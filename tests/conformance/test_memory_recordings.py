"""The recordings of memory and image services agree, and the runners would notice if they did not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.dxe import main as run_dxe
from tests.conformance.dxe import replay_log
from tests.conformance.memmap import main as run_memmap
from tests.conformance.tally import Tally
from tests.conformance.trace import main as run_trace
from tests.conformance.trace import replay_trace

RECORDINGS = Path(__file__).resolve().parents[1] / "recordings"
ROUNDS = (RECORDINGS, RECORDINGS / "round2")
LOGS = sorted(path for folder in ROUNDS for path in (folder / "dxe").glob("*.log"))
TRACES = sorted(path for folder in ROUNDS for path in (folder / "trace").glob("*.log"))
MAPS = sorted(path for folder in ROUNDS for path in (folder / "memmap").glob("*.sfo")) + sorted(
    path
    for folder in ROUNDS
    for pattern in ("memmap-*.txt", "lsefimmap-*.txt", "getmemorymap-*.log")
    for path in (folder / "maps").glob(pattern)
)
MOST_SKIPPED = 0.04


def skipped_part(tally: Tally) -> float:
    skipped = tally.skipped.total()
    return skipped / (tally.agree + len(tally.differences) + skipped)


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_every_recorded_call_of_the_test_application_and_of_the_walks_agrees(path: Path) -> None:
    tally = replay_log(path)
    assert tally.differences == []
    assert tally.agree > 1400
    assert skipped_part(tally) < MOST_SKIPPED


@pytest.mark.parametrize("path", TRACES, ids=lambda path: path.stem)
def test_every_call_of_real_stubs_loaders_and_the_shell_agrees(path: Path) -> None:
    tally = replay_trace(path)
    assert tally.differences == []
    if path.name.startswith("direct-"):
        assert not tally.skipped


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_every_recorded_map_comes_out_as_it_went_in(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_memmap([str(path)]) == 0
    assert " differ=0 skip=0" in capsys.readouterr().out


def changed(tmp_path: Path, path: Path, old: str, new: str) -> str:
    text = path.read_bytes().decode()
    assert old in text
    copy = tmp_path / path.name
    copy.write_bytes(text.replace(old, new, 1).encode())
    return str(copy)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("out=0x1EB1C000", "out=0x1EB1B000"),
        ("n=0x1 in=0x0 -> SUCCESS out=0x0", "n=0x1 in=0x0 -> NOT_FOUND out=0x0"),
        ("KEY pool 64K changed delta=0x1", "KEY pool 64K changed delta=0x2"),
        ("size=0x19E0 key=set", "size=0x1A10 key=set"),
        (
            "m02-lfanew-0.efi size=0x800 buf=0x1EB1B000 -> UNSUPPORTED",
            "m02-lfanew-0.efi size=0x800 buf=0x1EB1B000 -> LOAD_ERROR",
        ),
        ("EBS good -> SUCCESS", "EBS good -> INVALID_PARAMETER"),
        ("  AT 0x1EB1C000 type=0x1 start=0x1EB1C000 pages=0x1", "  AT 0x1EB1C000 type=0x1 start=0x1EB1C000 pages=0x2"),
    ],
)
def test_a_line_that_is_not_what_firmware_said_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    log = changed(tmp_path, RECORDINGS / "dxe" / "trixie-512M.log", old, new)
    assert run_dxe([log]) == 1
    assert "trixie-512M:" in capsys.readouterr().out.split("\n")[0]


def test_a_trace_with_another_size_is_a_difference_in_the_stub_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = RECORDINGS / "trace" / "direct-trixie-6.12-small-1G.log"
    log = changed(tmp_path, path, "AllocatePool m=0x9 size=0x24", "AllocatePool m=0x9 size=0x28")
    assert run_trace([log]) == 1
    assert "differ=1 " in capsys.readouterr().out


def test_a_map_with_a_changed_total_is_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = RECORDINGS / "memmap" / "trixie-2G.sfo"
    assert run_memmap([changed(tmp_path, path, "2146549760", "2146549761")]) == 1
    assert "expected" in capsys.readouterr().out


@pytest.mark.parametrize("run", [run_dxe, run_trace])
def test_a_log_without_a_map_is_a_difference_and_no_crash(
    run: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty.log"
    empty.write_text("## nothing\n")
    assert callable(run)
    assert run([str(empty)]) == 1
    assert "differ=1" in capsys.readouterr().out
