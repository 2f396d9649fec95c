"""What the commands that boot files have in common: the TD's options, where files lie, and how they refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdvfsh.errors import HostError, TdvfshError, UsageError
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.machine_binding import options_of, status_of_error

if TYPE_CHECKING:
    from tdvfsh.machine.options import TdOptions
    from tdvfsh.shell.shell import Shell

_FILES = ("map_file", "firmware")


def boot_options(shell: Shell, **texts: str) -> TdOptions:
    """The options of the shell's TD, changed by what was given; an empty text stands for nothing given.

    ``map_file`` and ``firmware`` are files of the shell's drives.

    Raises:
        UsageError: A value that cannot be.
        HostError: A file that does not lie on the host.
    """
    from tdvfsh.machine.options import options_with

    given = {name: text for name, text in texts.items() if text}
    for name in _FILES:
        if name in given:
            given[name] = host_path(shell, given[name])
    return options_with(options_of(shell), given)


def host_path(shell: Shell, path: str) -> str:
    """Where a file of a mounted drive lies on the host.

    Raises:
        HostError: There is no such file, or its drive is not a folder of the host.
    """
    from tdvfsh.shell.drives.hostfolder import HostFolder

    located = shell.locate(path)
    if located is None:
        raise UsageError(f"{path}: there is no such drive, and no current one")
    mapping, parts = located
    filesystem = mapping.drive.filesystem
    if not isinstance(filesystem, HostFolder):
        raise HostError(f"{path}: only files on a host folder can be booted")
    found = filesystem.host_path(parts)
    if found is None:
        raise HostError(f"{path}: no such file")
    return found


def refuse(shell: Shell, name: str, error: TdvfshError) -> ShellStatus:
    """Say why ``name`` cannot be done; the status that goes with it."""
    shell.print(f"{name}: {error}\n")
    return status_of_error(error)
