"""``help``.

Source: edk2 ShellPkg/Library/UefiShellLevel3CommandsLib/Help.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command import registry
from tdvfsh.shell.command.helptext import DEFAULT_SECTIONS, SECTIONS, render, summary
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import CommandName, Flag, Option, Text
from tdvfsh.shell.drives.paths import has_wildcard
from tdvfsh.uefi.patterns import matches

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_SPECIAL = (
    ("newline", "ends a command"),
    ("blank", "separates words"),
    ("#", "begins a comment"),
    (">, >>, <", "redirect output and input; with a for ASCII, v for a variable"),
    ("|", "hands a command's output to the next; |a as ASCII"),
    ("%name%", "a variable's value"),
    ('"', "keeps blanks together"),
    ("^", "takes the next character as it is"),
    ("*, ?, [ ]", "stand for other characters in file names"),
    ("-?", "asks for a command's help"),
)


@command("help", level=3)
def help_(
    shell: Shell,
    name: CommandName | None = None,
    *,
    usage: Flag = False,
    verbose: Flag = False,
    v: Flag = False,
    section: Annotated[Text | None, Option("-section")] = None,
) -> ShellStatus:
    """Show what commands there are and how they are used.

    SYNOPSIS:
        help [command|pattern|special] [-usage] [-verbose|-v] [-section name]

    OPTIONS:
        -usage: Only name and synopsis.
        -verbose, -v: All sections.
        -section name: Only this section: NAME, SYNOPSIS, OPTIONS, DESCRIPTION, EXAMPLES or RETURNVALUES.
        command: A command; with * or ? all that fit.
        special: The characters with a meaning.

    EXAMPLES:
        help ls
        help m*
        ls -?

    RETURNVALUES:
        SUCCESS: Shown.
        NOT_FOUND: There is no such command.
        INVALID_PARAMETER: There is no such section, or too many options.
    """
    if usage and section is not None and (verbose or v):
        shell.print("help: Parameters conflict\n")
        return ShellStatus.INVALID_PARAMETER
    if name is None or name == "*":
        return _overview(shell, registry.names())
    if name.lower() == "special":
        for character, meaning in _SPECIAL:
            shell.print(f"{character:<12} {meaning}\n")
        return ShellStatus.SUCCESS
    wanted = DEFAULT_SECTIONS
    if section is not None:
        wanted = tuple(section.upper().replace(" ", "").split(","))
        if not set(wanted) <= set(SECTIONS):
            shell.print(f"help: Invalid argument - '{section}'\n")
            return ShellStatus.INVALID_PARAMETER
    elif usage:
        wanted = ("NAME", "SYNOPSIS")
    elif verbose or v:
        wanted = SECTIONS
    if has_wildcard(name):
        fitting = [one for one in registry.names() if matches(one, name)]
        if fitting:
            return _overview(shell, fitting)
    text = render(_command_name(shell, name), wanted)
    if text is None:
        shell.print(f"No help could be found for command '{name}'.\n")
        return ShellStatus.NOT_FOUND
    shell.print(text)
    return ShellStatus.SUCCESS


def _command_name(shell: Shell, name: str) -> str:
    """The command behind an alias, or the name itself."""
    stands_for = None if registry.is_command(name) else shell.alias_of(name)
    return name if stands_for is None else stands_for.partition(" ")[0]


def _overview(shell: Shell, names: list[str]) -> ShellStatus:
    for name in names:
        shell.print(f"{name:<14}- {summary(name)}\n")
    shell.print("\nMore about one: help command, or command -?; all sections with -verbose.\n")
    return ShellStatus.SUCCESS
