"""``map``.

Source: edk2 ShellPkg/Library/UefiShellLevel2CommandsLib/Map.c.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, MappingName, Option, Text
from tdvfsh.shell.drives.drives import Drive
from tdvfsh.shell.machine_binding import options_of
from tdvfsh.uefi.patterns import matches

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_TYPES = ("fp", "hd", "cd")  # floppy, hard disk, CD-ROM; our drives are none of them


@command("map", level=2)
def map_(
    shell: Shell,
    name: MappingName | None = None,
    target: MappingName | None = None,
    *,
    d: Annotated[MappingName | None, Option("-d", optional_value=True)] = None,
    r: Flag = False,
    v: Flag = False,
    c: Flag = False,
    f: Flag = False,
    u: Flag = False,
    t: Annotated[Text | None, Option("-t", optional_value=True)] = None,
    sfo: Flag = False,
) -> ShellStatus:
    """Show, make and delete names of file systems.

    SYNOPSIS:
        map [-d name]
        map [-r] [-v] [-c] [-f] [-u] [-t type] [-sfo] [name]
        map name fsN:

    OPTIONS:
        -d name: Delete a name.
        -r: Make the default names again.
        -v: Show handle, medium and current directory too.
        -c: Show consistent names first.
        -f: Show the default names first.
        -u: Look for new devices.
        -t type: Only fp (floppy), hd (disk) or cd.
        -sfo: Print Standard-Format Output.
        name: A name or pattern to show, or a new name of letters and digits; a drive's own name moves to the other.

    EXAMPLES:
        Show all names with their devices:
        map -v
        Add a name to a drive, and change to it:
        map floppy fs0:
        floppy:
        Delete the name:
        map -d floppy:
        Show the names that fit a pattern:
        map f*

    RETURNVALUES:
        SUCCESS: Done; also where a name to show is unknown.
        INVALID_PARAMETER: A name is invalid, or there is none to delete.
    """
    if d is not None:
        return _delete(shell, d, conflict=any((r, v, c, f, u, t is not None)))
    if t and t.lower() not in _TYPES:
        shell.print(f"map: Invalid argument - '{t}'\n")
        return ShellStatus.INVALID_PARAMETER
    if target is not None and name is not None and not any((r, c, f, u, t)):
        return _add(shell, name, target)
    if r:
        shell.remap()
    _show(shell, name, verbose=v, consistent=c and not f, sfo=sfo, none=bool(t))
    return ShellStatus.SUCCESS


def _delete(shell: Shell, name: str, *, conflict: bool) -> ShellStatus:
    if conflict:
        shell.print("map: Parameters conflict.\n")
        return ShellStatus.INVALID_PARAMETER
    if not name:
        shell.print("map: Too few arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    if shell.drives.remove(name):
        return ShellStatus.SUCCESS
    shell.print(f"map: Cannot find mapped device - '{name}'\n")
    return ShellStatus.INVALID_PARAMETER


def _add(shell: Shell, name: str, target: str) -> ShellStatus:
    mapping = shell.drives.find(target) if target.endswith(":") else None
    if mapping is None:
        shell.print(f"map: Invalid argument - '{target}'\n")
        return ShellStatus.INVALID_PARAMETER
    if not name.removesuffix(":").isalnum():
        shell.print(f"map: Invalid argument - '{name}'\n")
        return ShellStatus.INVALID_PARAMETER
    shell.drives.add(name, mapping.drive)
    _show(shell, name, verbose=False, consistent=False, sfo=False, none=False)
    return ShellStatus.SUCCESS


def _fits(shell: Shell, drive: Drive, name: str | None) -> bool:
    if name is None:
        return True
    pattern = name if name.endswith((":", "*")) else name + ":"
    return any(matches(known, pattern) for known in shell.drives.names_of(drive))


def _path(shell: Shell, drive: Drive) -> str:
    """The device path as the firmware's ConvertDevicePathToText has it for display."""
    if drive.partition is None:
        return drive.device_path
    from tdvfsh.machine.start import start_of
    from tdvfsh.uefi.device_path_text import device_path_text, device_paths_from_text

    short = start_of(options_of(shell)).profile.short_hard_drives
    return device_path_text(device_paths_from_text(drive.device_path), display_only=True, long_hard_drives=not short)


def _show(shell: Shell, name: str | None, *, verbose: bool, consistent: bool, sfo: bool, none: bool) -> None:
    fitting = [drive for drive in shell.drives.drives if sfo or _fits(shell, drive, name)]  # edk2's -sfo shows all
    shown = [] if none else fitting
    shell.print('ShellCommand,"map"\n' if sfo else "Mapping table\n")
    for drive in shown:
        names = shell.drives.names_of(drive)
        if not names:
            continue
        if consistent and drive.consistent_name in names:
            names.sort(key=lambda one: one != drive.consistent_name)
        if sfo:
            shell.print(f'Mappings,"{names[0]}","{_path(shell, drive)}",""\n')
            continue
        aliases = ";".join(names[1:])
        shell.print(f"{names[0]:>10} Alias(s):{aliases}\n          {_path(shell, drive)}\n")
        if verbose:
            mapping = shell.drives.find(names[0])
            assert mapping is not None
            shell.print(
                f"         Handle:      [{_handle(drive):02X}]\n         Media Type:  Unknown\n"
                f"         Removable:   No\n         Current Dir: {mapping.name}{mapping.directory}\n"
            )
    if not shown and not sfo:
        if name is not None:
            shell.print(f"map: Cannot find mapped device - '{name}'\n")
        else:
            shell.print("map: No mapping found.\n")


def _handle(drive: Drive) -> int:
    """The number of the drive's handle, after those of the firmware itself."""
    return 0xB4 + drive.index
