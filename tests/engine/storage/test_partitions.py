"""Partitions and FAT volumes of disk images: found by their tables, read as they are, and refused where damaged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tdvfsh.cli.main import main
from tdvfsh.engine.storage.drive import Drive
from tdvfsh.engine.storage.partitions import FatVolume, fat_volume, fat_volumes, partitions
from tdvfsh.uefi.filesystem import FileSystemError
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import MIB

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in ("sfdisk", "mformat", "mcopy")),
    reason="sfdisk and mtools make the images",
)
TEXT = bytes(range(256)) * 700
Make = Callable[[str, str], Path]
GPT = "label: gpt\nstart=2048, size=12288, type=U, uuid=11111111-2222-3333-4444-555555555555\nstart=20480, size=4096\n"
MBR = "label: dos\nlabel-id: 0xcafe1234\nstart=2048, size=12288, type=ef\nstart=20480, size=4096, type=83\n"


def tool(*words: str, text: str = "") -> None:
    subprocess.run(words, input=text.encode(), check=True, capture_output=True, env={"PATH": "/usr/sbin:/usr/bin:/bin"})


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Makes an image of 16 MiB: its table, and a FAT volume at an offset."""

    def made(table: str, offset: str) -> Path:
        path, file = tmp_path / "disk.img", tmp_path / "text"
        path.write_bytes(bytes(16 * MIB))
        file.write_bytes(TEXT)
        if table:
            tool("sfdisk", "-q", str(path), text=table)
        place = f"{path}@@{offset}" if offset else str(path)
        tool("mformat", "-i", place, "-v", "BOOTPART", *(["-T", "12288"] if offset else ["-T", "32768"]), "::")
        tool("mmd", "-i", place, "::EFI", "::EFI/A long name of a folder")
        tool("mcopy", "-i", place, str(file), "::EFI/A long name of a folder/Text File.bin")
        return path

    return made


def opened(path: Path) -> Drive:
    return Drive(str(path))


@pytest.mark.parametrize(
    ("table", "offset", "node"),
    [
        (GPT, "1M", "HD(1,GPT,11111111-2222-3333-4444-555555555555,0x800,0x3000)"),
        (MBR, "1M", "HD(1,MBR,0xCAFE1234,0x800,0x3000)"),
        ("", "", None),
    ],
)
def test_a_fat_volume_is_found_by_each_table_and_without_one(
    make: Make, table: str, offset: str, node: str | None
) -> None:
    with opened(make(table, offset)) as disk:
        ((partition, volume),) = fat_volumes(disk)
        assert (None if partition is None else str(partition.node)) == node
        assert len(partitions(disk)) == (2 if table else 0)
        folder = ("efi", "a LONG name of a folder")
        (info,) = volume.entries(folder)
        assert (info.name, info.size, info.is_directory) == ("Text File.bin", len(TEXT), False)
        file = (*folder, "text file.BIN")
        assert volume.read(file) == TEXT
        assert volume.read(file, 300, 1000) == TEXT[1000:1300]
        assert volume.read(file, 300, len(TEXT) - 10) == TEXT[-10:]
        assert volume.info(("EFI",)) is not None
        assert volume.info(("none",)) is None
        assert volume.label == "BOOTPART"


@pytest.mark.parametrize("sectors", [4100, 4109, 4110, 4111, 4117, 4121, 4123, 4124, 4125, 4140, 65800, 66060])
def test_a_volume_at_the_limit_of_its_fat_s_width_is_read_right(tmp_path: Path, sectors: int) -> None:
    path, file = tmp_path / "disk.img", tmp_path / "text"
    path.write_bytes(bytes(sectors * 512))
    tool("mformat", "-i", str(path), "-T", str(sectors), "-c", "1", "-r", "14" if sectors < 8192 else "32", "::")
    data = b"".join(number.to_bytes(4, "little") for number in range((sectors - 600) * 128))
    file.write_bytes(data)
    tool("mcopy", "-i", str(path), str(file), "::whole")
    with opened(path) as disk:
        volume = fat_volume(disk)
        assert volume is not None
        assert volume.read(("whole",)) == data


def test_nothing_is_written_to_it(make: Make) -> None:
    path = make(GPT, "1M")
    before = path.read_bytes()
    with opened(path) as disk:
        ((_, volume),) = fat_volumes(disk)
        attempts: list[Callable[[], object]] = [
            lambda: volume.open_writer(("x",), append=False), lambda: volume.save(("x",), [b"x"]),
            lambda: volume.make_directory(("x",)), lambda: volume.remove(("EFI",)),
            lambda: volume.rename(("EFI",), ("X",)), lambda: volume.set_attributes(("EFI",), "r"),
        ]  # fmt: skip
        for attempt in attempts:
            with pytest.raises(FileSystemError) as refused:
                attempt()
            assert refused.value.status is EfiStatus.EFI_WRITE_PROTECTED
    assert path.read_bytes() == before


def test_the_prompt_shows_a_partition_with_its_device_path_and_reads_its_files(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    image = make(GPT, "1M")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert main(["--fs1", str(image), "-c", "map fs1", "-c", "ls fs1:\\EFI"]) == 0
    shown = capsys.readouterr().out
    assert "FS1: Alias(s):HD0b65535a1:;BLK1:" in shown
    assert "Sata(0x1,0xFFFF,0x0)/HD(1,GPT,11111111-2222-3333-4444-555555555555)\n" in shown
    assert "A long name of a folder" in shown
    assert main(["--fs1", str(image), "-c", "cp fs1:\\EFI\\*\\*.bin fs1:\\"]) != 0


def test_an_image_without_fat_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    assert main(["--fs1", str(path), "-c", "map"]) == 2
    assert capsys.readouterr().err == f"tdvfsh: {path}: a disk image without a FAT volume that can be read\n"


def test_a_folder_that_holds_itself_comes_to_an_end(make: Make) -> None:
    path = make("", "")
    data = bytearray(path.read_bytes())
    at = data.find(b"EFI        \x10")
    entry = data.find(b"ALONGN~1   \x10")
    data[entry + 26 : entry + 28] = data[at + 26 : at + 28]  # its first cluster is its parent's
    path.write_bytes(data)
    with opened(path) as disk:
        volume = fat_volume(disk)
        assert volume is not None
        parts: tuple[str, ...] = ("EFI",)
        for _ in range(100):
            if volume.info(parts) is None:
                break
            parts = (*parts, "A long name of a folder")
        assert len(parts) < 60


@pytest.fixture
def volume_image(make: Make) -> tuple[Path, bytes]:
    """An image that is one volume, and its bytes as they were."""
    path = make("", "")
    return path, path.read_bytes()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60_000), st.integers(0, 255)), min_size=1, max_size=12))
def test_a_volume_with_any_bytes_changed_is_read_or_refused(
    volume_image: tuple[Path, bytes], changes: list[tuple[int, int]]
) -> None:
    path, before = volume_image
    data = bytearray(before)
    for at, value in changes:
        data[at] = value
    path.write_bytes(data)
    with opened(path) as disk:
        volume = fat_volume(disk)
        if volume is not None:
            walk(volume, ())


def walk(volume: FatVolume, parts: tuple[str, ...], depth: int = 4) -> None:
    """Read all files as far as they can be read."""
    try:
        for info in volume.entries(parts)[:50]:
            inner = (*parts, info.name)
            if info.is_directory and depth:
                walk(volume, inner, depth - 1)
            elif not info.is_directory:
                assert len(volume.read(inner)) == info.size
    except FileSystemError:
        pass
