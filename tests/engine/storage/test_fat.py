"""The FAT disk made from a volume, read back by an independent reader."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.engine.storage.fat import FatDisk, short_name
from tdvfsh.engine.storage.volumes import ViewVolume

NAMES = (
    st.text(alphabet="abcXYZ019 -_.é", min_size=1, max_size=24)
    .map(str.strip)
    .filter(lambda name: bool(name.strip(". ")) and not name.endswith("."))
)


class Reader:
    """As little of a FAT32 driver as can read a whole tree."""

    def __init__(self, disk: FatDisk) -> None:
        self._disk = disk
        boot = disk.read_disk(0, 512)
        assert boot[510:] == b"\x55\xaa"
        per_sector, per_cluster, reserved, tables = struct.unpack_from("<HBHB", boot, 11)
        assert (per_sector, tables) == (512, 1)
        sectors, root = struct.unpack_from("<I4xI", boot, 36)
        self._cluster = per_cluster * 512
        self._table = disk.read_disk(reserved * 512, sectors * 512)
        self._data = (reserved + sectors) * 512
        self._root = root
        assert (disk.disk_size - self._data) // self._cluster >= 65525  # or it would not be FAT32

    def tree(self) -> dict[str, bytes]:
        return self._folder(self._root, "")

    def _chain(self, cluster: int) -> bytes:
        data = b""
        while 2 <= cluster < 0x0FFFFFF8:
            data += self._disk.read_disk(self._data + (cluster - 2) * self._cluster, self._cluster)
            cluster = struct.unpack_from("<I", self._table, 4 * cluster)[0] & 0x0FFFFFFF
        return data

    def _folder(self, cluster: int, path: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        data = self._chain(cluster)
        long = ""
        for at in range(0, len(data), 32):
            entry = data[at : at + 32]
            if not entry[0]:
                break
            if entry[11] == 0x0F:
                long = (entry[1:11] + entry[14:26] + entry[28:32]).decode("utf-16-le").split("\0")[0] + long
                continue
            if entry[11] & 0x08 or entry[0] == ord("."):
                continue
            stem, extension = entry[:8].decode().rstrip(), entry[8:11].decode().rstrip()
            name = long.rstrip("\uffff") or (f"{stem}.{extension}" if extension else stem)
            long = ""
            first = struct.unpack_from("<H", entry, 20)[0] << 16 | struct.unpack_from("<H", entry, 26)[0]
            size = struct.unpack_from("<I", entry, 28)[0]
            if entry[11] & 0x10:
                found.update(self._folder(first, f"{path}\\{name}"))
            else:
                found[f"{path}\\{name}"] = self._chain(first)[:size] if first else b""
        return found


def disk_of(files: dict[str, bytes]) -> FatDisk:
    return FatDisk(ViewVolume({path: memoryview(data) for path, data in files.items()}))


def test_files_folders_and_long_names_come_back_as_they_were() -> None:
    files = {
        "\\EFI\\debian\\grub.cfg": b"set timeout=0\n",
        "\\vmlinuz-6.12.107+deb13-amd64": bytes(range(256)) * 100,
        "\\README.TXT": b"hello",
        "\\empty": b"",
    }
    assert Reader(disk_of(files)).tree() == files


@given(st.dictionaries(NAMES, st.binary(max_size=9000), max_size=8))
@settings(max_examples=30, deadline=None)
def test_any_tree_comes_back(files: dict[str, bytes]) -> None:
    unique = {name.upper(): name for name in files}
    wanted = {"\\sub\\" + name: files[name] for name in unique.values()}
    assert Reader(disk_of(wanted)).tree() == wanted


def test_short_names_of_one_folder_are_all_different() -> None:
    taken: set[bytes] = set()
    names = [short_name(f"a long name {number}.text", taken) for number in range(120)]
    assert len(set(names)) == 120
    assert all(len(name) == 11 for name in names)


def test_a_sector_in_the_middle_of_a_large_file_costs_no_more_than_itself() -> None:
    reads: list[int] = []

    class Counting(ViewVolume):
        def read(self, parts: object, size: int = -1, offset: int = 0) -> bytes:
            reads.append(size)
            return bytes(size)

    disk = FatDisk(Counting({"\\big": memoryview(bytes(1 << 20))}))
    disk.read_disk(disk.disk_size // 512 // 1024 * 512, 512)
    assert all(size <= 512 for size in reads)
