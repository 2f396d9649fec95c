"""The block device beside QEMU's: the same kernel, disks and commands read the same bytes and leave the same image.

Takes minutes, and QEMU, so that it runs by hand only: ``python -m pytest -m long tests/engine/virtio``.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import sys
from pathlib import Path

import pexpect
import pytest

from tdvfsh.cli.main import main
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.long, pytest.mark.xdist_group("real firmware")]
QEMU = "qemu-system-x86_64"
CMDLINE = "root=/dev/vda2 console=ttyS0 quiet"
SIZE = 16 << 20
COMMANDS = (
    "cat /sys/block/vd?/size /sys/block/vd?/ro | sha256sum",
    "dd if=/dev/vda bs=64k count=128 2>/dev/null | sha256sum",
    "dd if=/dev/vdb bs=512 skip=3 count=4001 2>/dev/null | sha256sum",
    "seq 1 60000 | dd of=/dev/vdb bs=4096 seek=5 conv=notrunc 2>/dev/null",
    "dd if=/dev/vda2 of=/dev/vdb bs=64k count=20 seek=30 conv=notrunc 2>/dev/null",
    "head -c 100000 /dev/vda1 | dd of=/dev/vdb bs=1000 seek=9000 conv=notrunc 2>/dev/null",
    "sync; echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vdb bs=1M 2>/dev/null | sha256sum",
    "poweroff -f",
)  # fmt: skip


def data_disk(folder: Path) -> Path:
    """A disk with bytes that look like chance and are not."""
    folder.mkdir()
    path = folder / "data.img"
    blocks = (hashlib.blake2b(number.to_bytes(8, "little")).digest() for number in range(SIZE // 64))
    path.write_bytes(b"".join(blocks))
    return path


def sums(console: str) -> list[str]:
    """The checksums that the guest has shown."""
    return re.findall(r"^([0-9a-f]{64})  -\r*$", console, re.M)


def in_qemu(kernel: Path, initrd: Path, system: Path, data: Path) -> str:
    """QEMU's console."""
    drives = [f"file={system},if=none,id=a,format=raw,readonly=on", f"file={data},if=none,id=b,format=raw"]
    words = ["-M", "q35", "-m", "512M", "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot"]
    words += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", CMDLINE]
    for name, drive in zip("ab", drives, strict=True):
        words += ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},disable-legacy=on"]
    child = pexpect.spawn(QEMU, words, timeout=400, encoding="utf-8", echo=False)
    console = ""
    for command in COMMANDS:
        child.expect("# ")
        console += str(child.before)
        child.sendline(command)
    child.expect(pexpect.EOF)
    child.close()
    return console + str(child.before)


@pytest.mark.skipif(shutil.which(QEMU) is None, reason="needs QEMU, which is held against")
def test_the_same_commands_read_the_same_bytes_and_leave_the_same_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kernel = Path(image("disk-kernel-6.12", "kernel"))
    system, initrd = tmp_path / "small.img", tmp_path / "small.initrd"
    assert main(["images", "make", "disk", "-o", str(system), "--initrd", str(initrd)]) == 0
    mine, theirs = data_disk(tmp_path / "mine"), data_disk(tmp_path / "theirs")
    before = mine.read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join([*COMMANDS, ""]).encode())))
    capfd.readouterr()
    words = ["--initrd", str(initrd), "--disk", str(system), "--disk", f"{mine},rw", "--commit", "--cmdline", CMDLINE]
    run = ["--engine", "cpu", "--through-os", "--fast-decompress", "--memory", "512M", "--console"]
    assert main(["boot", str(kernel), *words, *run]) == 0
    console = capfd.readouterr().err
    assert "refused" not in console
    found = sums(console)
    assert len(found) == 4
    assert found == sums(in_qemu(kernel, initrd, system, theirs))
    assert mine.read_bytes() == theirs.read_bytes() != before
