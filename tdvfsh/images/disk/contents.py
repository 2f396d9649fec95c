"""What is on the small disk: an initrd that finds the root file system, a busybox system in it, GRUB's settings.

Source: Linux Documentation/filesystems/ramfs-rootfs-initramfs.rst; busybox's init and its inittab; GRUB's manual; shim
16.1 README.md (DEFAULT_LOADER, which lies beside shim).
"""

from __future__ import annotations

import gzip
import lzma
import stat
from collections.abc import Mapping
from pathlib import Path

from tdvfsh.errors import FormatError
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.images.newc import NewcMember, newc_archive
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.units import MIB

ROOT_UUID: Final = "74647666-7368-4469-8b00-726f6f740001"
_LARGEST_MODULE: Final = 16 * MIB
_PROGRAM: Final = 0o755
_APPLETS: Final = (
    "ash awk basename blkid cat chmod chown chroot clear cmp cp cttyhack cut date dd df diff dirname dmesg du echo "
    "env expr false find free getty grep gunzip gzip halt head hexdump hostname id ifconfig init insmod ip kill less "
    "ln ls lsmod md5sum mkdir mknod mktemp modprobe more mount mv nc nproc od pidof ping poweroff printf ps pwd "
    "readlink reboot rm rmdir route sed seq sh sha256sum sleep sort stat strings stty sync tail tar tee test time top "
    "touch tr true udhcpc umount uname uniq uptime vi wc wget which xargs yes"
)
_INIT: Final = """\
#!/bin/busybox sh
# Loads the disk's driver and mounts what root= names on the command line; with rw, writable.
busybox=/bin/busybox
$busybox mount -t proc proc /proc
$busybox mount -t devtmpfs dev /dev
for module in /lib/*.ko; do $busybox insmod $module; done
root= mode=ro
for word in $($busybox cat /proc/cmdline); do
  case $word in
    root=*) root=${word#root=} ;;
    rw) mode=rw ;;
  esac
done
if $busybox mount -t ext4 -o $mode "$root" /root; then
  $busybox umount /proc
  exec $busybox switch_root /root /sbin/init
fi
echo "tdvfsh: no root file system on '$root'"
exec $busybox sh
"""
_INITTAB: Final = """\
::sysinit:/etc/rc
::respawn:/bin/cttyhack /bin/sh -l
::ctrlaltdel:/bin/reboot -f
::shutdown:/bin/umount -r /
"""
_RC: Final = """\
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
grep -q ' /dev devtmpfs' /proc/mounts || mount -t devtmpfs dev /dev
while read -r device place type rest; do
  [ $place = / ] && root="$device, $type"
done < /proc/mounts
echo "tdvfsh: root file system on $root"
grep -E 'MemTotal|Unaccepted' /proc/meminfo
"""
_GRUB: Final = f"""\
set timeout=0
search --no-floppy --fs-uuid --set=root {ROOT_UUID}
linux /boot/vmlinuz root=/dev/vda2 console=ttyS0 quiet
initrd /boot/initrd.img
boot
"""
_FOLDERS: Final = ("bin", "boot", "dev", "etc", "mnt", "proc", "root", "sbin", "sys", "tmp")


class DiskParts(NamedTuple):
    """Files that the disk is made of.

    Attributes:
        kernel: The kernel.
        modules: Its modules, packed with xz, in the order in which they are loaded.
        busybox: busybox, linked statically.
        grub: GRUB in one EFI program.
        shim: What firmware starts, to start GRUB in turn: the one that its keys allow; None to start GRUB itself.
    """

    kernel: Path
    modules: tuple[Path, ...]
    busybox: Path
    grub: Path
    shim: Path | None = None


def _contents(path: Path) -> bytes:
    with open_mapped(path) as file:
        return file.read_at(0, file.size)


def _unpacked(path: Path) -> bytes:
    """A module as the kernel loads it."""
    try:
        unpacker = lzma.LZMADecompressor()
        data = unpacker.decompress(_contents(path), _LARGEST_MODULE)
    except lzma.LZMAError:
        raise FormatError(str(path), "not packed with xz") from None
    if not unpacker.eof:
        raise FormatError(str(path), "a kernel module that is cut, or very large")
    return data


def disk_initrd(parts: DiskParts) -> bytes:
    """The initrd, packed with gzip; the same parts always produce the same bytes."""
    folders = (NewcMember(name, stat.S_IFDIR | _PROGRAM) for name in (b"bin", b"dev", b"lib", b"proc", b"root"))
    modules = (
        NewcMember(f"lib/{number}-{path.name.removesuffix('.xz')}".encode(), data=_unpacked(path))
        for number, path in enumerate(parts.modules)
    )
    archive = newc_archive(
        (
            *folders,
            NewcMember(b"dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
            NewcMember(b"bin/busybox", stat.S_IFREG | _PROGRAM, _contents(parts.busybox)),
            *modules,
            NewcMember(b"init", stat.S_IFREG | _PROGRAM, _INIT.encode()),
        )
    )
    return gzip.compress(archive, mtime=0)


def write_root(folder: Path, parts: DiskParts) -> None:
    """The root file system, as a folder."""
    folder.chmod(_PROGRAM)
    for name in _FOLDERS:
        (folder / name).mkdir()
        (folder / name).chmod(_PROGRAM)
    for applet in _APPLETS.split():
        (folder / "bin" / applet).symlink_to("busybox")
    (folder / "sbin" / "init").symlink_to("../bin/busybox")
    files: Mapping[str, tuple[int, bytes]] = {
        "bin/busybox": (_PROGRAM, _contents(parts.busybox)),
        "boot/vmlinuz": (0o644, _contents(parts.kernel)),
        "boot/initrd.img": (0o644, disk_initrd(parts)),
        "etc/inittab": (0o644, _INITTAB.encode()),
        "etc/rc": (_PROGRAM, _RC.encode()),
    }
    for name, (mode, data) in files.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(mode)


def write_esp(folder: Path, parts: DiskParts) -> list[str]:
    """The EFI system partition, as a folder; returns its folders and files, a folder before what is in it."""
    names = ("EFI", "EFI/BOOT", "EFI/debian")
    for name in names:
        (folder / name).mkdir()
    loaders = (
        {"BOOTX64.EFI": parts.grub} if parts.shim is None else {"BOOTX64.EFI": parts.shim, "grubx64.efi": parts.grub}
    )
    files = {f"EFI/BOOT/{name}": _contents(path) for name, path in loaders.items()}
    files["EFI/debian/grub.cfg"] = _GRUB.encode()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return [*names, *files]
