"""A file is there whole, or as it was before."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from tdvfsh.cli.main import main
from tdvfsh.errors import HostError
from tdvfsh.images.make import make_kernel
from tdvfsh.units import MIB
from tdvfsh.whole_file import whole_file, write_whole

SPEC = '[[image]]\nkernel = "linux"\n\n[[grid]]\nmemory = ["1G", "2G"]\naccept = ["128M", "256M"]\n'


def _entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _on_a_full_disk(folder: Path, limit: int, *words: str) -> subprocess.CompletedProcess[str]:
    """The program where no file may grow past ``limit`` bytes."""
    return subprocess.run(
        [sys.executable, "-m", "tdvfsh", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )


def test_a_file_stands_under_its_name_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    with whole_file(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert _entries(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_goes_wrong_in_the_middle_leaves_what_was_there_and_no_rubbish(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")

    def write_half() -> None:
        with whole_file(path) as file:
            file.write(b"half")
            raise error

    with pytest.raises((HostError, KeyboardInterrupt)):
        write_half()
    assert path.read_bytes() == b"before"
    assert _entries(tmp_path) == ["out"]


def test_mode_and_symbolic_link_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "out", tmp_path / "link"
    path.touch()
    path.chmod(0o640)
    link.symlink_to("out")
    write_whole(link, b"new")
    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)


def test_a_new_file_has_the_mode_that_any_new_file_has(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "out", b"")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    path, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(path)
    reader = Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    write_whole(path, b"through")
    reader.join()
    assert (read, path.is_fifo()) == ([b"through"], True)


def test_a_refusal_is_one_line_with_the_name_that_was_given(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no/such/out: no such file or directory"):
        write_whole(f"{tmp_path}/no/such/out", b"")
    with pytest.raises(HostError, match="is a directory"):
        write_whole(tmp_path, b"")


@pytest.mark.parametrize("name", ["boot.html", "boot.svg"])
def test_a_report_that_does_not_fit_on_the_disk_leaves_the_one_before(tmp_path: Path, name: str) -> None:
    make_kernel(tmp_path / "linux", 12 * MIB, 56 * MIB)
    assert main(["boot", str(tmp_path / "linux"), "--trace", str(tmp_path / "boot.jsonl")]) == 0
    (tmp_path / name).write_text("before")
    entries = _entries(tmp_path)
    done = _on_a_full_disk(tmp_path, 4096, "report", "boot.jsonl", "-o", name)
    assert (done.returncode, done.stderr) == (1, f"tdvfsh: {name}: file too large\n")
    assert (tmp_path / name).read_text() == "before"
    assert _entries(tmp_path) == entries


def test_a_journal_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path) -> None:
    make_kernel(tmp_path / "linux", 12 * MIB, 56 * MIB)
    done = _on_a_full_disk(tmp_path, 4096, "boot", "linux", "--trace", "boot.jsonl")
    assert done.returncode == 1
    assert "boot.jsonl: file too large" in done.stderr
    assert _entries(tmp_path) == ["linux"]


@pytest.mark.parametrize(
    ("form", "files"), [("svg", ("success.svg",)), ("png", ("success.png",)), ("html", ("plots.html",))]
)
def test_plots_and_tables_that_do_not_fit_on_the_disk_leave_those_before(
    tmp_path: Path, form: str, files: tuple[str, ...]
) -> None:
    make_kernel(tmp_path / "linux", 12 * MIB, 56 * MIB)
    (tmp_path / "fleet.toml").write_text(SPEC)
    assert main(["sweep", str(tmp_path / "fleet.toml"), "-o", str(tmp_path / "out"), "--jobs", "1"]) == 0
    results = (tmp_path / "out" / "results.jsonl").stat().st_size
    tables = [tmp_path / "out" / name for name in ("results.csv", "results.parquet")]
    before = {table: table.read_bytes() for table in tables if table.exists()}
    for name in files:
        (tmp_path / "out" / name).write_text("before")
    entries = _entries(tmp_path / "out")
    plotted = _on_a_full_disk(tmp_path, 1000, "sweep", "-o", "out", "--plot", form)
    assert (plotted.returncode, plotted.stderr) == (1, f"tdvfsh: out/{files[0]}: file too large\n")
    assert [(tmp_path / "out" / name).read_text() for name in files] == ["before"] * len(files)
    again = _on_a_full_disk(tmp_path, min(1000, results), "sweep", "fleet.toml", "-o", "out", "--jobs", "1")
    assert (again.returncode, again.stderr) == (1, "tdvfsh: out/results.csv: file too large\n")
    assert {table: table.read_bytes() for table in tables if table.exists()} == before
    assert _entries(tmp_path / "out") == entries


def _part_of_a_killed_writer(folder: Path) -> Path:
    """What a process leaves that is killed in the middle of a save."""
    code = (
        "import os, signal, sys\nfrom tdvfsh.whole_file import whole_file\n"
        "with whole_file(sys.argv[1]) as file:\n"
        "    file.write(b'half')\n    file.flush()\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder / "out")], check=False, timeout=60)
    assert done.returncode == -9
    (part,) = folder.glob(".tdvfsh-*.part")
    return part


def test_what_a_killed_process_left_half_written_is_cleared_by_the_next_save(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"before")
    _part_of_a_killed_writer(tmp_path)
    assert (tmp_path / "out").read_bytes() == b"before"
    write_whole(tmp_path / "other", b"after")
    assert _entries(tmp_path) == ["other", "out"]


def test_what_a_living_process_writes_is_left_alone(tmp_path: Path) -> None:
    with whole_file(tmp_path / "first") as file:
        file.write(b"first")
        code = "import sys\nfrom tdvfsh.whole_file import write_whole\nwrite_whole(sys.argv[1], b'second')"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "second")], check=True, timeout=60)
        with whole_file(tmp_path / "third") as inner:
            inner.write(b"third")
    assert {name: (tmp_path / name).read_bytes() for name in _entries(tmp_path)} == {
        "first": b"first",
        "second": b"second",
        "third": b"third",
    }
