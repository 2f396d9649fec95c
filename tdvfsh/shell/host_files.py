"""Files of the shell's drives as files of the host, and TD options that name some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tdvfsh.errors import HostError, MissingError
from tdvfsh.images.named import (
    ANY,
    INITRD,
    KERNEL,
    NamedFile,
    fetched_or_refused,
    file_named,
    hint,
    image_has,
    image_named,
)
from tdvfsh.lazy_typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tdvfsh.machine.options import TdOptions
    from tdvfsh.shell.shell import Shell


def _path(shell: Shell, image: str, path: str) -> str:
    return host_file(shell, path, image).path


def options_with(shell: Shell, command: str, given: Mapping[str, object]) -> TdOptions:
    """The options of the shell's TD, changed by what a command was given; files are files of the shell's drives.

    Raises:
        UsageError: An invalid value, or an option that does not apply to the command.
        HostError: A file that does not lie on the host.
    """
    from functools import partial

    from tdvfsh.lazy_dataclass import replace
    from tdvfsh.options.td import OPTIONS
    from tdvfsh.options.uses import use_of
    from tdvfsh.shell.machine_binding import options_of

    use_of(command).check(given)
    values: dict[str, Any] = {}
    for name, value in given.items():
        values[name] = OPTIONS[name].with_files(value, partial(_path, shell, OPTIONS[name].image))
    return replace(options_of(shell), **values)


def host_path(shell: Shell, path: str, kind: str = ANY) -> str:
    """Where a file of a mounted drive, or of an image that has this name, lies on the host.

    Raises:
        TdvfshError: As :func:`host_file`.
    """
    return host_file(shell, path, kind).path


def host_file(shell: Shell, path: str, kind: str = ANY) -> NamedFile:
    """The host's file that a word of a command stands for: a file of a mounted drive, else an image's name.

    Args:
        shell: The shell.
        path: The word.
        kind: What is asked for, as :func:`tdvfsh.images.named.file_named` has it; empty where no image will do.

    Raises:
        MissingError: Neither a file nor an image has that name.
        UsageError: The image has no such file, or there is no such drive.
        HostError: The image has not been fetched, or the file's drive is not a folder of the host.
    """
    name = path.replace("\\", "/")
    try:
        return NamedFile(_on_drive(shell, path), path)
    except MissingError as error:
        if not kind:
            raise
        if image_named(name, kind) is None:
            raise MissingError(f"{error}{hint(name)}") from None
    return file_named(name, kind, shell.fetch_image or fetched_or_refused)


def files_of_boot(shell: Shell, kernel: str, initrds: Sequence[str]) -> list[NamedFile]:
    """Kernel and initrds of a command that boots; a whole image that has both stands for both.

    Raises:
        TdvfshError: As :func:`host_file`.
    """
    first = host_file(shell, kernel, KERNEL)
    if first.image and not initrds and image_has(first.image, INITRD):
        initrds = [first.image]
    return [first, *(host_file(shell, word, INITRD) for word in initrds)]


def _on_drive(shell: Shell, path: str) -> str:
    from tdvfsh.shell.drives.hostfolder import HostFolder

    located = shell.locate(path)
    if located is None:
        raise MissingError(f"{path}: there is no such drive, and no current one")
    mapping, parts = located
    filesystem = mapping.drive.filesystem
    if not isinstance(filesystem, HostFolder):
        raise HostError(f"{path}: only files on a host folder can be booted")
    found = filesystem.host_path(parts)
    if found is None:
        raise MissingError(f"{path}: no such file")
    return found
