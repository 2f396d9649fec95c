"""``set`` and ``alias``."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import CommandName, Flag, Option, Rest, Text, VariableName
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


@command("set", level=2, counts=False)
def set_(
    shell: Shell,
    name: VariableName | None = None,
    value: Text | None = None,
    *,
    d: Annotated[VariableName | None, Option("-d", optional_value=True)] = None,
    v: Flag = False,
) -> ShellStatus:
    """Show, make, change and delete environment variables.

    SYNOPSIS:
        set [-v] [name [value]]
        set -d name

    OPTIONS:
        -d name: Delete the variable.
        -v: The variable is volatile: it lasts as long as the shell, and redirections may write to it.
        name: The variable; capitals count.
        value: Its value.

    DESCRIPTION:
        Without a name all variables are listed. cwd, lasterror, profiles, nonesting and the version variables cannot
        be changed. The status does not go into lasterror.

    EXAMPLES:
        Make a variable:
        set DiagnosticPath fs0:\\efi\\diag;fs1:\\efi\\diag
        Show all variables:
        set
        Delete one:
        set -d DiagnosticPath
        Change one:
        set src efi1.1
        Lengthen the path:
        set path %path%;fs0:\\efi\\tools
        Make one for this session only:
        set -v size 512M

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: The variable cannot be set.
        DEVICE_ERROR: The variable could not be deleted.
    """
    environment = shell.environment
    if d is not None:
        if name is not None:
            shell.print("set: Too many arguments.\n")
            return ShellStatus.INVALID_PARAMETER
        if not d:
            shell.print("set: Missing argument for flag - '-d'\n")
            return ShellStatus.INVALID_PARAMETER
        if environment.set(d, "", volatile=v):
            return ShellStatus.SUCCESS
        shell.print(f"set: Environment Variable '{d}' could not be deleted.\n")
        return ShellStatus.DEVICE_ERROR
    if name is None:
        for key, text in environment.items():
            shell.print(f"{key:>8} = {text}\n")
        return ShellStatus.SUCCESS
    if value is None:
        known = environment.get(name)
        if known is None:
            shell.print(f"set: Environment Variable '{name}' not defined.\n")
            shell.suggest(name, (key for key, _ in environment.items()))
        else:
            shell.print(f"{name:>8} = {known}\n")
        return ShellStatus.SUCCESS
    if environment.set(name, value, volatile=v):
        return ShellStatus.SUCCESS
    shell.print(f"set: Unable to set {name}\n")
    return ShellStatus.INVALID_PARAMETER


def _show(shell: Shell, name: str, text: str, *, volatile: bool) -> None:
    shell.print(f"{'*' if volatile else ' '} {name:>10}:{text}\n")


@command("alias", level=3)
def alias(
    shell: Shell,
    *words: Rest,
    d: Annotated[CommandName | None, Option("-d", optional_value=True)] = None,
    v: Flag = False,
) -> ShellStatus:
    """Show, make and delete aliases.

    SYNOPSIS:
        alias [-v] [name [command]]
        alias -d name

    OPTIONS:
        -d name: Delete the alias.
        -v: The alias lasts as long as the shell.
        name: The new name.
        command: What it stands for; quote it where it has arguments.

    DESCRIPTION:
        Without a name all aliases are listed; a star marks volatile ones. The built-in aliases and the commands that
        they stand for cannot be changed, and an alias cannot stand for another one. A command's own name wins over an
        alias.

    EXAMPLES:
        List all aliases:
        alias
        Make one that needs quotes:
        alias shutdown "reset -s"
        Delete it:
        alias -d shutdown
        Make one for this session only, which the list marks with a star:
        alias -v floppy fs1:

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: There is no such alias, or too many words.
        NOT_FOUND: There is no alias to delete.
        ACCESS_DENIED: The name cannot be changed, or the command is an alias.
        DEVICE_ERROR: There is no command, or an alias of the other lifetime has the name.
    """
    if d is not None:
        return _delete(shell, d, bool(words) or v)
    if len(words) > 2:
        shell.print("alias: Too many arguments\n")
        return ShellStatus.INVALID_PARAMETER
    if v and len(words) < 2:
        shell.print("alias: Too few arguments\n")
        return ShellStatus.INVALID_PARAMETER
    if not words:
        for name, text, volatile in shell.aliases.items():
            _show(shell, name, text, volatile=volatile)
        return ShellStatus.SUCCESS
    name = words[0]
    if len(words) == 1:
        known = shell.aliases.get(name)
        if known is None:
            shell.print(f"alias: Invalid argument - '{name}'\n")
            return ShellStatus.INVALID_PARAMETER
        _show(shell, name, known, volatile=shell.aliases.is_volatile(name))
        return ShellStatus.SUCCESS
    text = words[1]
    aliases = shell.aliases
    if aliases.is_built_in(name) or (text and aliases.get(text) is not None):
        shell.print("alias: Access denied.\n")
        return ShellStatus.ACCESS_DENIED
    if text and aliases.set(name, text, volatile=v):
        return ShellStatus.SUCCESS
    shell.print(f"alias: Status: {EfiStatus.EFI_INVALID_PARAMETER.phrase}\n")
    return ShellStatus.DEVICE_ERROR


def _delete(shell: Shell, name: str, more: bool) -> ShellStatus:
    if more or not name:
        shell.print(f"alias: Too {'many' if more else 'few'} arguments\n")
        return ShellStatus.INVALID_PARAMETER
    if shell.aliases.is_built_in(name):
        shell.print("alias: Access denied.\n")
        return ShellStatus.ACCESS_DENIED
    if shell.aliases.remove(name):
        return ShellStatus.SUCCESS
    shell.print(f"alias: '{name}' does not exist.\n")
    return ShellStatus.NOT_FOUND
