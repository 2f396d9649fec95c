"""``attrib``, ``touch``, ``vol``, ``setsize``.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib (Attrib.c, Vol.c), UefiShellLevel3CommandsLib/Touch.c,
UefiShellDebug1CommandsLib/SetSize.c.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag, MappingName, Option, Rest, Text
from tdvfsh.shell.drives.filesystem import BLOCK_SIZE, FileSystemError
from tdvfsh.shell.drives.search import Found, list_directory, sort_key

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_SHOWN = "DASHR"
_LONGEST_LABEL = 11
_NOT_IN_LABELS = frozenset('%^*+=[]|:;"<>?/ ')


@command("attrib", level=2)
def attrib(
    shell: Shell,
    *files: FilePath,
    set_a: Annotated[Flag, Option("+a")] = False,
    clear_a: Annotated[Flag, Option("-a")] = False,
    set_s: Annotated[Flag, Option("+s")] = False,
    clear_s: Annotated[Flag, Option("-s")] = False,
    set_h: Annotated[Flag, Option("+h")] = False,
    clear_h: Annotated[Flag, Option("-h")] = False,
    set_r: Annotated[Flag, Option("+r")] = False,
    clear_r: Annotated[Flag, Option("-r")] = False,
) -> ShellStatus:
    """Show or change the attributes of files.

    SYNOPSIS:
        attrib [+a|-a] [+s|-s] [+h|-h] [+r|-r] [file...]

    OPTIONS:
        +a, -a: Set or clear archive.
        +s, -s: Set or clear system.
        +h, -h: Set or clear hidden.
        +r, -r: Set or clear read-only.
        file: Files or patterns; to show attributes, all entries of the current directory without it.

    DESCRIPTION:
        On a host folder the attributes last as long as the shell.

    EXAMPLES:
        Show the attributes of the root:
        attrib fs0:\\
        Show those of everything in the current directory:
        attrib *
        Make all programs system files:
        attrib +s *.efi
        Make all .inf files writable:
        attrib -r *.inf

    RETURNVALUES:
        SUCCESS: Shown or changed.
        NOT_FOUND: There is no such file.
        INVALID_PARAMETER: An attribute is set and cleared at once, or there is no file to change.
        ACCESS_DENIED: The file system cannot be changed.
    """
    added = {letter for letter, on in zip("ashr", (set_a, set_s, set_h, set_r), strict=True) if on}
    removed = {letter for letter, on in zip("ashr", (clear_a, clear_s, clear_h, clear_r), strict=True) if on}
    if added & removed:
        shell.print("attrib: Parameters conflict.\n")
        return ShellStatus.INVALID_PARAMETER
    if (added or removed) and not files:
        shell.print("attrib: Too few arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    status = ShellStatus.SUCCESS
    for pattern in files or ("*",):
        found = shell.find_files(pattern)
        if not found:
            shell.print(f"attrib: Cannot open file - '{pattern}'\n")
            status = ShellStatus.NOT_FOUND
        for item in found:
            if not added and not removed:
                _show(shell, item)
            elif not item.is_dot and not _change(item, added, removed):
                shell.print(f"attrib: File access error - '{item.name}'\n")
                return ShellStatus.ACCESS_DENIED
    return status


def _show(shell: Shell, item: Found) -> None:
    letters = "".join(letter if letter.lower() in item.info.attributes else " " for letter in _SHOWN)
    shell.print(f"Attrib: {letters} {item.name}\n")


def _change(item: Found, added: set[str], removed: set[str]) -> bool:
    kept = (set(item.info.attributes) - {"d"} - removed) | added
    try:
        item.filesystem.set_attributes(item.parts, "".join(letter for letter in "ahrs" if letter in kept))
    except FileSystemError:
        return False
    return True


@command("touch", level=3)
def touch(shell: Shell, path: FilePath, *more: FilePath, r: Flag = False) -> ShellStatus:
    """Set the time of files and directories to now, by the virtual clock.

    SYNOPSIS:
        touch [-r] path...

    OPTIONS:
        -r: Also all that is in directories.
        path: Files, directories or patterns; none is created.

    EXAMPLES:
        Set a file's time to now:
        touch for.nsh
        Set that of a directory and all in it:
        touch -r efi1.1

    RETURNVALUES:
        SUCCESS: Done.
        NOT_FOUND: There is no such file.
        ACCESS_DENIED: The file system cannot be changed.
    """
    now = shell.now()
    for pattern in (path, *more):
        found = shell.find_files(pattern)
        if not found:
            shell.print(f"touch: Invalid argument - '{pattern}'\n")
            return ShellStatus.NOT_FOUND
        for item in found:
            if not _touch(item, now, recursive=r):
                shell.print(f"touch: Operation was not successful on '{item.full_name}'\n")
                return ShellStatus.ACCESS_DENIED
    return ShellStatus.SUCCESS


def _touch(item: Found, now: int, *, recursive: bool) -> bool:
    try:
        item.filesystem.set_modified(item.parts, now)
    except FileSystemError:
        return False
    if not recursive or not item.info.is_directory or item.is_dot:
        return True
    children = list_directory(item.mapping, item.mapping.name, item.parts)
    children.sort(key=lambda child: sort_key(child.name))
    return all(_touch(child, now, recursive=True) for child in children if not child.is_dot)


@command("vol", level=2)
def vol(
    shell: Shell,
    filesystem: MappingName | None = None,
    *,
    n: Annotated[Text | None, Option("-n")] = None,
    d: Flag = False,
) -> ShellStatus:
    """Show or change the label of a volume, and show its size.

    SYNOPSIS:
        vol [fs] [-n label]
        vol [fs] [-d]

    OPTIONS:
        -n label: Set a new label, which lasts as long as the shell.
        -d: Take the label away.
        fs: A mapped name; the current drive without it.

    EXAMPLES:
        Show label and size of the current drive:
        vol
        Set a drive's label:
        vol fs0 -n help_test
        Take it away:
        vol fs0 -d

    RETURNVALUES:
        SUCCESS: Shown.
        ACCESS_DENIED: There is no such drive.
        INVALID_PARAMETER: The label is longer than 11 characters or has characters that it may not have.
    """
    name = (filesystem or shell.directory).partition(":")[0].partition("\\")[0]
    if not name:
        shell.print("vol: Current directory not specified.\n")
        return ShellStatus.NOT_FOUND
    if d and n is not None:
        shell.print("vol: Flags conflict with - '-d' and '-n'\n")
        return ShellStatus.INVALID_PARAMETER
    if n is not None and len(n) > _LONGEST_LABEL:
        shell.print(f"vol: Bad value - '{n}' for flag - '-n'\n")
        return ShellStatus.INVALID_PARAMETER
    if n is not None and set(n) & _NOT_IN_LABELS:
        shell.print(f"vol: Invalid argument - '{n}'\n")
        return ShellStatus.INVALID_PARAMETER
    mapping = shell.drives.find(name)
    if mapping is None:
        shell.print(f"vol: Cannot open file - '{name}:\\'\n")
        return ShellStatus.ACCESS_DENIED
    volume = mapping.drive.filesystem
    status = ShellStatus.SUCCESS
    if d or n is not None:
        if volume.writable:
            volume.label = n or ""
        else:
            shell.print(f"vol: File access error - '{name}:\\'\n")
            status = ShellStatus.ACCESS_DENIED
    try:
        total, free = volume.space()
    except FileSystemError:
        total = free = 0
    shell.print(
        f"Volume {volume.label} ({'rw' if volume.writable else 'r'})\n{total} bytes total disk space\n"
        f"{free} bytes available on disk\n{BLOCK_SIZE} bytes in each allocation unit\n"
    )
    return status


@command("setsize", profile="Debug1")
def setsize(shell: Shell, size: Text, first: FilePath, *more: Rest) -> ShellStatus:
    """Set the size of files; new bytes are zero.

    SYNOPSIS:
        setsize size file...

    EXAMPLES:
        Make a file a kibibyte long:
        setsize 1024 file.bin

    RETURNVALUES:
        SUCCESS: Done; missing files are created.
        INVALID_PARAMETER: The size is not a number.
        ACCESS_DENIED: The file system cannot be changed.
    """
    wanted = parse_number(size)
    if wanted is None:
        shell.print("setsize: A valid size must be specified\n")
        return ShellStatus.INVALID_PARAMETER
    for path in (first, *more):
        located = shell.locate(path)
        try:
            if located is None:
                shell.print("setsize: File not specified\n")
                return ShellStatus.INVALID_PARAMETER
            filesystem = located[0].drive.filesystem
            old = filesystem.read(located[1], wanted) if filesystem.info(located[1]) is not None else b""
            if wanted - len(old) > filesystem.space()[1]:
                shell.print(f"setsize: '{path}': the disk has no room for {wanted} bytes.\n")
                return ShellStatus.VOLUME_FULL
            filesystem.save(located[1], (old, wanted - len(old)))
        except FileSystemError:
            shell.print(f"setsize: Cannot open file - '{path}'\n")
            return ShellStatus.ACCESS_DENIED
        shell.print(f"Size changed on '{path}'.\n")
    return ShellStatus.SUCCESS
