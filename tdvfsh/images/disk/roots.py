"""Root file systems of a disk: busybox, the same bytes every time, or Debian's minimal system with systemd."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from pwd import getpwuid

from tdvfsh.errors import HostError, UsageError
from tdvfsh.images.apt import ETC_APT, source_line
from tdvfsh.images.disk.contents import ROOT_UUID, DiskParts, disk_initrd, write_root
from tdvfsh.images.disk.tools import TIME, copy_data, run_tool
from tdvfsh.images.sources import debian_archives
from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.units import KIB, MIB

_TIMES: Final = ("atime", "ctime", "mtime", "crtime")
_EXTRA_TIMES: Final = ("atime_extra", "ctime_extra", "mtime_extra", "crtime_extra")
_SUITE: Final = "trixie"
_ETC: Final = Path("/etc")
_TREE: Final = '"$tree"'
_INSIDE: Final = "tdvfsh-root.ext4"
_MADE: Final = f'"$1"/{_INSIDE}'
_PACKAGE: Final = re.compile("[a-z0-9][a-z0-9.+-]+")
_DEBIAN: Final = ("systemd-sysv", "udev", "login", "procps", "util-linux")


class Root(Protocol):
    """A root file system.

    Attributes:
        size: Bytes of its partition.
        packages: The Debian packages of the tools that it needs, by tool.
    """

    size: int
    packages: Mapping[str, str]

    def make(self, image: Path, offset: int, folder: Path, parts: DiskParts, tools: Mapping[str, str]) -> None:
        """Make it in an image at ``offset``, with an empty folder to work in."""
        ...


def _mke2fs(tool: str, image: Path, offset: int, size: int, root: str, options: Sequence[str] = ()) -> list[str]:
    extended = f"offset={offset},hash_seed={ROOT_UUID},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"
    named = ["-t", "ext4", "-I", "256", "-m", "0", "-L", "root", "-U", ROOT_UUID, "-E", extended, *options]
    return [tool, "-q", "-F", *named, "-d", root, str(image), f"{size // KIB}k"]


class BusyboxRoot:
    """busybox and its applets."""

    size = 44 * MIB
    packages: Mapping[str, str] = {"mke2fs": "e2fsprogs", "debugfs": "e2fsprogs"}

    def make(self, image: Path, offset: int, folder: Path, parts: DiskParts, tools: Mapping[str, str]) -> None:
        """See :class:`Root`."""
        write_root(folder, parts)
        for path in [*folder.rglob("*")][::-1]:
            os.utime(path, (TIME, TIME), follow_symlinks=False)
        run_tool(_mke2fs(tools["mke2fs"], image, offset, self.size, str(folder)))
        self._same_inodes(folder, f"{image}?offset={offset}", tools["debugfs"])

    @staticmethod
    def _same_inodes(root: Path, file_system: str, debugfs: str) -> None:
        """Owner, times and generation of every file, which mke2fs takes from the host or chooses by chance."""
        paths = ["/", "/lost+found", *(f"/{path.relative_to(root)}" for path in sorted(root.rglob("*")))]
        moment = f"@{TIME}"
        values: dict[str, int | str] = {"uid": 0, "gid": 0, "generation": 0}
        values |= dict.fromkeys(_TIMES, moment) | dict.fromkeys(_EXTRA_TIMES, 0)
        commands = [f"sif {path} {field} {value}" for path in paths for field, value in values.items()]
        commands += [f"ssv {field} {moment}" for field in ("mkfs_time", "wtime", "lastcheck")]
        run_tool([debugfs, "-w", "-f", "-", file_system], "\n".join([*commands, "quit\n"]))


class DebianRoot:
    """Debian's minimal system with systemd, by mmdebstrap: in a user namespace where the caller is not root.

    It has no kernel package: the disk's kernel and initrd are in ``/boot``. root logs in without a password.

    Args:
        more: Debian packages beside those, for which there is more room then.

    Raises:
        UsageError: One is not a package's name.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        for name in more:
            if not _PACKAGE.fullmatch(name):
                raise UsageError(f"--package {name}: not the name of a Debian package")
        self._more = more
        self.packages: Mapping[str, str] = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "tar": "tar"}
        if os.geteuid():
            self.packages = {**self.packages, "newuidmap": "uidmap"}
        self.size = 640 * MIB if not more else 1920 * MIB

    def make(self, image: Path, offset: int, folder: Path, parts: DiskParts, tools: Mapping[str, str]) -> None:
        """See :class:`Root`.

        The file system is made inside of the namespace, where root's files are root's, but the caller's are nobody's:
        mmdebstrap itself carries files in and out.
        """
        check_ids(_ETC)
        archives = debian_archives(ETC_APT)
        if not archives:
            raise HostError("this machine's apt sources name no Debian archive")
        for place in (folder, folder.parent):
            place.chmod(0o755)  # a key in it is read inside of the namespace
        initrd, made = folder / "initrd.img", folder / "root.ext4"
        initrd.write_bytes(disk_initrd(parts))
        make = _mke2fs(tools["mke2fs"], Path(_MADE), 0, self.size, _TREE)
        command = " ".join(word if word in (_TREE, _MADE) else shlex.quote(word) for word in make)
        hooks = (
            f"upload {shlex.quote(str(parts.kernel.resolve()))} /boot/vmlinuz",
            f"upload {shlex.quote(str(initrd))} /boot/initrd.img",
            _FINISH.format(command=command),
            f"download /{_INSIDE} {shlex.quote(str(made))}",
        )
        line = source_line(archives[0], _SUITE, folder)
        packages = f"--include={','.join((*_DEBIAN, *self._more))}"
        options = [
            f"--mode={'unshare' if os.geteuid() else 'root'}",
            "--quiet",
            "--variant=minbase",
            "--architectures=amd64",
            packages,
            "--format=null",
        ]
        run_tool(
            [tools["mmdebstrap"], *options, *(f"--customize-hook={hook}" for hook in hooks), _SUITE, "/dev/null", line]
        )
        with made.open("rb") as source, image.open("r+b") as file:
            copy_data(source, file, self.size, offset)


def check_ids(folder: Path) -> None:
    """Whoever is not root needs a range of users for a namespace.

    Args:
        folder: ``/etc``.

    Raises:
        HostError: There is none; the message says how to get one.
    """
    user = os.geteuid()
    if not user:
        return
    try:
        name = getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    if all(_has_range(folder / file, (name, str(user))) for file in ("subuid", "subgid")):
        return
    ids = "--add-subuids 100000-165535 --add-subgids 100000-165535"
    raise HostError(
        f"{name} has no range in {folder}/subuid and {folder}/subgid, which mmdebstrap needs without root; "
        f"as root: usermod {ids} {name}"
    )


def _has_range(file: Path, names: Sequence[str]) -> bool:
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any(line.split(":")[0] in names for line in lines)


_FINISH: Final = """\
set -e
echo '/dev/vda2 / ext4 defaults 0 1' > "$1/etc/fstab"
echo tdvfsh > "$1/etc/hostname"
sed -i 's/^root:[^:]*:/root::/' "$1/etc/shadow"
: > "$1/etc/machine-id"
# what is mounted in it while mmdebstrap works stays out
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
tar -C "$1" --one-file-system --exclude='./proc/*' --exclude='./sys/*' --exclude='./dev/*' -cf - . |
  tar -C "$tree" --numeric-owner -xpf -
{command}
"""
