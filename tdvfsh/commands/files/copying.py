"""``cp``, ``mv``, ``rm``, ``mkdir``.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib (Cp.c, Mv.c, Rm.c, MkDir.c).
"""

from __future__ import annotations

from collections.abc import Iterator

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import DirectoryPath, FilePath, Flag
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.drives.paths import clean, split_drive
from tdvfsh.shell.drives.search import Found
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_CHUNK = 1 << 20
_OVERWRITE = "Destination file already exists.  Overwrite? Yes, No, All, Cancel "


class _Answers:
    """The user's answers about files that exist: asked once where the answer is "all"."""

    def __init__(self, shell: Shell, *, silent: bool) -> None:
        self._shell = shell
        self._all = silent

    def overwrite(self) -> bool | None:
        """True to continue, False to skip this file, None to stop."""
        if self._all:
            return True
        self._shell.print(_OVERWRITE)
        answer = self._shell.ask(_OVERWRITE)[:1].lower()
        self._shell.print("\n")
        self._all = answer == "a"
        return {"y": True, "a": True, "n": False}.get(answer)


def _sources(shell: Shell, name: str, patterns: tuple[str, ...]) -> list[Found] | None:
    found: list[Found] = []
    for pattern in patterns:
        matching = shell.find_files(pattern)
        if not matching:
            shell.print(f"{name}: File not found - '{pattern}'\n")
            return None
        found += [item for item in matching if item not in found]
    return found


@command("cp", level=2)
def cp(shell: Shell, source: FilePath, *more: FilePath, r: Flag = False, q: Flag = False) -> ShellStatus:
    """Copy files and directories.

    SYNOPSIS:
        cp [-r] [-q] source [source...] [destination]

    OPTIONS:
        -r: Copy directories with all that is in them.
        -q: Do not ask before a file is overwritten; in scripts nothing is asked anyway.
        source: Files, directories or patterns.
        destination: A directory, or the new name of a single file; the current directory where only a source is given.

    EXAMPLES:
        Copy a file under another name:
        cp temp.txt readme.txt
        Copy files into a directory:
        cp temp.txt isabus.efi \\test
        Copy directories with what is in them:
        cp -r test1 test2 boot \\test
        Copy a kernel from another drive:
        cp fs1:\\vmlinuz fs0:\\boot

    RETURNVALUES:
        SUCCESS: Copied.
        NOT_FOUND: There is no such source.
        INVALID_PARAMETER: The destination must be a directory, or -r is missing.
        ACCESS_DENIED: The destination cannot be written.
        VOLUME_FULL: The disk is full.
        DEVICE_ERROR: The path of the destination does not exist.
    """
    patterns = (source, *more)
    target = patterns[-1] if more else shell.directory or "."
    found = _sources(shell, "cp", patterns[:-1] if more else patterns)
    if found is None:
        return ShellStatus.NOT_FOUND
    silent = q or shell.interpreter.program is not None
    existing = shell.find_files(target)
    if len(existing) > 1:
        shell.print(f"cp: The destination '{target}' is ambiguous.\n")
        return ShellStatus.INVALID_PARAMETER
    if existing and "r" in existing[0].info.attributes:
        shell.print("cp: The destination is read-only.\n")
        return ShellStatus.ACCESS_DENIED
    return _copy_all(shell, found, target, _Answers(shell, silent=silent), silent=silent, recursive=r)


def _copy_all(
    shell: Shell, found: list[Found], target: str, answers: _Answers, *, silent: bool, recursive: bool
) -> ShellStatus:
    base = shell.qualify(target)
    to_directory = shell.is_directory(base)
    shown = shell.full_path(target) if shell.is_file(base) else target
    if len(found) > 1 and not to_directory:
        shell.print(f"cp: '{shown}' is not a directory.\n")
        return ShellStatus.INVALID_PARAMETER
    found = [item for item in found if not item.is_dot]
    for item in found:
        if item.info.is_directory and not recursive:
            shell.print("cp: Copying a directory requires -r.\n")
            return ShellStatus.INVALID_PARAMETER
        if item.info.is_directory and not to_directory:
            shell.print(f"cp: '{shown}' is not a directory.\n")
            return ShellStatus.INVALID_PARAMETER
    for item in found:
        shell.checkpoint()
        path = clean(f"{base}\\{item.name}") if to_directory else base
        if shell.locate(path) is not None and not shell.parent_exists(path):
            shell.print(f"cp: The specified path does not exist - '{path}'\n")
            return ShellStatus.DEVICE_ERROR
        source, goal = item.full_name.lower(), path.lower()
        if item.info.is_directory and shell.is_directory(path) and source.startswith(goal):
            shell.print("cp: The destination is a parent of the source.\n")
            return ShellStatus.INVALID_PARAMETER
        if f"{goal}\\".startswith(f"{source}\\"):
            shell.print("cp: The source and destination are the same.\n")
            return ShellStatus.INVALID_PARAMETER
        if not silent:
            shell.print(f"Copying {item.full_name} -> {path}\n")
        status = _copy_one(shell, item, path, answers)
        if status is not ShellStatus.SUCCESS:
            return status
    shell.print("- [ok]\n")
    return ShellStatus.SUCCESS


