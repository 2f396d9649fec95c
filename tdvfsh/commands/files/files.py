"""``cd`` and ``type``."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.program import BOM
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import DirectoryPath, FilePath, Flag
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.drives.paths import clean, split_drive
from tdvfsh.shell.drives.search import Found
from tdvfsh.shell.print_ex import without_marks

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


def _print_directory(shell: Shell) -> None:
    if shell.current is not None:
        shell.print(f"{shell.directory}\n")


@command("cd", level=2, after_bad_flag=_print_directory)
def cd(shell: Shell, path: DirectoryPath | None = None) -> ShellStatus:
    """Show or change the current directory.

    SYNOPSIS:
        cd [path]

    OPTIONS:
        path: The new directory of the current drive; .. is the one above, \\ the root.

    DESCRIPTION:
        Another drive's directory is not changed from here: change to the drive first (fs1:).

    EXAMPLES:
        Change to the drive FS0:
        fs0:
        Change to a directory of the current one:
        cd efi
        Change to the directory above:
        cd ..
        Change by several names at once:
        cd efi\\boot
        Change to the root:
        cd \\
        Work in two drives, each with a directory of its own:
        cd \\efi\\tools
        fs1:
        cd tmp

    RETURNVALUES:
        SUCCESS: Done, and also where the path names another drive.
        NOT_FOUND: There is no such directory.
        INVALID_PARAMETER: Too many words.
    """
    if shell.current is None:
        shell.print("cd: Current directory not specified.\n")
        return ShellStatus.NOT_FOUND
    if path is None:
        shell.print(f"{shell.directory}\n")
        return ShellStatus.SUCCESS
    drive, rest = split_drive(path.replace("/", "\\"))
    if drive and drive.upper() != shell.current.name.upper():
        shell.print("cd: No mapping found.\n")
        return ShellStatus.SUCCESS
    if drive and not rest.startswith("\\"):
        full = clean(f"{shell.directory}\\{rest}")
    elif rest.startswith("\\"):
        full = clean((drive or shell.current.name) + rest)
    else:
        full = clean(f"{shell.directory}\\{rest}")
    located = shell.locate(full)
    info = located[0].drive.filesystem.info(located[1]) if located is not None else None
    if located is None or info is None or not info.is_directory:
        shell.print(f"cd: '{full}' is not a directory.\n")
        return ShellStatus.NOT_FOUND
    directory = split_drive(full)[1].rstrip("\\")
    shell.change_directory(shell.current, directory)
    return ShellStatus.SUCCESS


@command("type", level=3)
def type_(shell: Shell, first: FilePath, *more: FilePath, a: Flag = False, u: Flag = False) -> ShellStatus:
    """Print files.

    SYNOPSIS:
        type [-a|-u] file...

    OPTIONS:
        -a: Take the files for ASCII.
        -u: Take them for UTF-16.
        file: A file or pattern.

    DESCRIPTION:
        Without an option a byte order mark decides. Characters that cannot be printed become dots.

    EXAMPLES:
        Print UTF-16:
        type -u pause.nsh
        Print ASCII:
        type -a pause.nsh
        Print several files:
        type test.*

    RETURNVALUES:
        SUCCESS: All files were printed.
        NOT_FOUND: A file is missing or a directory.
        INVALID_PARAMETER: -a and -u exclude each other.
    """
    if a and u:
        shell.print("type: Invalid argument - '-a & -u'\n")
        return ShellStatus.INVALID_PARAMETER
    for pattern in (first, *more):
        found = shell.find_files(pattern)
        if not found:
            shell.print(f"type: Cannot open file - '{pattern}'\n")
            return ShellStatus.NOT_FOUND
        status = ShellStatus.SUCCESS
        for item in found:
            if item.info.is_directory:
                shell.print(f"type: '{item.name}' is a directory\n")
                status = ShellStatus.NOT_FOUND
            elif not _print_file(shell, item, ascii_only=a, unicode_only=u):
                shell.print(f"type: Operation was not successful on '{item.name}'\n")
                status = ShellStatus.INVALID_PARAMETER
        if status is not ShellStatus.SUCCESS:
            return status
    return ShellStatus.SUCCESS


def _print_file(shell: Shell, item: Found, *, ascii_only: bool, unicode_only: bool) -> bool:
    """Print one file, a piece at a time; False where it cannot be read."""
    try:
        unicode = unicode_only or (not ascii_only and item.filesystem.read(item.parts, 2) == BOM)
        offset = 2 if item.filesystem.read(item.parts, 2) == BOM and unicode else 0
        held = ""
        while data := item.filesystem.read(item.parts, _PIECE, offset):
            shell.checkpoint()
            offset += len(data)
            whole = data[: len(data) // 2 * 2] if unicode else data
            text = held + whole.decode("utf-16-le" if unicode else "latin-1", "replace")
            held = "\r" if text.endswith("\r") else ""  # its line feed may begin the next piece
            text = text.removesuffix("\r").replace("\r\n", "\n")
            text = without_marks(text, console=shell.on_console)
            shell.stdout.write(text.translate(_UNPRINTABLE if unicode else _UNPRINTABLE_ASCII))
    except FileSystemError:
        return False
    shell.stdout.write(held + "\n")  # past Shell.print, which would take a lone CR here for half an end of line
    return True


_PIECE = 1 << 16  # bytes that type reads at a time
_UNPRINTABLE = {code: "." for code in range(0x20) if chr(code) not in "\r\n"}
_UNPRINTABLE_ASCII = _UNPRINTABLE | dict.fromkeys(range(127, 256), ".")
