"""Files of the shell's drives as files of the host, and TD options that name some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tdvfsh.errors import HostError, UsageError

if TYPE_CHECKING:
    from tdvfsh.machine.options import TdOptions
    from tdvfsh.shell.shell import Shell


def options_with(shell: Shell, command: str, given: Mapping[str, object]) -> TdOptions:
    """The options of the shell's TD, changed by what a command was given; files are files of the shell's drives.

    Raises:
        UsageError: An invalid value, or an option that does not apply to the command.
        HostError: A file that does not lie on the host.
    """
    from dataclasses import replace

    from tdvfsh.options.td import OPTIONS
    from tdvfsh.options.uses import use_of
    from tdvfsh.shell.machine_binding import options_of

    use_of(command).check(given)
    values: dict[str, Any] = {
        name: host_path(shell, str(value)) if OPTIONS[name].names_file(value) else value
        for name, value in given.items()
    }
    return replace(options_of(shell), **values)


def host_path(shell: Shell, path: str) -> str:
    """Where a file of a mounted drive lies on the host.

    Raises:
        HostError: No such file, or its drive is not a folder of the host.
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
