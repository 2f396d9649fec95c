"""Typed lines in a file that several shells share."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.errors import HostError
from tdvfsh.ui.history_file import KEPT, MOST_BYTES, HistoryFile, default_history_path


def _no_warning(text: str) -> None:
    raise AssertionError(text)


def _open(path: Path) -> HistoryFile:
    return HistoryFile(path, _no_warning)


def test_lines_are_there_in_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "history"
    _open(path).append("echo Größe")
    assert _open(path).entries == ["echo Größe"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_two_shells_see_each_others_lines_in_the_order_typed(tmp_path: Path) -> None:
    one, two = _open(tmp_path / "h"), _open(tmp_path / "h")
    one.append("a")
    two.append("b")
    one.append("c")
    two.refresh()
    assert one.entries == two.entries == ["a", "b", "c"]


def test_lines_of_many_writers_at_once_are_all_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "h"
    program = (
        "import sys\nfrom pathlib import Path\nfrom tdvfsh.ui.history_file import HistoryFile\n"
        "history = HistoryFile(Path(sys.argv[1]), print)\n"
        "for number in range(200): history.append(f'{sys.argv[2]} {number} ' + 'x' * number)\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(path), str(name)]) for name in range(4)]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    expected = sorted(f"{name} {number} " + "x" * number for name in range(4) for number in range(200))
    assert sorted(path.read_text().splitlines()) == expected


def test_a_repeated_line_is_kept_once_and_an_empty_one_never(tmp_path: Path) -> None:
    history = _open(tmp_path / "h")
    for line in ("a", "a", "  ", "", "b\0", "two\nlines", "a"):
        history.append(line)
    assert (tmp_path / "h").read_text() == "a\n"


def test_half_a_line_left_behind_does_not_run_into_the_next(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("whole\nhal")
    history = _open(tmp_path / "h")
    history.append("next")
    assert _open(tmp_path / "h").entries == ["whole", "hal", "next"]


def test_bytes_that_are_no_utf8_come_back_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "h").write_bytes(b"caf\xe9\n\0binary\0\n")
    history = _open(tmp_path / "h")
    assert history.entries == ["caf\udce9"]
    history.append("x\udce9")
    assert (tmp_path / "h").read_bytes().endswith(b"x\xe9\n")


def test_only_the_end_of_a_huge_file_is_read(tmp_path: Path) -> None:
    with (tmp_path / "h").open("wb") as file:
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
    assert _open(tmp_path / "h").entries == ["last"]


def test_a_file_grown_too_long_is_replaced_by_its_end_and_other_shells_go_on(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_text("".join(f"line {number} {'x' * 500}\n" for number in range(2_200)))
    assert path.stat().st_size > MOST_BYTES
    one, two = _open(path), _open(path)
    one.append("first after")
    assert path.stat().st_size <= MOST_BYTES // 2
    assert path.read_text().endswith("\nfirst after\n")
    two.append("second after")
    assert _open(path).entries[-2:] == ["first after", "second after"]
    assert [file.name for file in tmp_path.iterdir()] == ["h"]


def test_memory_holds_a_bounded_number_of_lines(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("".join(f"{number}\n" for number in range(KEPT + 10)))
    entries = _open(tmp_path / "h").entries
    assert (len(entries), entries[-1]) == (KEPT, str(KEPT + 9))


def test_a_file_that_was_deleted_meanwhile_begins_anew(tmp_path: Path) -> None:
    history = _open(tmp_path / "h")
    history.append("a")
    (tmp_path / "h").unlink()
    history.append("b")
    assert (tmp_path / "h").read_text() == "b\n"


def _folder(path: Path) -> None:
    path.mkdir()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/full")


@pytest.mark.parametrize("make", [_folder, _pipe, _device])
def test_what_is_no_file_is_one_warning_and_lines_stay_in_memory(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "h")
    warnings: list[str] = []
    history = HistoryFile(tmp_path / "h", warnings.append)
    history.append("a")
    history.append("b")
    history.refresh()
    assert history.entries == ["a", "b"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"history is not kept: {tmp_path / 'h'}: ")


def test_a_disk_that_fills_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    history = HistoryFile(tmp_path / "h", warnings.append)

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "the disk is full")

    monkeypatch.setattr(os, "pwrite", full)
    history.append("aa")
    history.append("bb")
    assert history.entries == ["aa", "bb"]
    assert warnings == [f"history is not kept: {tmp_path / 'h'}: the disk is full"]


def test_history_that_can_only_be_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h").write_text("old\n")
    real = os.open

    def deny(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", deny)
    warnings: list[str] = []
    assert HistoryFile(tmp_path / "h", warnings.append).entries == ["old"]
    assert len(warnings) == 1


def test_the_file_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_history_path() == tmp_path / "tdvfsh" / "history"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_history_path() == Path("/home/somebody/.local/state/tdvfsh/history")


def test_without_a_home_the_error_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(HostError, match="set XDG_STATE_HOME"):
        default_history_path()
