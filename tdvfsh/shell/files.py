"""The files that a shell sees: drives with their current directories, and names looked up along the path.

Source: edk2 ShellPkg/Application/Shell/ShellProtocol.c, ShellPkg/Library/UefiShellLib.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import Final
from tdvfsh.shell.drives.drives import DriveTable, Mapping
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.drives.paths import clean, has_wildcard, items, parent, split_drive
from tdvfsh.shell.drives.search import Found, search
from tdvfsh.shell.environment import Environment
from tdvfsh.units import human_size

MOST_READ: Final = 64 << 20
"""Bytes of a file that the shell itself reads at once; images are mapped, and copies go piece by piece."""


class ShellFiles:
    """Drives and search path of one shell, as far as the script language asks for them.

    Attributes:
        drives: The drives.
        environment: The shell's variables; ``%cwd%`` and ``%path%`` follow the drives.
        current: The mapping of the current drive, or None without drives.
        print: Standard output, of the shell that this is a part of.
    """

    print: Callable[[str], None]

    def __init__(self) -> None:
        self.drives: DriveTable = DriveTable()
        self.environment = Environment()
        self.current: Mapping | None = None

    def default_path(self) -> str:
        """``%path%`` of the drives as they are, with EFI\\Tools and EFI\\Boot of each in front of its root."""
        folders = ("efi\\tools\\", "efi\\boot\\", "")
        return ";".join(f"{drive.name}\\{folder}" for drive in self.drives.drives for folder in folders)

    def remap(self) -> None:
        """``map -r``: default names and default path again; ``%path%`` moves to the end of the variables."""
        self.drives.reset()
        self.environment.set_internal("path", "")
        self.environment.set_internal("path", self.default_path(), volatile=False)

    @property
    def directory(self) -> str:
        """The current directory without a separator at its end: ``FS0:`` or ``FS0:\\w``; empty without a drive."""
        return self.current.name + self.current.directory if self.current is not None else ""

    def change_drive(self, name: str) -> bool:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        mapping = self.drives.find(name)
        if mapping is None:
            return False
        self.current = mapping
        self.environment.set_internal("cwd", self.directory)
        return True

    def change_directory(self, mapping: Mapping, directory: str) -> None:
        """Set a mapping's current directory: empty for the root, else ``\\a\\b``."""
        mapping.directory = directory
        if mapping is self.current:
            self.environment.set_internal("cwd", self.directory)

    def qualify(self, path: str) -> str:
        """A path with drive and folders, cleaned. Nothing is looked up."""
        drive, rest = split_drive(path)
        if drive:
            return clean(path)
        if path.startswith(("\\", "/")):
            return clean((self.current.name if self.current is not None else "") + path)
        path = path[2:] if path.startswith((".\\", "./")) else path
        return clean(f"{self.directory}\\{path}") if self.current is not None else clean(rest)

    def full_path(self, path: str) -> str:
        """See :class:`~tdvfsh.script.host.ScriptHost`; the drive is spelled as ``map`` spells it."""
        drive, rest = split_drive(self.qualify(path))
        mapping = self.drives.find(drive) if drive else None
        return (mapping.name if mapping is not None else drive) + rest

    def locate(self, path: str) -> tuple[Mapping, tuple[str, ...]] | None:
        """The drive and the names of a path, whether or not it exists; None without such a drive."""
        drive, rest = split_drive(self.qualify(path))
        mapping = self.drives.find(drive) if drive else None
        return None if mapping is None else (mapping, items(rest))

    def named(self, path: str) -> tuple[Mapping, tuple[str, ...]] | None:
        """The drive and the names of a path that firmware opens as it stands; None without such a drive.

        Quirk of edk2: only patterns have their slashes turned, so a path with one names no file here.
        """
        return None if "/" in path else self.locate(path)

    def find_files(self, pattern: str) -> list[Found]:
        """All files and directories that a path or pattern names, in order of their full names."""
        drive, rest = split_drive(self.qualify(pattern.strip('"')))
        mapping = self.drives.find(drive) if drive else None
        if mapping is None:
            return []
        found = search(mapping, drive, rest)
        if not found and not has_wildcard(rest):
            mapping.drive.filesystem.info(items(rest))  # which notes a link that leads out
        return found

    def is_directory(self, path: str) -> bool:
        """Whether a path names a directory."""
        located = self.named(path)
        if located is None:
            return False
        info = located[0].drive.filesystem.info(located[1])
        return info is not None and info.is_directory

    def is_file(self, path: str) -> bool:
        """Whether a path names a file."""
        located = self.named(path)
        if located is None:
            return False
        info = located[0].drive.filesystem.info(located[1])
        return info is not None and not info.is_directory

    def file_exists(self, pattern: str) -> bool:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return bool(self.find_files(pattern))

    def file_in_path(self, name: str) -> bool:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return self.find_in_path(name) is not None

    def expand_wildcards(self, pattern: str) -> list[str]:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return [found.full_name for found in self.find_files(pattern)]

    def find_in_path(self, name: str) -> str | None:
        """Path of a file: as it is, in the current directory, or in a folder of ``%path%``."""
        if not name or any(character in name for character in "*?["):
            return None
        if self.is_file(name):
            return name
        if ":" not in name:
            for folder in (self.environment.get("path") or "").split(";"):
                candidate = f"{folder}{'' if folder.endswith(chr(92)) else chr(92)}{name.removeprefix(chr(92))}"
                if folder and self.is_file(candidate):
                    return candidate
        return None

    def find_executable(self, name: str) -> str | None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        return self.find_in_path(name) or self.find_in_path(f"{name}.NSH") or self.find_in_path(f"{name}.EFI")

    def read_file(self, path: str) -> bytes | None:
        """See :class:`~tdvfsh.script.host.ScriptHost`."""
        located = self.named(path)
        if located is None:
            return None
        try:
            filesystem = located[0].drive.filesystem
            data = filesystem.read(located[1], MOST_READ + 1)
        except FileSystemError:
            return None
        if len(data) > MOST_READ:
            self.print(f"{path}: larger than {human_size(MOST_READ)}, the most that is read at once.\n")
            return None
        return data

    def parent_exists(self, path: str) -> bool:
        """Whether the directory that would hold a path is there."""
        return self.is_directory(parent(self.qualify(path)))
