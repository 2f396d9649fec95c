"""A small disk that boots: GUID partition table, EFI system partition with GRUB, ext4 root with busybox.

The host's own tools make it from files and folders, so that no root rights are needed; the same parts and tools always
produce the same bytes.

Source: sfdisk(8), mke2fs(8), debugfs(8), mtools(1).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tdvfsh.errors import HostError, MissingError, host_error
from tdvfsh.images.disk.contents import ROOT_UUID, DiskParts, disk_initrd, write_esp, write_root
from tdvfsh.units import MIB
from tdvfsh.whole_file import replacing

_TIME: Final = 1735689600
"""2025-01-01, of every file on it."""
_SECTOR: Final = 512
_ESP_START: Final = MIB
_ESP_SIZE: Final = 16 * MIB
_ROOT_START: Final = _ESP_START + _ESP_SIZE
_ROOT_SIZE: Final = 44 * MIB
_SIZE: Final = _ROOT_START + _ROOT_SIZE + MIB
_TABLE: Final = f"""\
label: gpt
label-id: 74647666-7368-4469-8b00-6469736b0000
unit: sectors
start={_ESP_START // _SECTOR}, size={_ESP_SIZE // _SECTOR}, type=uefi, uuid=74647666-7368-4469-8b00-657370000001, name=ESP
start={_ROOT_START // _SECTOR}, size={_ROOT_SIZE // _SECTOR}, type=linux, uuid=74647666-7368-4469-8b00-726f6f740002, name=root
"""  # noqa: E501
_PACKAGES: Final = {"sfdisk": "fdisk", "mke2fs": "e2fsprogs", "debugfs": "e2fsprogs", "mformat": "mtools"}
_PACKAGES_OF_MTOOLS: Final = {"mmd": "mtools", "mcopy": "mtools"}
_FOLDERS: Final = "/usr/sbin:/sbin:/usr/local/sbin"
_SETTINGS: Final = {
    "LC_ALL": "C",
    "TZ": "UTC",
    "MTOOLS_SKIP_CHECK": "1",
    "SOURCE_DATE_EPOCH": str(_TIME),
    "E2FSPROGS_FAKE_TIME": str(_TIME),
    "MKE2FS_DETERMINISTIC": "1",
}
_TIMES: Final = ("atime", "ctime", "mtime", "crtime")
_EXTRA_TIMES: Final = ("atime_extra", "ctime_extra", "mtime_extra", "crtime_extra")


def make_disk(output: Path, parts: DiskParts, initrd: Path | None = None) -> int:
    """Write the disk.

    Args:
        output: The image.
        parts: What it is made of.
        initrd: Where the disk's initrd is written too, for a direct boot; None for nowhere.

    Returns:
        Bytes of the image.

    Raises:
        MissingError: The host lacks a tool; the message names its Debian package.
        HostError: A tool failed, or a file cannot be read or written.
        FormatError: A part is not what it should be.
    """
    tools = _tools()
    try:
        with TemporaryDirectory(prefix="tdvfsh-disk-") as name:
            folder = Path(name)
            image = _image(folder, parts, tools)
            with replacing(output) as file:
                file.truncate(_SIZE)
                for start, size in ((0, _ROOT_START), (_ROOT_START, _ROOT_SIZE + MIB)):
                    with image.open("rb") as source:
                        source.seek(start)
                        _copy_data(source.read(size), file.fileno(), start)
            if initrd is not None:
                with replacing(initrd) as file:
                    file.write(disk_initrd(parts))
    except OSError as error:
        raise host_error(output, error) from None
    return _SIZE


def _tools() -> dict[str, str]:
    path = os.pathsep.join((os.environ.get("PATH", ""), _FOLDERS))
    found = {}
    for name, package in (_PACKAGES | _PACKAGES_OF_MTOOLS).items():
        tool = shutil.which(name, path=path)
        if tool is None:
            raise MissingError(f"{name}: not on this machine, which makes a disk with it; it is in Debian's {package}")
        found[name] = tool
    return found


def _image(folder: Path, parts: DiskParts, tools: dict[str, str]) -> Path:
    image, root, esp = folder / "disk.img", folder / "root", folder / "esp"
    root.mkdir()
    esp.mkdir()
    write_root(root, parts)
    names = write_esp(esp, parts)
    _set_times(folder)
    with image.open("wb") as file:
        file.truncate(_SIZE)
    _run([tools["sfdisk"], "--quiet", str(image)], _TABLE)
    volume = f"{image}@@{_ESP_START}"
    _run(
        [
            tools["mformat"],
            "-i",
            volume,
            "-T",
            str(_ESP_SIZE // _SECTOR),
            "-h",
            "16",
            "-s",
            "32",
            "-N",
            "74647666",
            "::",
        ]
    )
    for name in names:
        if (esp / name).is_dir():
            _run([tools["mmd"], "-i", volume, f"::{name}"])
        else:
            _run([tools["mcopy"], "-m", "-i", volume, str(esp / name), f"::{name}"])
    options = f"offset={_ROOT_START},hash_seed={ROOT_UUID},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"
    command = [tools["mke2fs"], "-q", "-F", "-t", "ext4", "-I", "256", "-m", "0", "-L", "root", "-U", ROOT_UUID]
    _run([*command, "-E", options, "-d", str(root), str(image), f"{_ROOT_SIZE // 1024}k"])
    _same_inodes(root, image, tools["debugfs"])
    return image


def _set_times(folder: Path) -> None:
    for path in [*folder.rglob("*")][::-1]:
        os.utime(path, (_TIME, _TIME), follow_symlinks=False)


def _same_inodes(root: Path, image: Path, debugfs: str) -> None:
    """Owner, times and generation of every file, which mke2fs takes from the host or chooses by chance."""
    paths = ["/", "/lost+found", *(f"/{path.relative_to(root)}" for path in sorted(root.rglob("*")))]
    moment = f"@{_TIME}"
    values: dict[str, int | str] = {"uid": 0, "gid": 0, "generation": 0}
    values |= dict.fromkeys(_TIMES, moment) | dict.fromkeys(_EXTRA_TIMES, 0)
    commands = [f"sif {path} {field} {value}" for path in paths for field, value in values.items()]
    commands += [f"ssv {field} {moment}" for field in ("mkfs_time", "wtime", "lastcheck")]
    _run([debugfs, "-w", "-f", "-", f"{image}?offset={_ROOT_START}"], "\n".join([*commands, "quit\n"]))


def _run(command: Sequence[str], text: str = "") -> None:
    """A tool; what it says is shown only where it fails."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MTOOLS", "E2FS", "MKE2FS"))}
    ended = subprocess.run(
        command, input=text.encode(), capture_output=True, env=settings | _SETTINGS, check=False, timeout=300
    )
    if ended.returncode:
        said = (ended.stderr or ended.stdout).decode("utf-8", "replace").strip().splitlines() or ["nothing"]
        raise HostError(f"{Path(command[0]).name} failed with status {ended.returncode}: {said[-1]}")


def _copy_data(data: bytes, descriptor: int, start: int) -> None:
    """Write what is not zero: the rest stays a hole."""
    for at in range(0, len(data), MIB):
        piece = data[at : at + MIB]
        if piece.strip(b"\0"):
            os.pwrite(descriptor, piece, start + at)