def _copy_one(shell: Shell, item: Found, path: str, answers: _Answers, name: str = "cp") -> ShellStatus:
    if shell.is_file(path):
        answer = answers.overwrite()
        if answer is not True:
            return ShellStatus.SUCCESS if answer is False else ShellStatus.ABORTED
    located = shell.locate(path)
    if located is None:
        shell.print(f"{name}: The destination file '{path}' failed to open with create.\n")
        return ShellStatus.ACCESS_DENIED
    mapping, parts = located
    filesystem = mapping.drive.filesystem
    if item.info.is_directory:
        try:
            filesystem.make_directory(parts)
        except FileSystemError:
            shell.print(f"cp: The destination directory '{path}' could not be created.\n")
            return ShellStatus.ACCESS_DENIED
        for child in shell.find_files(f"{item.full_name}\\*"):
            if not child.is_dot:
                status = _copy_one(shell, child, f"{path}\\{child.name}", answers)
                if status is not ShellStatus.SUCCESS:
                    return status
        return ShellStatus.SUCCESS
    try:
        data = item.filesystem.read(item.parts, _CHUNK)
    except FileSystemError:
        shell.print(f"cp: The source file '{item.full_name}' failed to open with read.\n")
        return ShellStatus.ACCESS_DENIED
    created = False

    def pieces() -> Iterator[bytes]:
        nonlocal created
        created, piece, offset = True, data, 0
        while piece:
            shell.checkpoint()
            yield piece
            offset += len(piece)
            piece = item.filesystem.read(item.parts, _CHUNK, offset)

    try:
        filesystem.save(parts, pieces())
    except FileSystemError as error:
        if not created:
            shell.print(f"cp: The destination file '{path}' failed to open with create.\n")
            return ShellStatus.ACCESS_DENIED
        full = error.status is EfiStatus.EFI_VOLUME_FULL
        reason = "Copy failure: insufficient capacity on destination media." if full else f"writing '{path}': IO Error "
        shell.print(f"cp: {reason}\n")
        return ShellStatus.VOLUME_FULL if full else ShellStatus.DEVICE_ERROR
    return ShellStatus.SUCCESS


@command("mv", level=2)
def mv(shell: Shell, source: FilePath, *more: FilePath) -> ShellStatus:
    """Move or rename files and directories.

    SYNOPSIS:
        mv source [source...] [destination]

    OPTIONS:
        source: Files, directories or patterns.
        destination: A directory, or a new name; the current directory where only a source is given.

    EXAMPLES:
        Rename a file:
        mv isabus.efi bus.efi
        Move a directory into the current one:
        mv test1\\temp
        Rename a directory:
        mv efi efi1.1
        Move several directories into one:
        mv test1 test2 test

    RETURNVALUES:
        SUCCESS: Moved.
        NOT_FOUND: There is no such source.
        INVALID_PARAMETER: The move is invalid.
        ACCESS_DENIED: The file system refused.
    """
    patterns = (source, *more)
    target = patterns[-1] if more else shell.directory or "."
    status = ShellStatus.SUCCESS
    answers = _Answers(shell, silent=shell.interpreter.program is not None)
    for pattern in patterns[:-1] if more else patterns:
        base = shell.qualify(target)
        found = [item for item in shell.find_files(pattern) if not item.is_dot]
        if not found:
            shell.print(f"mv: File not found - '{pattern}'\n")
            status = ShellStatus.NOT_FOUND
        for item in found:
            shell.checkpoint()
            result, moved = _move_one(shell, item, base, answers)
            if moved:  # quirk of edk2: the drive's name leaves the destination with the first file
                base = split_drive(base)[1]
            if result is ShellStatus.ABORTED:
                return result
            if status is ShellStatus.SUCCESS:
                status = result
    return status


def _move_one(shell: Shell, item: Found, base: str, answers: _Answers) -> tuple[ShellStatus, bool]:
    """Move one entry; the status, and whether it was tried within the drive."""
    path = clean(f"{base}\\{item.name}") if shell.is_directory(base) else base
    if item.info.is_directory:
        inside = f"{shell.directory}\\".lower()
        if inside.startswith(f"{item.full_name}\\".lower()):
            shell.print("Cannot move current working directory or its subdirectory.\n")
            return ShellStatus.INVALID_PARAMETER, False
    if "r" in item.info.attributes:
        shell.print(f"Cannot move to or from a read-only file or directory '{item.full_name}'\n")
        return ShellStatus.INVALID_PARAMETER, False
    if f"{path}\\".lower().startswith(f"{item.full_name}\\".lower()):
        shell.print("Cannot move a directory into itself or its subdirectory.\n")
        return ShellStatus.INVALID_PARAMETER, False
    shell.print(f"Moving {item.full_name} -> {path}\n")
    located = shell.locate(path)
    if located is None:  # firmware copies between drives, and this one has no file to create
        return _copy_one(shell, item, path if split_drive(path)[1] != "\\" else path[:-1], answers, "mv"), False
    mapping, parts = located
    within = mapping.drive is item.mapping.drive
    try:
        if shell.is_file(path):
            if answers.overwrite() is not True:
                return ShellStatus.ABORTED, False
            mapping.drive.filesystem.remove(parts)
        if within:
            item.filesystem.rename(item.parts, parts)
        else:
            status = _copy_one(shell, item, path, answers)
            if status is not ShellStatus.SUCCESS:
                return status, False
            _remove_tree(shell, item)
    except FileSystemError as error:
        shell.print(f"mv: Status: {error.status.phrase}\n")
        known = (EfiStatus.EFI_WRITE_PROTECTED, EfiStatus.EFI_ACCESS_DENIED, EfiStatus.EFI_DEVICE_ERROR)
        result = ShellStatus(error.status.code) if error.status in known else ShellStatus.INVALID_PARAMETER
        return result, within
    shell.print("- [ok]\n")
    return ShellStatus.SUCCESS, within


