"""``boot --disk`` without a kernel: what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tdvfsh.cli.main import main

CPU = "--engine cpu --through-os"


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ("", 2, "--disk: needs --engine cpu, as a modelled loader reads no disk"),
        ("--engine cpu", 2, "--disk: needs --through-os"),
        (f"{CPU} --grub grubx64.efi", 2, "--grub: needs KERNEL, as a disk's boot loader brings its own"),
        (f"{CPU} --initrd i", 2, "--initrd: needs KERNEL"),
        (f"{CPU} --cmdline quiet", 2, "--cmdline: needs KERNEL"),
        (f"{CPU} --loader direct", 2, "--loader: needs KERNEL"),
        (f"{CPU} --save m", 2, "--save: needs KERNEL, as that of a disk is not known before"),
        (f"{CPU} --drop-accept 3", 2, "--drop-accept: needs KERNEL"),
        (f"{CPU} --fast-decompress", 2, "--fast-decompress: needs KERNEL"),
        (CPU, 1, "disk.img: no FAT volume with \\EFI\\BOOT\\BOOTX64.EFI, which firmware starts"),
    ],
)
def test_a_disk_that_is_not_booted_is_told_why_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str, status: int, why: str
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    assert main(["boot", "--disk", str(disk), *words.split()]) == status
    shown = capfd.readouterr()
    assert why in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not shown.out
