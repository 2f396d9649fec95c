"""``help``.

Source: edk2 ShellPkg/Library/UefiShellLevel3CommandsLib/Help.c.
"""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command import registry
from tdvfsh.shell.command.help_layout import WIDEST, filled
from tdvfsh.shell.command.helptext import DEFAULT_SECTIONS, SECTIONS, render, summary
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import CommandName, Flag, Option, Text
from tdvfsh.shell.drives.paths import has_wildcard
from tdvfsh.uefi.patterns import matches

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_USAGE = "Help usage:help [cmd|pattern|special] [-usage] [-verbose] [-section name][-b]"
_SPECIAL = (
    ("<newline>", "End of a command line."),
    ("<space>", "End of a word outside quotes."),
    ("#", "Start of a comment."),
    (">", "Redirects output; >> appends, >a is ASCII, >v a variable."),
    ("<", "Redirects input."),
    ("|", "Hands output to the next command; |a as ASCII."),
    ("%", "On both sides of the name of a variable or argument."),
    ('"', "On both sides of a quotation."),
    ("^", "Takes the next character as it is, also inside a quotation."),
    ("*, ?, [, ]", "Stand for other characters in file names."),
    ("-?", "Asks for a command's help."),
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
        List all commands, a page at a time:
        help -b
        Show a command's help:
        help ls
        ls -?
        Show that of all commands that fit a pattern:
        help p*

    RETURNVALUES:
        SUCCESS: Shown.
        NOT_FOUND: There is no such command or section.
        INVALID_PARAMETER: Too many options or words.
    """
    if usage and section is not None and (verbose or v):
        shell.print("help: Parameters conflict\n")
        return ShellStatus.INVALID_PARAMETER
    if name is None or name == "*":
        return _overview(shell, registry.names())
    if name.lower() == "special":
        shell.print("Character    Description\n---------    -----------\n")
        for character, meaning in _SPECIAL:
            for line in filled(meaning, min(WIDEST, shell.columns()) - 1, f"{character:<12} ", " " * 13):
                shell.print(f"{line}\n")
        return ShellStatus.SUCCESS
    wanted = DEFAULT_SECTIONS
    if section is not None:
        wanted = tuple(section.upper().replace(" ", "").split(","))
    elif usage:
        wanted = ("NAME", "SYNOPSIS")
    elif verbose or v:
        wanted = SECTIONS
    fitting = [one for one in registry.names() if matches(one, name)] if has_wildcard(name) else [name]
    texts = [render(_command_name(shell, one), wanted, shell.columns()) for one in fitting]
    for text in texts:
        shell.print(text or "")
    if any(texts):
        return ShellStatus.SUCCESS
    missing = f"No help could be found for command '{name}'.\n"
    known = any(text is not None for text in texts)  # quirk of edk2: a section that is not there is missed twice
    shell.print(missing * 2 if known else missing)
    return ShellStatus.NOT_FOUND


def _command_name(shell: Shell, name: str) -> str:
    """The command of an alias, or the name itself."""
    stands_for = None if registry.is_command(name) else shell.alias_of(name)
    return name if stands_for is None else stands_for.partition(" ")[0]


def _overview(shell: Shell, names: list[str]) -> ShellStatus:
    columns = shell.columns()
    for name in names:
        text = summary(name)
        for line in (
            filled(text, columns - 1, f"{name:<14}- ", " " * 16) if columns < WIDEST else [f"{name:<14}- {text}"]
        ):
            shell.print(f"{line}\n")
    shell.print("\n")
    for line in filled(_USAGE, columns - 1, "", "  "):
        shell.print(f"{line}\n")
    return ShellStatus.SUCCESS