def _remove_tree(shell: Shell, item: Found) -> None:
    if item.info.is_directory:
        for child in shell.find_files(f"{item.full_name}\\*"):
            if not child.is_dot:
                _remove_tree(shell, child)
    item.filesystem.remove(item.parts)


@command("rm", level=2)
def rm(shell: Shell, path: FilePath, *more: FilePath, q: Flag = False) -> ShellStatus:
    """Delete files and directories.

    SYNOPSIS:
        rm [-q] path...

    OPTIONS:
        -q: Do not ask before a directory that is not empty goes, and say nothing.
        path: Files, directories or patterns.

    EXAMPLES:
        Delete several directories or files:
        rm test\\temp1 temp2
        Delete all that fit a pattern:
        rm test\\temp*
        Delete a directory without a question:
        rm -q test\\temp1

    RETURNVALUES:
        SUCCESS: Deleted.
        NOT_FOUND: There is no such file; then nothing is deleted.
        ACCESS_DENIED: A file is read-only or the file system refused.
        ABORTED: The user said no.
    """
    found = _sources(shell, "rm", (path, *more))
    if found is None:
        return ShellStatus.NOT_FOUND
    status = ShellStatus.SUCCESS
    for item in found:
        shell.checkpoint()
        if item.is_dot:
            continue
        if "r" in item.info.attributes and not item.info.is_directory:
            shell.print(f"Delete error.  Couldn't open file: {EfiStatus.EFI_ACCESS_DENIED.phrase}\n")
            return ShellStatus.ACCESS_DENIED
        inside = f"{shell.directory}\\".lower().startswith(f"{item.full_name}\\".lower())
        if not item.parts or (item.info.is_directory and inside):
            shell.print(f"Delete error.  Invalid target '{item.full_name}'\n")
            return ShellStatus.INVALID_PARAMETER
        status = _delete(shell, item, quiet=q)
    return status


def _delete(shell: Shell, item: Found, *, quiet: bool) -> ShellStatus:
    if "r" in item.info.attributes:
        shell.print(f"rm: '{item.full_name}' is read-only\n")
        return ShellStatus.ACCESS_DENIED
    if item.info.is_directory:
        children = [child for child in shell.find_files(f"{item.full_name}\\*") if not child.is_dot]
        if children and not quiet:
            prompt = f"Remove Subtree '{item.full_name}' [y/n]?"
            shell.print(prompt)
            answer = shell.ask(prompt)[:1].lower()
            shell.print("\n")
            if answer != "y":
                return ShellStatus.ABORTED
        for child in children:
            status = _delete(shell, child, quiet=quiet)
            if status is not ShellStatus.SUCCESS:
                return status
    if not quiet:
        shell.print(f"Deleting '{item.full_name}'\n")
    try:
        item.filesystem.remove(item.parts)
    except FileSystemError as error:
        shell.print(f"Delete error: {error.status.phrase}\n")
        return ShellStatus.ACCESS_DENIED
    if not quiet:
        shell.print("Delete successful.\n")
    return ShellStatus.SUCCESS


@command("mkdir", level=2)
def mkdir(shell: Shell, path: DirectoryPath, *more: DirectoryPath) -> ShellStatus:
    """Create directories, with the missing ones above them.

    SYNOPSIS:
        mkdir path...

    EXAMPLES:
        Create a directory:
        mkdir rafter
        Create several:
        mkdir temp1 temp2

    RETURNVALUES:
        SUCCESS: Created.
        INVALID_PARAMETER: A directory exists already.
        ACCESS_DENIED: The file system refused.
    """
    status = ShellStatus.SUCCESS
    for one in (path, *more):
        located = shell.locate(one)
        if located is not None and located[0].drive.filesystem.info(located[1]) is not None:
            shell.print(f"Directory '{one}' already exists.\n")
            status = ShellStatus.INVALID_PARAMETER
            continue
        try:
            if located is None or not split_drive(shell.qualify(one))[0]:
                raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
            located[0].drive.filesystem.make_directory(located[1])
        except FileSystemError:
            shell.print(f"Directory '{one}' unable to create.\n")
            return ShellStatus.ACCESS_DENIED
    return status
