"""Files by name or pattern, with the full names that the shell shows.

Results come sorted by full name without regard to case, as firmware sorts them, so that the order never depends on the
host.

Source: edk2 ShellPkg/Application/Shell/ShellProtocol.c (EfiShellOpenFileList, ShellSearchHandle,
EfiShellRemoveDupInFileList).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, NamedTuple
from tdvfsh.shell.drives.drives import Mapping
from tdvfsh.shell.drives.filesystem import FileInfo, FileSystemError
from tdvfsh.shell.drives.paths import clean
from tdvfsh.uefi.patterns import matches

if TYPE_CHECKING:
    from tdvfsh.shell.interfaces import FileSystem


class Found(NamedTuple):
    """One file or directory: the name it was found by, its full name, where it is and what it is."""

    name: str
    full_name: str
    mapping: Mapping
    parts: tuple[str, ...]
    info: FileInfo

    @property
    def is_dot(self) -> bool:
        """Whether it is ``.`` or ``..``."""
        return self.name in (".", "..")

    @property
    def filesystem(self) -> FileSystem:
        """Where it lies."""
        return self.mapping.drive.filesystem


def sort_key(full_name: str) -> str:
    """Order of names in firmware's lists."""
    return full_name.upper()


def search(mapping: Mapping, drive: str, rest: str) -> list[Found]:
    """All entries that fit a pattern.

    Args:
        mapping: The mapping that ``drive`` names.
        drive: The mapping's name as typed, with colon; it begins the full names.
        rest: The cleaned path after it, with wildcards in any of its names.
    """
    found: list[Found] = []
    _walk(mapping, drive, rest, (), None, found)
    unique = {item.full_name: item for item in found}
    return sorted(unique.values(), key=lambda item: sort_key(item.full_name))


def list_directory(mapping: Mapping, drive: str, parts: tuple[str, ...]) -> list[Found]:
    """All entries of a directory in order of their names, after ``.`` and ``..`` below the root; empty where it
    cannot be read.

    Quirk of edk2: entries of the root carry the drive's first name (FS0:), deeper ones the name as typed. ``.`` and
    ``..`` are entries of their own, which a directory's attributes never reach.
    """
    filesystem = mapping.drive.filesystem
    drive = drive if parts else mapping.drive.name
    try:
        entries = filesystem.entries(parts)
    except FileSystemError:
        return []
    listed: list[Found] = []
    if parts:
        for name, target in ((".", parts), ("..", parts[:-1])):
            info = filesystem.info(target)
            if info is not None:
                full_name = clean(_full(drive, (*parts, name)))
                listed.append(Found(name, full_name, mapping, target, info._replace(attributes="d")))
    for info in sorted(entries, key=lambda entry: sort_key(entry.name)):
        listed.append(Found(info.name, _full(drive, (*parts, info.name)), mapping, (*parts, info.name), info))
    return listed


def _full(drive: str, parts: tuple[str, ...]) -> str:
    return drive + "\\" + "\\".join(parts)


def _walk(
    mapping: Mapping, drive: str, pattern: str, parts: tuple[str, ...], parent: Found | None, found: list[Found]
) -> bool:
    """Add what fits below a directory; False where nothing has been found so far.

    Quirk of edk2: a folder in the middle of a pattern with nothing that fits ends the search if none did before.
    """
    pattern = pattern.removeprefix("\\")
    current, separator, rest = pattern.partition("\\")
    if not current and not separator:
        if parent is None:
            info = mapping.drive.filesystem.info(())
            if info is not None:
                found.append(Found("\\", drive + "\\", mapping, (), info))
        else:
            found.append(parent)
        return bool(found)
    for item in list_directory(mapping, drive, parts):
        if not matches(item.name, current):
            continue
        if not separator:
            found.append(item)
        elif not item.is_dot and not _walk(mapping, drive, separator + rest, item.parts, item, found):
            return False
    return bool(found)
