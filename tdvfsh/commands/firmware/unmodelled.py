"""Commands of firmware that have nothing to act on here: they take the same words and say so.

A script that asks wrongly gets firmware's answer; one that asks rightly is told that this machine has no such part,
with UNSUPPORTED, and is never given an invented success.

Source: edk2 ShellPkg/Library (UefiShellDebug1CommandsLib, UefiShellDriver1CommandsLib): parameter lists.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import define

if TYPE_CHECKING:
    from tdvfsh.shell.command.registry import Command
    from tdvfsh.shell.shell import Shell


class Unmodelled:
    """One such command.

    Args:
        profile: Its profile.
        least: How many words it needs.
        flags: Its options without a value.
        valued: Its options with one.
        part: What the machine lacks.
        first_is_handle: Its first word is a handle, and there is none of that number.
    """

    def __init__(
        self, profile: str, least: int, flags: str, valued: str, part: str, *, first_is_handle: bool = False
    ) -> None:
        self.profile = profile
        self.least = least
        self.flags = frozenset(flags.split())
        self.valued = frozenset(valued.split())
        self.part = part
        self.first_is_handle = first_is_handle


UNMODELLED: dict[str, Unmodelled] = {
    "acpiview": Unmodelled("acpiview", 0, "-l -h -q -d", "-s -r", "ACPI tables"),
    "connect": Unmodelled("Driver1", 0, "-c -r", "", "driver bindings", first_is_handle=True),
    "dblk": Unmodelled("Debug1", 1, "", "", "block devices"),
    "devices": Unmodelled("Driver1", 0, "-sfo", "-l", "devices"),
    "devtree": Unmodelled("Driver1", 0, "-b -d", "-l", "devices"),
    "disconnect": Unmodelled("Driver1", 1, "-r -nc", "", "driver bindings", first_is_handle=True),
    "drivers": Unmodelled("Driver1", 0, "-sfo", "-l", "driver bindings"),
    "drvcfg": Unmodelled("Driver1", 0, "-s -c", "-l -f -v -i -o", "driver configuration"),
    "drvdiag": Unmodelled("Driver1", 0, "-c -s -e -m", "-l", "driver diagnostics"),
    "edit": Unmodelled("Debug1", 0, "", "", "editor"),
    "hexedit": Unmodelled("Debug1", 0, "-f -d -m", "", "editor"),
    "loadpcirom": Unmodelled("Debug1", 1, "-nc", "", "PCI devices"),
    "openinfo": Unmodelled("Driver1", 0, "", "", "driver bindings", first_is_handle=True),
    "pci": Unmodelled("Debug1", 0, "-i -ec", "-s", "PCI devices"),
    "reconnect": Unmodelled("Driver1", 1, "-r", "", "driver bindings", first_is_handle=True),
    "sermode": Unmodelled("Debug1", 0, "", "", "serial ports"),
    "smbiosview": Unmodelled("Debug1", 0, "-s -a", "-t -h", "SMBIOS tables"),
}


def _handler(name: str, what: Unmodelled) -> Callable[..., int]:
    def run(shell: Shell, words: list[str]) -> int:
        return _run(shell, name, what, words)

    run.__doc__ = f"""Of firmware; not modelled, because this machine has no {what.part}.

    SYNOPSIS:
        {name} ...

    DESCRIPTION:
        The options are read as firmware reads them, so that scripts meet the same messages; then UNSUPPORTED.

    RETURNVALUES:
        UNSUPPORTED: Always, where the words are right.
        INVALID_PARAMETER: They are not.
    """
    return run


def _run(shell: Shell, name: str, what: Unmodelled, words: list[str]) -> int:
    positional: list[str] = []
    skip = False
    for word in words:
        lower = word.lower()
        if skip and not word.startswith("-"):
            skip = False
        elif lower in what.valued:
            skip = True
        elif lower in what.flags or word in ("-b", "-?"):
            skip = False
        elif word.startswith(("-", "/", "+")):
            shell.print(f"{name}: Unknown flag - '{word}'\n")
            return ShellStatus.INVALID_PARAMETER
        else:
            positional.append(word)
    if len(positional) < what.least:
        shell.print(f"{name}: Too few arguments{'.' if what.profile == 'Debug1' else ''}\n")
        return ShellStatus.INVALID_PARAMETER
    if what.first_is_handle and (positional or name == "openinfo"):
        handle = positional[0] if positional else "<null string>"
        shell.print(f"{name}: Handle - '{handle}' not found\n")
        return ShellStatus.INVALID_PARAMETER
    shell.print(f"{name}: Not modelled: this machine has no {what.part}.\n")
    return ShellStatus.UNSUPPORTED


def _define(name: str, what: Unmodelled) -> Command:
    return define(name, _handler(name, what), profile=what.profile, raw=True)


for _name, _what in UNMODELLED.items():
    _define(_name, _what)
