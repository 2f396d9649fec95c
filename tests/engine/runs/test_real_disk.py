"""A disk made of Debian packages, in a TD: the root file system on it, and data that is written and read back."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tests.engine.runs.test_real_programs import image

pytestmark = [pytest.mark.images, pytest.mark.xdist_group("real firmware")]
SESSION = """\
mount -o remount,rw /
dd if=/dev/urandom of=/root/x bs=64k count=16 2>/dev/null; sync; md5sum < /root/x; echo 3 > /proc/sys/vm/drop_caches
md5sum < /root/x; grep -c PCI-MSIX /proc/interrupts
echo ITS: $(cat /sys/devices/system/cpu/vulnerabilities/indirect_target_selection)
sync; umount -r /; poweroff -f
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The small disk, and its initrd."""
    for name, role in (("disk-kernel-6.12", "kernel"), ("busybox", "tool"), ("grub-2.12", "efi")):
        image(name, role)
    folder = tmp_path_factory.mktemp("disk")
    paths = folder / "small.img", folder / "small.initrd"
    assert main(["images", "make", "disk", "-o", str(paths[0]), "--initrd", str(paths[1])]) == 0
    return paths


def test_a_td_mounts_its_disk_accepts_lazily_and_reads_back_what_it_wrote(
    disk: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = disk[0].read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SESSION.encode())))
    words = ["--initrd", str(disk[1]), "--disk", f"{disk[0]},rw", "--memory", "1G", "--accept", "512M", "--console"]
    kernel = str(image("disk-kernel-6.12", "kernel"))
    cmdline = "root=/dev/vda2 console=ttyS0"
    options = ["--engine", "cpu", "--through-os", "--fast-decompress", "--time-limit", "300", "--cmdline", cmdline]
    assert main(["boot", kernel, *words, *options]) == 0
    console = capfd.readouterr().err
    assert "tdvfsh: root file system on /dev/vda2, ext4" in console
    sums = re.findall(r"^([0-9a-f]{32})  -", console, re.M)
    assert len(sums) == 2
    assert sums[0] == sums[1]
    assert re.search(r"^2\r?$", console, re.M)
    # CPUID and MSRs say that no thunks are needed, which would make a loaded module's pages writable and executable
    assert "x86/mm: Checked W+X mappings: passed, no W+X pages found." in console
    assert re.search(r"^ITS: Not affected\r?$", console, re.M)
    assert "WARNING: CPU" not in console
    assert "in private memory" not in console
    assert "that the guest wrote are dropped" in console
    assert disk[0].read_bytes() == before


def test_a_disk_boots_by_its_own_loader_and_its_kernel_s_accepts_have_names(
    disk: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--engine", "cpu", "--through-os", "--memory", "1G", "--time-limit", "300"]
    assert (
        main(["boot", "--disk", str(disk[0]), *words, "--json", "--until", "root file system on /dev/vda2, ext4"]) == 0
    )
    shown = capfd.readouterr()
    assert "tdvfsh: root file system on /dev/vda2, ext4" in shown.err
    data = json.loads(shown.out)
    assert data["images"]["kernel"]["path"] == "\\EFI\\BOOT\\BOOTX64.EFI"
    assert {"kernel, memblock", "kernel, page allocator"} <= {row["by"] for row in data["os"]["accepts"]}


@pytest.mark.long
def test_a_unified_kernel_image_on_the_esp_boots_to_its_init_and_grub_without_its_configuration_is_told(
    disk: tuple[Path, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--engine", "cpu", "--through-os", "--memory", "1G", "--time-limit", "300"]
    path = tmp_path / "disk.img"
    path.write_bytes(disk[0].read_bytes())
    subprocess.run(["mdel", "-i", f"{path}@@1M", "::/EFI/debian/grub.cfg"], check=True)
    assert main(["boot", "--disk", str(path), *words]) == 1
    assert "it looks for /EFI/debian/grub.cfg" in " ".join(capfd.readouterr().out.split())
    uki = str(image("uki-6.12-cloud", "kernel"))
    subprocess.run(["mcopy", "-o", "-i", f"{path}@@1M", uki, "::/EFI/BOOT/BOOTX64.EFI"], check=True)
    assert main(["boot", "--disk", str(path), *words]) == 0
    shown = capfd.readouterr()
    assert "reboot: Power down" in shown.err
    assert "kernel, page allocator" in shown.out


def test_debian_s_firmware_starts_grub_from_the_disk_and_linux_mounts_its_root_as_a_td(
    disk: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    firmware = str(image("ovmf-2025.02", "firmware"))
    words = ["--disk", str(disk[0]), "--memory", "2G", "--time-limit", "400"]
    words += ["--until", "root file system on /dev/vda2, ext4"]
    assert main(["firmware", "run", firmware, *words]) == 0
    console = capfd.readouterr()
    assert 'starting Boot0001 "UEFI Misc Device" from PciRoot(0x0)/Pci(0x1,0x0)' in console.out
    assert "tdvfsh: root file system on /dev/vda2, ext4" in console.out
    assert "in private memory" not in console.err
