"""Disk images as drives: what is written stays in memory, commits are whole, and files that change are noticed."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import tracemalloc
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.storage.drive import Drive, open_drive
from tdvfsh.engine.storage.overlay import CHUNK, Overlay
from tdvfsh.errors import FormatError, MissingError, TdvfshError, UsageError
from tdvfsh.uefi.filesystem import FileSystemError
from tests.engine.storage.qcow2_file import CLUSTER, compressed_qcow2, qcow2
from tests.engine.virtio.disk import MemoryDisk

SIZE = 3 * CHUNK + 1024


def image(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "disk.img"
    path.write_bytes(data)
    return str(path)


def test_a_drive_is_read_only_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = image(tmp_path, bytes(range(256)) * 4)
    with open_drive(path) as drive:
        assert not drive.writable
        assert drive.disk_size == 1024
        assert drive.read_disk(512, 512) == bytes(range(256)) * 2
    with open_drive(f"{path},rw") as drive:
        assert drive.writable


def test_what_is_written_stays_in_memory_until_it_is_committed(tmp_path: Path) -> None:
    before = os.urandom(SIZE)
    path = image(tmp_path, before)
    Path(path).chmod(0o640)
    with Drive(path, writable=True) as drive:
        drive.write_disk(CHUNK - 512, b"x" * 1024)
        drive.write_disk(SIZE - 512, b"y" * 512)
        assert Path(path).read_bytes() == before
        assert drive.read_disk(CHUNK - 512, 1024) == b"x" * 1024
        assert drive.commit() == 3 * CHUNK - (CHUNK - 1024) + CHUNK - 1024
    after = Path(path).read_bytes()
    assert after == before[: CHUNK - 512] + b"x" * 1024 + before[CHUNK + 512 : -512] + b"y" * 512
    assert Path(path).stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["disk.img"]


def test_a_commit_keeps_holes_and_what_lies_beyond_the_last_whole_sector(tmp_path: Path) -> None:
    path = tmp_path / "sparse.img"
    with path.open("wb") as file:
        file.seek(64 << 20)
        file.write(b"end")
    with Drive(str(path), writable=True) as drive:
        assert drive.disk_size == 64 << 20
        drive.write_disk(0, b"z" * 512)
        drive.commit()
    assert path.stat().st_size == (64 << 20) + 3
    assert path.stat().st_blocks * 512 < 4 << 20
    assert path.read_bytes()[-3:] == b"end"
    assert path.read_bytes()[:512] == b"z" * 512


def test_an_image_that_another_program_changes_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path, bytes(4096))
    with Drive(path, writable=True) as drive:
        drive.read_disk(0, 512)
        drive.write_disk(0, b"a" * 512)
        with open(path, "r+b") as file:
            file.write(b"b")
        os.utime(path, ns=(1, 1))
        with pytest.raises(FormatError, match="changed by another program"):
            drive.read_disk(1024, 512)
        with pytest.raises(FormatError, match="changed by another program"):
            drive.commit()
        assert Path(path).read_bytes()[:1] == b"b"


def test_another_file_in_the_image_s_place_is_not_written_over(tmp_path: Path) -> None:
    path = image(tmp_path, bytes(4096))
    with Drive(path, writable=True) as drive:
        drive.write_disk(0, b"a" * 512)
        (tmp_path / "new").write_bytes(b"new" * 512)
        os.replace(tmp_path / "new", path)
        assert drive.read_disk(1024, 512) == bytes(512)
        with pytest.raises(FormatError, match="was replaced or removed while the guest used it"):
            drive.commit()
        assert Path(path).read_bytes() == b"new" * 512
        os.unlink(path)
        with pytest.raises(FormatError, match="was replaced or removed"):
            drive.check_unchanged()
        assert not os.listdir(tmp_path)


def test_an_image_that_is_cut_while_it_is_used_is_refused(tmp_path: Path) -> None:
    path = image(tmp_path, bytes(SIZE))
    with Drive(path) as drive:
        os.truncate(path, 512)
        with pytest.raises(FormatError, match="changed"):
            drive.read_disk(CHUNK, 512)


@pytest.mark.parametrize("data", [b"", b"x" * 511])
def test_what_is_shorter_than_a_sector_is_not_a_disk(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(FormatError, match="shorter than a sector"):
        Drive(image(tmp_path, data))


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        open_drive(",rw")
    with pytest.raises(MissingError):
        open_drive(str(tmp_path / "none"))
    os.mkfifo(tmp_path / "fifo")
    for name in (tmp_path, tmp_path / "fifo"):
        with pytest.raises(FormatError):
            open_drive(str(name))


def test_the_overlay_takes_no_more_memory_than_it_may() -> None:
    disk = MemoryDisk(4 * CHUNK // 512)
    overlay = Overlay(disk, 2 * CHUNK)
    overlay.write_disk(0, bytes(CHUNK))
    overlay.write_disk(3 * CHUNK, bytes(512))
    with pytest.raises(FileSystemError):
        overlay.write_disk(CHUNK, bytes(512))
    overlay.write_disk(3 * CHUNK + 512, b"q" * 512)
    assert overlay.is_full
    assert overlay.read_disk(3 * CHUNK + 512, 512) == b"q" * 512
    assert overlay.written_bytes == 2 * CHUNK


@given(st.lists(st.tuples(st.integers(0, SIZE // 512 - 1), st.integers(1, 300), st.binary(min_size=1, max_size=1))))
def test_an_overlay_reads_as_a_disk_that_was_written(writes: list[tuple[int, int, bytes]]) -> None:
    disk = MemoryDisk(SIZE // 512)
    expected, overlay = bytearray(disk.data), Overlay(disk)
    for sector, count, byte in writes:
        data = byte * (min(count, SIZE // 512 - sector) * 512)
        overlay.write_disk(sector * 512, data)
        expected[sector * 512 : sector * 512 + len(data)] = data
    assert overlay.read_disk(0, SIZE) == expected
    for offset, data in overlay.chunks():
        assert expected[offset : offset + len(data)] == data


# ---- qcow2 ----------------------------------------------------------------------------------------------------------


def test_a_qcow2_image_reads_as_its_disk(tmp_path: Path) -> None:
    path = image(tmp_path, qcow2(1 << 20, {2: b"a" * CLUSTER, 7: b"b" * 100}))
    with Drive(path, writable=True) as drive:
        assert not drive.is_raw
        assert drive.disk_size == 1 << 20
        assert drive.read_disk(2 * CLUSTER - 512, 1024) == bytes(512) + b"a" * 512
        assert drive.read_disk(7 * CLUSTER, 512) == b"b" * 100 + bytes(412)
        drive.write_disk(0, b"c" * 512)
        assert drive.read_disk(0, 1024) == b"c" * 512 + bytes(512)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backing": 0x200, "backing_size": 5}, "backing file"),
        ({"crypt": 1}, "encrypted"),
        ({"version": 1}, "version 1"),
        ({"cluster_bits": 40}, "clusters of"),
        ({"size": 1 << 60}, "a disk of"),
        ({"size": 1 << 40}, "first table"),
        ({"l1_size": 0x7FFFFFFF}, "first table"),
        ({"l1": 1 << 40}, "first table"),
        ({"incompatible": 1}, "not closed cleanly"),
        ({"incompatible": 2}, "corrupt"),
        ({"incompatible": 4}, "another file"),
        ({"incompatible": 16}, "extended"),
        ({"incompatible": 1 << 40}, "unknown feature 40"),
    ],
)
def test_a_qcow2_image_that_cannot_be_read_is_refused_by_name(
    tmp_path: Path, fields: dict[str, int], words: str
) -> None:
    values = {"size": 1 << 20} | fields
    with pytest.raises(FormatError, match=words):
        Drive(image(tmp_path, qcow2(values.pop("size"), {0: b"x"}, **values)))


@pytest.mark.parametrize(("place", "why"), [(1 << 50, "beyond the end"), (512 + 4 * CLUSTER, "not where a cluster")])
def test_a_table_that_is_not_there_is_refused(tmp_path: Path, place: int, why: str) -> None:
    data = bytearray(qcow2(1 << 20, {0: b"x" * CLUSTER}))
    struct.pack_into(">Q", data, 3 * CLUSTER, 1 << 63 | place)
    with Drive(image(tmp_path, bytes(data))) as drive, pytest.raises(FormatError, match=f"has a table .*{why}"):
        drive.read_disk(0, CLUSTER)


def test_a_compressed_qcow2_image_reads_as_its_disk(tmp_path: Path) -> None:
    clusters = {number: bytes((number * 7 + byte // 64) % 256 for byte in range(CLUSTER)) for number in range(12)}
    for shift in range(4):  # a packed cluster lies anywhere, across sectors too
        path = image(tmp_path, compressed_qcow2(1 << 20, clusters, shift))
        with Drive(path) as drive:
            assert drive.read_disk(0, 12 * CLUSTER) == b"".join(clusters.values())
            assert drive.read_disk(5 * CLUSTER + 512, 1024) == clusters[5][512:1536]
            assert drive.read_disk(12 * CLUSTER, CLUSTER) == bytes(CLUSTER)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (1 << 63 | 1 << 50, "lies beyond the end of the file"),
        (1 << 63 | 5 * CLUSTER + 512, "is not where a cluster can be"),
        (1 << 63 | 5 * CLUSTER + CLUSTER - 512, "is not where a cluster can be"),
        (1 << 62 | 1 << 49, "is compressed and cannot be unpacked"),
        (1 << 62 | 5 * CLUSTER, "is compressed and cannot be unpacked"),
    ],
)
def test_a_cluster_that_is_not_there_is_refused(tmp_path: Path, entry: int, why: str) -> None:
    data = bytearray(qcow2(1 << 20, {0: b"x" * CLUSTER}))
    struct.pack_into(">Q", data, 4 * CLUSTER, entry)
    with Drive(image(tmp_path, bytes(data))) as drive, pytest.raises(FormatError, match=f"the disk at 0x(0|200) {why}"):
        drive.read_disk(512, 512)


def test_a_packed_cluster_that_unpacks_to_more_costs_no_more(tmp_path: Path) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush()
    data = bytearray(qcow2(1 << 20, {0: b"x" * CLUSTER, 1: b""}))
    data[5 * CLUSTER : 5 * CLUSTER + len(bomb)] = bomb
    struct.pack_into(">Q", data, 4 * CLUSTER, 1 << 62 | 0xFF << 54 | 5 * CLUSTER)
    with Drive(image(tmp_path, bytes(data))) as drive:
        tracemalloc.start()
        assert drive.read_disk(0, CLUSTER) == bytes(CLUSTER)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()


def test_a_cut_image_is_refused_where_it_ends(tmp_path: Path) -> None:
    data = qcow2(1 << 20, {0: b"x" * CLUSTER, 1: b"y" * CLUSTER})
    with Drive(image(tmp_path, data[:-512])) as drive:
        assert drive.read_disk(CLUSTER, 512) == b"y" * 512
        with pytest.raises(FormatError, match="beyond the end of the file"):
            drive.read_disk(2 * CLUSTER - 512, 512)


def test_zeros_are_a_flag_of_version_3(tmp_path: Path) -> None:
    data = bytearray(qcow2(1 << 20, {0: b"x" * CLUSTER}))
    struct.pack_into(">Q", data, 4 * CLUSTER, 1 << 63 | 5 * CLUSTER | 1)
    with Drive(image(tmp_path, bytes(data))) as drive:
        assert drive.read_disk(0, 512) == bytes(512)
    struct.pack_into(">I", data, 4, 2)
    with Drive(image(tmp_path, bytes(data))) as drive, pytest.raises(FormatError, match="a flag of version 3"):
        drive.read_disk(0, 512)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img makes the images")
@pytest.mark.parametrize("options", ["", "cluster_size=512", "cluster_size=2M", "compat=0.10"])
@pytest.mark.parametrize("packed", [False, True])
def test_what_qemu_img_converts_reads_as_the_raw_image(tmp_path: Path, options: str, packed: bool) -> None:
    raw, path = tmp_path / "raw", tmp_path / "qcow2"
    generator = random.Random(1)
    pieces = [bytes(generator.choice(b"abcdefgh") for _ in range(4096)) * 16, bytes(CLUSTER), b"z" * CLUSTER]
    data = b"".join(generator.choice(pieces) for _ in range(40)) + generator.randbytes(CLUSTER + 512)
    raw.write_bytes(data)
    words = ["qemu-img", "convert", *(["-c"] if packed else []), "-O", "qcow2", *(["-o", options] if options else [])]
    subprocess.run([*words, "-f", "raw", str(raw), str(path)], check=True)
    with Drive(str(path)) as drive:
        assert drive.disk_size == len(data)
        assert drive.read_disk(0, len(data)) == data


@given(st.binary(max_size=200), st.integers(0, 5 * CLUSTER), st.integers(0, 6 * CLUSTER))
def test_a_damaged_qcow2_image_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, end: int
) -> None:
    data = bytearray(qcow2(1 << 20, {0: b"x" * CLUSTER}))
    data[at : at + len(junk)] = junk
    path = image(tmp_path_factory.mktemp("qcow2"), bytes(data[:end]))
    try:
        with Drive(path) as drive:
            drive.read_disk(0, min(drive.disk_size, 1 << 20))
    except TdvfshError:
        pass
