"""Mapped names: FS0:, its block device BLK0:, its consistent name, and names that the user added.

A mounted folder stands as a disk at a port of the q35 machine's AHCI controller, whose device path ``map`` shows.

Source: edk2 ShellPkg/Library/UefiShellCommandLib/ConsistMapping.c (consistent names), UefiShellCommandLib.c (mappings).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tdvfsh.shell.interfaces import FileSystem
    from tdvfsh.uefi.device_path import HardDrive


class Drive:
    """One mounted file system and its names.

    Args:
        index: Number in ``FSn:``.
        filesystem: What is mounted.
        port: Port of the AHCI controller, which the device path and the consistent name show.
        partition: The partition of the disk there that it is on; None where it is the whole disk.
    """

    def __init__(self, index: int, filesystem: FileSystem, port: int, partition: HardDrive | None = None) -> None:
        self.index = index
        self.filesystem = filesystem
        self.port = port
        self.partition = partition

    @property
    def name(self) -> str:
        """``FS0:``."""
        return f"FS{self.index}:"

    @property
    def block_name(self) -> str:
        """``BLK0:``."""
        return f"BLK{self.index}:"

    @property
    def consistent_name(self) -> str:
        """``F0f65535a:``: root bridge 0, port as a letter, no port multiplier, LUN 0; ``HD0f65535a1:`` a partition."""
        if self.partition is not None:
            return f"HD0{letters(self.port)}65535a{self.partition.number}:"
        return f"F0{letters(self.port)}65535a:"

    @property
    def device_path(self) -> str:
        """The device path as text."""
        disk = f"PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x{self.port:X},0xFFFF,0x0)"
        return disk if self.partition is None else f"{disk}/{self.partition}"


def letters(number: int) -> str:
    """A number in firmware's letters: a to z, then ba, bb and so on."""
    text = chr(ord("a") + number % 26)
    while number >= 26:
        number //= 26
        text = chr(ord("a") + number % 26) + text
    return text


class Mapping:
    """A name for a drive, with the current directory that belongs to the name."""

    def __init__(self, name: str, drive: Drive) -> None:
        self.name = name
        self.drive = drive
        self.directory = ""


DriveState = tuple[list[Drive], list[tuple[str, Mapping, str]]]
"""What is kept of a drive table to go back to."""


class DriveTable:
    """All mappings, found by name in any case, with or without colon."""

    def __init__(self) -> None:
        self.drives: list[Drive] = []
        self._mappings: dict[str, Mapping] = {}

    def state(self) -> DriveState:
        """Drives, names and current directories as they are now."""
        return self.drives.copy(), [(key, one, one.directory) for key, one in self._mappings.items()]

    def restore(self, state: DriveState) -> None:
        """Restore what :meth:`state` returned."""
        self.drives = state[0].copy()
        self._mappings = {key: mapping for key, mapping, _ in state[1]}
        for _, mapping, directory in state[1]:
            mapping.directory = directory

    def mount(
        self,
        filesystem: FileSystem,
        *,
        index: int | None = None,
        port: int | None = None,
        partition: HardDrive | None = None,
    ) -> Drive:
        """Add a file system as the next ``FSn:`` (or number ``index``)."""
        number = len(self.drives) if index is None else index
        drive = Drive(number, filesystem, number if port is None else port, partition)
        self.drives = sorted([*(one for one in self.drives if one.index != number), drive], key=lambda one: one.index)
        self.reset()
        return drive

    def reset(self) -> None:
        """Make the default names again and forget the user's (``map -r``); current directories stay."""
        old = self._mappings
        self._mappings = {}
        for drive in self.drives:
            for name in (drive.name, drive.consistent_name, drive.block_name):
                mapping = old.get(name.upper())
                if mapping is None or mapping.drive is not drive:
                    mapping = Mapping(name, drive)
                self._mappings[name.upper()] = mapping

    def find(self, name: str) -> Mapping | None:
        """The mapping called ``name``."""
        upper = name.upper()
        return self._mappings.get(upper if upper.endswith(":") else upper + ":")

    def add(self, name: str, drive: Drive) -> None:
        """Add a name to a drive, after its others; another drive's name is taken from it.

        Quirk of edk2: a name that is given to what it names already is lost (EfiShellSetMap frees what it then reads).
        """
        shown = name if name.endswith(":") else name + ":"
        old = self._mappings.pop(shown.upper(), None)
        if old is None or old.drive is not drive:
            self._mappings[shown.upper()] = Mapping(shown, drive)

    def remove(self, name: str) -> bool:
        """Take a name away, which must have its colon; False where there is none."""
        mapping = self.find(name) if name.endswith(":") else None
        return mapping is not None and self._mappings.pop(mapping.name.upper(), None) is not None

    def names_of(self, drive: Drive) -> list[str]:
        """All names of a drive in the order in which they were given: its own, the consistent one, the block device."""
        return [mapping.name for mapping in self._mappings.values() if mapping.drive is drive]

    def all_names(self) -> list[str]:
        """Every name, for completion."""
        return [mapping.name for mapping in self._mappings.values()]
