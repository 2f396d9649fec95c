"""``ls``.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib/Ls.c.
"""

from __future__ import annotations

import time

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag, Option, Text
from tdvfsh.shell.drives.filesystem import BLOCK_SIZE, FileInfo, FileSystemError
from tdvfsh.shell.drives.paths import clean, parent
from tdvfsh.shell.drives.search import Found, sort_key

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_ALL = frozenset("ashrd")


class _Wanted:
    """Arguments of ``ls``; ``attributes`` is None without ``-a``."""

    __slots__ = ("attributes", "recursive", "sfo")

    def __init__(self, attributes: frozenset[str] | None, *, sfo: bool, recursive: bool) -> None:
        self.attributes = attributes
        self.sfo = sfo
        self.recursive = recursive

    def shows(self, info: FileInfo) -> bool:
        """Whether an entry is listed: without ``-a`` all but hidden and system files."""
        have = set(info.attributes)
        if self.attributes is None:
            return not have & {"s", "h"}
        return self.attributes <= have


@command("ls", level=2)
def ls(
    shell: Shell,
    path: FilePath | None = None,
    *,
    r: Flag = False,
    a: Annotated[Text | None, Option("-a", prefix=True)] = None,
    sfo: Flag = False,
) -> ShellStatus:
    """List the contents of a directory, or files that fit a pattern.

    SYNOPSIS:
        ls [-r] [-a[attributes]] [-sfo] [path]

    OPTIONS:
        -r: Go into all directories below.
        -a: Show hidden and system files too; with letters after it, only entries that have all of these attributes:
            a archive, s system, h hidden, r read-only, d directory.
        -sfo: Print Standard-Format Output.
        path: A directory, file or pattern; the current directory without it.

    DESCRIPTION:
        Entries come in order of their names.

    EXAMPLES:
        Hide all programs:
        attrib +s +h *.efi
        List what is not hidden:
        ls
        List everything:
        ls -a
        List read-only files:
        ls -ar
        List a file if it has the system attribute:
        ls -as isabus.efi
        List a directory with all below it:
        ls -r -a efi
        Look for programs in all directories, a page at a time:
        ls -r -a *.efi -b

    RETURNVALUES:
        SUCCESS: Listed.
        NOT_FOUND: Nothing fits.
        INVALID_PARAMETER: There is no such attribute.
    """
    attributes: frozenset[str] | None = None
    if a is not None:
        attributes = frozenset(a.lower())
        if not attributes <= _ALL:
            shell.print(f"ls: Invalid argument - '-a{a}'\n")
            return ShellStatus.INVALID_PARAMETER
    wanted = _Wanted(attributes, sfo=sfo, recursive=r)
    if shell.current is None and ":" not in (path or ""):
        shell.print("ls: Current directory not specified.\n")
        return ShellStatus.NOT_FOUND
    folder, pattern, unfiltered = _where(shell, path)
    if not sfo:
        found = _list(shell, folder, pattern, wanted, top=True)
    else:
        found = _list_sfo(shell, folder, pattern, wanted, top=True)
    if found:
        return ShellStatus.SUCCESS
    if unfiltered:
        if not sfo:
            shell.print(f"Directory of: {clean(folder)}\n")
            _print_footer(shell, [])
        return ShellStatus.SUCCESS
    shell.print(f"ls: File Not Found - '{folder}'\n")
    return ShellStatus.NOT_FOUND


def _where(shell: Shell, path: str | None) -> tuple[str, str, bool]:
    """Folder with drive, pattern in it, and whether the folder itself was named.

    Quirk of edk2: the current directory goes in front of a path that begins with a separator, too.
    """
    if path is None:
        return f"{shell.directory}\\", "*", True
    full = path if ":" in path else f"{shell.directory}\\{path}"
    if shell.is_directory(path):
        return full, "*", True
    folder = parent(full)
    return folder, full[len(folder) :], False


def _entries(shell: Shell, folder: str, pattern: str, wanted: _Wanted) -> tuple[str, list[Found], bool]:
    """The pattern with its folder, the entries to show, and whether anything fits the pattern at all."""
    full = clean(folder + ("" if folder.endswith(("\\", "/")) else "\\") + pattern)
    found = shell.find_files(full) if pattern else []
    return full, [item for item in found if wanted.shows(item.info)], bool(found)


def _below(shell: Shell, folder: str) -> list[Found]:
    found = shell.find_files(clean(folder + ("" if folder.endswith("\\") else "\\") + "*"))
    return [item for item in found if item.info.is_directory and not item.is_dot]


def _list(shell: Shell, folder: str, pattern: str, wanted: _Wanted, *, top: bool) -> bool:
    shell.checkpoint()
    full, shown, _ = _entries(shell, folder, pattern, wanted)
    if shown:
        shell.print(f"Directory of: {parent(full)}\n")
        shown.sort(key=lambda item: sort_key(item.name))
        for item in shown:
            _print_entry(shell, item)
        _print_footer(shell, shown)
    any_shown = bool(shown)
    if wanted.recursive:
        for item in _below(shell, folder):
            any_shown = _list(shell, item.full_name, pattern, wanted, top=False) or any_shown
    return any_shown


def _list_sfo(shell: Shell, folder: str, pattern: str, wanted: _Wanted, *, top: bool) -> bool:
    shell.checkpoint()
    _, shown, fits = _entries(shell, folder, pattern, wanted)
    if top and fits:
        _print_volume(shell, folder)
    for item in shown:
        _print_sfo_entry(shell, item)
    any_shown = bool(shown)
    if wanted.recursive:
        for item in _below(shell, folder):
            any_shown = _list_sfo(shell, item.full_name, pattern, wanted, top=False) or any_shown
    return any_shown


def _print_entry(shell: Shell, item: Found) -> None:
    info = item.info
    stamp = time.strftime("%m/%d/%Y  %H:%M", time.gmtime(max(0, info.modified)))
    kind = "<DIR>" if info.is_directory else ""
    read_only = "r" if "r" in info.attributes else " "
    shell.print(f"{stamp} {kind:>5} {read_only} {info.size:>11,}  {item.name}\n")


def _print_footer(shell: Shell, shown: list[Found]) -> None:
    files = [item.info.size for item in shown if not item.info.is_directory]
    shell.print(f"{len(files):>11,} File(s) {sum(files):>11,} bytes\n{len(shown) - len(files):>11,} Dir(s)\n")


def _print_volume(shell: Shell, folder: str) -> None:
    located = shell.locate(folder)
    assert located is not None
    filesystem = located[0].drive.filesystem
    try:
        total, free = filesystem.space()
    except FileSystemError:
        total = free = 0
    read_only = "FALSE" if filesystem.writable else "TRUE"
    shell.print(
        f'ShellCommand,"ls"\nVolumeInfo,"{filesystem.label}","{total}","{read_only:>5}","{free}","{BLOCK_SIZE}"\n'
    )


def _print_sfo_entry(shell: Shell, item: Found) -> None:
    info = item.info
    letters = "".join(letter for letter in "adhrs" if letter in info.attributes)
    created = time.strftime('"%H:%M:%S","%d.%m.%Y"', time.gmtime(max(0, info.created)))
    last = info.modified if info.accessed is None else info.accessed
    accessed = time.strftime('"00:00:00","%d.%m.%Y"', time.gmtime(max(0, last)))
    modified = time.strftime('"%H:%M:%S","%d.%m.%Y"', time.gmtime(max(0, info.modified)))
    shell.print(
        f'FileInfo,"{item.full_name}","{info.size}","{info.physical_size}","{letters}",{created},{accessed},{modified}\n'
    )
