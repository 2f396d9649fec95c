"""A disk that boots: GUID partition table, EFI system partition with GRUB, behind shim or not, an ext4 root.

The host's own tools make it from files and folders, so that no root rights are needed.

Source: sfdisk(8), mke2fs(8), debugfs(8), mtools(1), mmdebstrap(1).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from tdvfsh.errors import HostError, UsageError, host_error
from tdvfsh.images.disk.contents import DiskParts, disk_initrd, write_esp
from tdvfsh.images.disk.roots import BusyboxRoot, Root
from tdvfsh.images.disk.tools import TIME, copy_data, find_tools, run_tool
from tdvfsh.lazy_typing import Final
from tdvfsh.units import MIB
from tdvfsh.whole_file import whole_file, write_whole

_SECTOR: Final = 512
_ESP_START: Final = MIB
_ESP_SIZE: Final = 16 * MIB
_ROOT_START: Final = _ESP_START + _ESP_SIZE
_UUID: Final = "74647666-7368-4469-8b00-"
_PACKAGES: Final = {"sfdisk": "fdisk", "mformat": "mtools", "mmd": "mtools", "mcopy": "mtools"}


def make_disk(output: Path, parts: DiskParts, initrd: Path | None = None, root: Root | None = None) -> int:
    """Write the disk.

    Args:
        output: The image.
        parts: What it is made of.
        initrd: Where the disk's initrd is written too, for a direct boot; None for nowhere.
        root: Its root file system; None for busybox, with which the same parts and tools always make the same bytes.

    Returns:
        Bytes of the image.

    Raises:
        UsageError: Both files are one.
        MissingError: The host lacks a tool; the message names its Debian package.
        HostError: A tool failed, or a file cannot be read or written.
        FormatError: A part is not what it should be.
    """
    root = root or BusyboxRoot()
    _check_places(output, initrd)
    tools = find_tools({**_PACKAGES, **root.packages})
    size = _ROOT_START + root.size + MIB
    try:
        with TemporaryDirectory(prefix="tdvfsh-disk-") as name:
            image = Path(name) / "disk.img"
            with image.open("wb") as file:
                file.truncate(size)
            run_tool([tools["sfdisk"], "--quiet", str(image)], _table(root.size))
            _make_esp(image, Path(name) / "esp", parts, tools)
            folder = Path(name) / "root"
            folder.mkdir()
            root.make(image, _ROOT_START, folder, parts, tools)
            with whole_file(output) as file, image.open("rb") as source:
                copy_data(source, file, size)
                file.truncate(size)
                if initrd is not None:
                    write_whole(initrd, disk_initrd(parts))
    except OSError as error:
        raise host_error(f"{gettempdir()}, where the disk is made (TMPDIR)", error) from None
    return size


def _check_places(output: Path, initrd: Path | None) -> None:
    for path in (output, initrd):
        if path is not None and path.exists() and not path.is_file() and not path.is_dir():
            raise HostError(f"{path}: not a file, in which parts can be left out")
    if initrd is not None and output.resolve() == initrd.resolve():
        raise UsageError(f"--initrd {initrd}: is the disk's own file")


def _table(root_size: int) -> str:
    places = (
        (_ESP_START, _ESP_SIZE, "uefi", "657370000001", "ESP"),
        (_ROOT_START, root_size, "linux", "726f6f740002", "root"),
    )
    lines = ["label: gpt", f"label-id: {_UUID}6469736b0000", "unit: sectors"]
    lines += [
        f"start={start // _SECTOR}, size={size // _SECTOR}, type={kind}, uuid={_UUID}{number}, name={name}"
        for start, size, kind, number, name in places
    ]
    return "\n".join([*lines, ""])


def _make_esp(image: Path, folder: Path, parts: DiskParts, tools: Mapping[str, str]) -> None:
    folder.mkdir()
    names = write_esp(folder, parts)
    for name in reversed(names):
        os.utime(folder / name, (TIME, TIME))
    volume = ["-i", f"{image}@@{_ESP_START}"]
    geometry = f"-T {_ESP_SIZE // _SECTOR} -h 16 -s 32 -N 74647666".split()
    run_tool([tools["mformat"], *volume, *geometry, "::"])
    for name in names:
        if (folder / name).is_dir():
            run_tool([tools["mmd"], *volume, f"::{name}"])
        else:
            run_tool([tools["mcopy"], "-m", *volume, str(folder / name), f"::{name}"])
