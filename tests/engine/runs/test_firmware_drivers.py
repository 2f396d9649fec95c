"""Real drivers of real firmware on disk images: partitions and FAT volumes that programs and LoadImage find."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tdvfsh.cli.main import main
from tdvfsh.engine.runs.firmware_drivers import disk_drivers
from tdvfsh.errors import FormatError
from tests.engine.firmware.made_firmware import made_firmware
from tests.engine.runs.test_real_programs import image

START, SIZE = 2048, 8192  # sectors of the partition
TOOLS = ("sfdisk", "mformat", "mmd", "mcopy")


def tool(*words: str, text: str = "") -> None:
    found = shutil.which(words[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
    assert found is not None
    subprocess.run([found, *words[1:]], input=text.encode(), capture_output=True, check=True, timeout=60)


@pytest.fixture
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A disk with one FAT partition, on which a folder, a text and the UEFI Shell are."""
    if not all(shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin") for name in TOOLS):
        pytest.skip("needs fdisk and mtools")
    path, text = tmp_path / "disk.img", tmp_path / "hello.txt"
    text.write_text("read by the firmware's own driver\n")
    with path.open("wb") as file:
        file.truncate(8 << 20)
    kind = "uefi" if request.param == "gpt" else "ef"
    tool("sfdisk", "-q", str(path), text=f"label: {request.param}\nstart={START}, size={SIZE}, type={kind}\n")
    volume = f"{path}@@{START * 512}"
    tool("mformat", "-i", volume, "-T", str(SIZE), "-h", "16", "-s", "32", "::")
    tool("mmd", "-i", volume, "::EFI")
    tool("mcopy", "-i", volume, str(text), "::EFI/hello.txt")
    tool("mcopy", "-i", volume, str(image("shell", "efi")), "::EFI/again.efi")
    return path


@pytest.mark.images
@pytest.mark.parametrize(("disk", "node"), [("gpt", "HD(1,GPT,"), ("dos", "HD(1,MBR,")], indirect=["disk"])
def test_a_partition_and_its_fat_volume_are_found_and_a_program_on_it_starts(
    disk: Path, node: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = disk.read_bytes()
    lines = "map\r\ntype fs0:\\EFI\\hello.txt\r\nfs0:\\EFI\\again.efi -nostartup\r\necho second\r\nexit\r\nexit\r\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    firmware, shell = str(image("ovmf-2025.02", "firmware")), str(image("shell", "efi"))
    assert main(["exec", "--drivers", firmware, "--fs0", str(disk), shell, "-nostartup"]) == 0
    shown = capfd.readouterr().out
    assert node in shown
    assert "read by the firmware's own driver" in shown
    assert shown.count("UEFI Interactive Shell") == 2
    assert "second" in shown
    assert disk.read_bytes() == before


def test_firmware_without_these_drivers_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "made.fd"
    path.write_bytes(made_firmware(b"\xf4"))
    with pytest.raises(FormatError, match="no driver named DiskIoDxe"):
        disk_drivers(str(path))
    program = tmp_path / "program.efi"
    program.write_bytes(b"MZ")
    assert main(["exec", "--drivers", str(path), str(program)]) == 1
    assert len(capfd.readouterr().err.splitlines()) == 1
