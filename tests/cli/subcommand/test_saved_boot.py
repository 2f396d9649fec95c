"""``boot --save`` and ``--resume``: what they refuse, and a real kernel that is saved and continued."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.images.make import make_kernel
from tdvfsh.images.make_init import make_init
from tdvfsh.units import MIB
from tests.cli.subcommand.test_saved_machine import MACHINE, UNTIL, run
from tests.engine.firmware.made_firmware import made_firmware
from tests.engine.saved.made_guest import CODE

LINUX = ("--engine", "cpu", "--through-os", "--fast-decompress", "--memory", "1G", "--cmdline", "console=ttyS0 quiet")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A made kernel, whose code would not run; nothing here gets that far."""
    path = tmp_path_factory.mktemp("kernel") / "vmlinuz"
    make_kernel(path, 8 * MIB, 32 * MIB)
    return str(path)


@pytest.fixture
def of_firmware(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> str:
    """A machine that a run of firmware has saved."""
    firmware, path = tmp_path / "made.fd", str(tmp_path / "machine")
    firmware.write_bytes(made_firmware(CODE))
    assert run(str(firmware), *MACHINE, *UNTIL, "--save", path) == 0
    capfd.readouterr()
    return path


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("", "boot: needs KERNEL, a --disk to boot from, or --resume"),
        ("{kernel} --save m", "--save: needs --engine cpu"),
        ("{kernel} --engine cpu --save m", "--save: needs --through-os"),
        ("{os} --save m --nvram n", "--nvram: not with --save, as the saved machine keeps its variables itself"),
        ("{os} --save m --drop-accept 3", "--drop-accept: not with --save"),
        ("{os} --save m --fault accept:1=OPERAND_BUSY", "--fault: not with --save"),
        ("{os} --save m --share .", "--share: a machine with it cannot be saved or resumed"),
        ("{os} --save m --net user", "--net: a machine with it cannot be saved or resumed"),
        ("{os} --save m --disk {kernel},rw --commit", "--commit: not with --save"),
        ("{os} --save {kernel}", "--save {kernel}: is a file that the machine is made of, and would be lost"),
        ("{os} --save {machine} --disk {machine}", "--save {machine}: is a file that the machine is made of"),
        ("{os} --save m --secure-boot {folder}/", "--secure-boot {folder}/: not with --save"),
        ("--resume {machine} {kernel}", "--kernel: the machine in {machine} has its own; leave it out"),
        ("--resume {machine} --memory 1G", "--memory: the machine in {machine} has its own; leave it out"),
        ("--resume {machine} --commit", "--commit: name the image again"),
        ("--resume {kernel}", "not a saved machine"),
        ("--resume {machine}", "{machine}: a machine of 'tdvfsh firmware run', which continues it with --resume"),
    ],
)
def test_what_cannot_be_saved_or_continued_is_refused_in_one_line(
    tmp_path: Path, kernel: str, of_firmware: str, capfd: pytest.CaptureFixture[str], words: str, why: str
) -> None:
    names = {"kernel": kernel, "machine": of_firmware, "folder": tmp_path, "os": f"{kernel} --engine cpu --through-os"}
    assert main(["boot", *words.format(**names).split()]) in (1, 2)
    shown = capfd.readouterr()
    assert why.format(**names) in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not shown.out


def test_a_boot_that_ends_before_its_kernel_runs_is_not_saved(
    tmp_path: Path, kernel: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "machine"
    assert main(["boot", kernel, "--engine", "cpu", "--through-os", "--save", str(path)]) == 1
    assert "(before the kernel ran)" in capfd.readouterr().err
    assert not path.exists()


@pytest.mark.images
@pytest.mark.long
@pytest.mark.xdist_group("real kernels")
def test_linux_continues_as_if_it_had_not_been_saved(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    init, path = tmp_path / "init.cpio", str(tmp_path / "machine")
    make_init(init, "greetings from user space", show=["/proc/meminfo"])
    words = ("boot", "kernel-6.12-cloud", "--initrd", str(init), *LINUX)

    def shown() -> tuple[str, list[str]]:
        """The console, and the report without the names of files, which are the images' own or paths."""
        one = capfd.readouterr()
        report = one.out[one.out.index("cmdline") :].splitlines()
        return "".join(line for line in one.err.splitlines() if not line.startswith("tdvfsh:")), report

    assert main([*words]) == 0
    whole = shown()
    assert main([*words, "--until", "greetings", "--save", path]) == 0
    first = shown()
    assert main(["boot", "--resume", path]) == 0
    rest = shown()
    assert first[0] + rest[0] == whole[0]
    assert rest[1] == whole[1]
    assert "greetings" in first[0]
    assert "Power down" in rest[0]
    init.write_bytes(init.read_bytes() + b"\0")
    assert main(["boot", "--resume", path]) == 1
    assert f"{init}: not the initrd that the machine was saved with: it was changed since" in capfd.readouterr().err
