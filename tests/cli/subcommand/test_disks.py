"""``--disk`` and ``--commit``: what is refused before anything runs, and what becomes of what a guest wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.cli.drives import Drives
from tdvfsh.cli.main import main
from tdvfsh.engine.storage.drive import Drive
from tests.engine.firmware.made_firmware import made_firmware
from tests.engine.storage.qcow2_file import qcow2

SIZE = 1 << 20


def image(tmp_path: Path, name: str = "disk.img", data: bytes = bytes(SIZE)) -> str:
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def run(tmp_path: Path, *words: str) -> int:
    """With firmware that reads memory which is not there, so that every run ends at once."""
    firmware = image(tmp_path, "made.fd", made_firmware(b"\xa1\0\0\0\x40\xf4"))
    return main(["firmware", "run", firmware, "--memory", "512M", *words])


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (("--disk", "none.img"), 2, "none.img: no such file"),
        (("--disk", ",rw"), 2, "names no file"),
        (("--disk", "{disk},ro"), 2, "only ,rw can follow the file"),
        (("--commit",), 2, "--commit: needs a --disk FILE,rw"),
        (("--disk", "{disk}", "--commit"), 2, "--commit: needs a --disk FILE,rw"),
        (("--disk", "{qcow2},rw", "--commit"), 2, "is a qcow2 image, which is only read"),
        (("--disk", "{disk},rw", "--disk", "{disk},rw", "--commit"), 2, "is named twice"),
        (("--disk", "{short}"), 1, "shorter than a sector"),
        (("--disk", "{folder}"), 1, "is a folder"),
        (("--disk", "{disk}",) * 30, 2, "more than"),
        (("--share", "none"), 2, "none: no such file"),
        (("--share", "{disk}"), 1, "not a folder"),
        (("--share", ",rw"), 2, "names no folder"),
        (("--share", "{folder}", "--save", "{folder}/m"), 2, "--share: a machine with it cannot be saved"),
        (("--disk", "{disk}", "--save", "{disk}"), 2, "disk.img: is a file that the machine is made of"),
        (("--net", "user", "--save", "{folder}/m"), 2, "--net: a machine with it cannot be saved"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_disk_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, why: str
) -> None:
    files = {
        "disk": image(tmp_path),
        "qcow2": image(tmp_path, "d.qcow2", qcow2(SIZE, {})),
        "short": image(tmp_path, "short.img", b"x"),
        "folder": str(tmp_path),
    }
    assert run(tmp_path, *(word.format(**files) for word in words)) == status
    errors = capfd.readouterr().err
    assert why in errors
    assert len(errors.splitlines()) == 1


def test_a_run_with_disks_leaves_the_images_as_they_are(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    disk = image(tmp_path)
    assert run(tmp_path, "--disk", f"{disk},rw", "--rng", "--virtio-console", "--share", str(tmp_path), "--commit") == 1
    assert Path(disk).read_bytes() == bytes(SIZE)
    assert "written" not in capfd.readouterr().err


def test_a_run_that_is_aborted_commits_nothing(tmp_path: Path) -> None:
    path = image(tmp_path)
    with Drive(path, writable=True) as drive:
        drive.write_disk(512, b"k" * 512)
        (line,) = Drives([drive], commit=True).close(aborted=True)
    assert "the run was aborted" in line
    assert Path(path).read_bytes() == bytes(SIZE)


@pytest.mark.parametrize("commit", [False, True])
def test_the_end_of_a_run_tells_what_was_written_and_what_became_of_it(tmp_path: Path, commit: bool) -> None:
    path = image(tmp_path)
    with Drive(path, writable=True) as drive:
        drive.write_disk(512, b"k" * 512)
        lines = Drives([drive], commit).close()
    assert lines == [
        f"tdvfsh: {path}: 64 KiB written"
        if commit
        else f"tdvfsh: {path} is as it was; 64 KiB that the guest wrote are dropped (--commit keeps them)"
    ]
    assert (Path(path).read_bytes()[512:1024] == b"k" * 512) is commit
