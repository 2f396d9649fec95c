"""``boot --disk`` without a kernel: the boot loader on the user's own disk is what is booted."""

from __future__ import annotations

from tdvfsh.boots.open_files import OpenedFiles, read_kernel
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.drives import opened_drives
from tdvfsh.cli.saved_boot import BootWords
from tdvfsh.engine.runs.disk_loader import PLACE, disk_loader
from tdvfsh.errors import HostError, UsageError
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles

_THE_DISK_S: Final = ("initrd", "cmdline", "grub", "loader")
_NEED_THE_KERNEL: Final = ("save", "fast_decompress", "drop_accept")


def disk_boot(arguments: Arguments) -> tuple[OpenedFiles, BootWords]:
    """The boot loader of the first disk that has one, and what the machine is made of.

    Args:
        arguments: The command line, with ``--disk`` and no KERNEL.

    Raises:
        UsageError: An option that does not go with it.
        HostError, FormatError: A disk cannot be read, or none has a boot loader.
        MissingError: The extra that reads partitions and FAT is not installed.
    """
    if not arguments.flag("through_os"):
        raise UsageError("--disk: needs --through-os")
    for name in (*_THE_DISK_S, *_NEED_THE_KERNEL):
        if arguments.flag(name):
            why = "a disk's boot loader brings its own" if name in _THE_DISK_S else "that of a disk is not known before"
            raise UsageError(f"--{name.replace('_', '-')}: needs KERNEL, as {why}")
    with opened_drives(arguments) as drives:
        found = disk_loader(drives.drives)
        names = ", ".join(drive.path for drive in drives.drives)
    if found is None:
        raise HostError(f"{names}: no FAT volume with {PLACE}, which firmware starts; see 'tdvfsh images make disk'")
    kernel = read_kernel(memoryview(found.data), PLACE)
    words = BootWords(
        kernel="",
        initrds=[],
        cmdline="",
        disks=arguments.words("disk"),
        options=arguments.td_options(),
        violation_ve=arguments.text("violation") == "ve",
        grub=False,
        arguments=arguments,
        from_disk=True,
    )
    return OpenedFiles(BootFiles(kernel), ()), words
