"""``--save`` and ``--resume``: what the command line makes of them, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.cli.drives import Drives
from tdvfsh.cli.main import main
from tdvfsh.engine.storage.drive import Drive
from tests.engine.firmware.made_firmware import made_firmware
from tests.engine.saved.made_guest import CODE, LETTERS

MACHINE = ("--no-td", "--memory", "128M", "--cost", "kvm-2m")
UNTIL = ("--until", "[a-p]{9}")


@pytest.fixture
def firmware(tmp_path: Path) -> str:
    path = tmp_path / "made.fd"
    path.write_bytes(made_firmware(CODE))
    return str(path)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(1 << 20))
    return path


def run(*words: str) -> int:
    return main(["firmware", "run", *words])


@pytest.fixture
def saved(tmp_path: Path, firmware: str, disk: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """A machine with a disk that it may write."""
    path = str(tmp_path / "machine")
    assert run(firmware, *MACHINE, *UNTIL, "--disk", f"{disk},rw", "--rng", "--save", path) == 0
    assert f"the machine is saved in {path}" in capfd.readouterr().err
    return path


def test_a_saved_machine_brings_all_that_it_was_made_of(
    firmware: str, disk: Path, saved: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(firmware, *MACHINE, "--disk", f"{disk},rw", "--rng") == 0
    console = capfd.readouterr()
    assert run(firmware, *MACHINE, *UNTIL, "--disk", f"{disk},rw", "--rng") == 0
    first = capfd.readouterr().out.rstrip("\n")
    assert run("--resume", saved) == 0
    rest = capfd.readouterr()
    assert first + rest.out == console.out
    assert len(console.out) == LETTERS + 1
    assert rest.err == console.err


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ((), 2, "needs FILE, the firmware, or --resume"),
        (("--resume", "{saved}", "--memory", "1G"), 2, "--memory: the machine in {saved} has its own; leave it out"),
        (("--resume", "{saved}", "--rng"), 2, "--rng: the machine in {saved} has its own; leave it out"),
        (("--resume", "{saved}", "--kernel", "k"), 2, "--kernel: the machine"),
        (("--resume", "{saved}", "--commit"), 2, "--commit: name the image again, with --disk FILE,rw"),
        (("--resume", "{saved}", "--disk", "{disk}"), 2, "has other disks: --disk FILE,rw"),
        (("--resume", "{saved}", "--save", "x", "--commit"), 2, "--commit: not with --save"),
        (("--resume", "{saved}", "--share", "{folder}"), 2, "--share: a machine with it cannot be saved or resumed"),
        (("--resume", "none"), 2, "none: no such file"),
        (("--resume", "{disk}"), 1, "not a saved machine, or one that is cut or damaged"),
        (("--resume", "{folder}"), 1, "is a folder"),
        (("{disk}", "--resume", "{saved}"), 1, "not the firmware that the machine was saved with"),
    ],
)  # fmt: skip
def test_what_cannot_be_continued_is_refused_in_one_line(
    tmp_path: Path, disk: Path, saved: str, capfd: pytest.CaptureFixture[str], words: tuple[str, ...], status: int,
    why: str,
) -> None:  # fmt: skip
    names = {"disk": str(disk), "saved": saved, "folder": str(tmp_path)}
    assert run(*(word.format(**names) for word in words)) == status
    errors = capfd.readouterr().err
    assert why.format(**names) in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("which", ["disk", "firmware"])
def test_a_file_that_was_changed_since_is_refused_by_its_name(
    firmware: str, disk: Path, saved: str, which: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = disk if which == "disk" else Path(firmware)
    data = bytearray(path.read_bytes())
    data[4096] ^= 1
    path.write_bytes(data)
    assert run("--resume", saved) == 1
    assert f"{path}: not the {which} that the machine was saved with: it was changed since" in capfd.readouterr().err


def test_a_disk_that_was_moved_is_named_again(disk: Path, saved: str, tmp_path: Path) -> None:
    disk.rename(tmp_path / "moved.img")
    assert run("--resume", saved) == 2
    assert run("--resume", saved, "--disk", f"{tmp_path / 'moved.img'},rw") == 0


def test_a_machine_that_has_switched_off_is_not_saved(
    firmware: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(firmware, *MACHINE, "--save", str(tmp_path / "machine")) == 1
    why = "only --until, the end of the input, --time-limit and Ctrl-C leave a machine that can go on (power off)"
    assert f"tdvfsh: not saved: {why}" in capfd.readouterr().err
    assert not (tmp_path / "machine").exists()


def test_a_file_that_cannot_be_written_is_one_line(
    firmware: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(firmware, *MACHINE, *UNTIL, "--save", str(tmp_path / "none" / "machine")) == 2
    assert capfd.readouterr().err.splitlines()[-1].endswith("no such file or directory")


def test_what_the_guest_wrote_is_in_the_saved_machine(disk: Path) -> None:
    with Drive(str(disk), writable=True) as drive:
        drive.write_disk(0, b"x" * 512)
        (line,) = Drives([drive], commit=False).close(saved=True)
    assert line.endswith("that the guest wrote are in the saved machine")


@pytest.mark.parametrize("with_disk", [False, True])
def test_firmware_with_a_network_and_nothing_to_boot_is_said_to_look_for_a_server(
    firmware: str, disk: Path, capfd: pytest.CaptureFixture[str], with_disk: bool
) -> None:
    assert run(firmware, *MACHINE, "--net", "user", *(["--disk", str(disk)] if with_disk else [])) == 0
    assert ("looks for a boot server" in capfd.readouterr().err) is not with_disk
