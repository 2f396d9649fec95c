"""Commands of firmware that have nothing to act on here: they take the same words and say so.

A script that asks wrongly gets firmware's answer; a valid request is answered that this machine has no such part,
with UNSUPPORTED, and is never given an invented success.

Source: edk2 ShellPkg/Library (UefiShellDebug1CommandsLib, UefiShellDriver1CommandsLib, UefiShellNetwork1CommandsLib,
UefiShellNetwork2CommandsLib) and ShellPkg/DynamicCommand (http, tftp): parameter lists and messages.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.commands.firmware.protocol_names import protocol_name
from tdvfsh.commands.firmware.unmodelled_help import HELP
from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import define
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.guids import (
    EFI_DEVICE_PATH_PROTOCOL_GUID,
    EFI_DRIVER_BINDING_PROTOCOL_GUID,
    EFI_PCI_IO_PROTOCOL_GUID,
    Guid,
)

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
        most: How many words it takes; any number where None.
        listed: The protocol on the handles of such parts; dh lists them where the machine has any.
        lacking: What it says without the words that it needs, where that is its own.
        unknown: What it says of an option that it does not know, where that is its own.
    """

    def __init__(
        self,
        profile: str,
        least: int,
        flags: str,
        valued: str,
        part: str,
        *,
        most: int | None = None,
        listed: Guid | None = None,
        lacking: str = "",
        unknown: str = "",
    ) -> None:
        self.profile = profile
        self.least = least
        self.most = most
        self.flags = frozenset(flags.split())
        self.valued = frozenset(valued.split())
        self.part = part
        self.listed = listed
        self.lacking = lacking
        self.unknown = unknown


UNMODELLED: dict[str, Unmodelled] = {
    "dblk": Unmodelled("Debug1", 1, "", "", "block devices", most=3),
    "devices": Unmodelled("Driver1", 0, "-sfo", "-l", "devices", most=0, listed=EFI_DEVICE_PATH_PROTOCOL_GUID),
    "devtree": Unmodelled("Driver1", 0, "-b -d", "-l", "devices", most=1, listed=EFI_DEVICE_PATH_PROTOCOL_GUID),
    "drivers": Unmodelled(
        "Driver1", 0, "-sfo", "-l", "driver bindings", most=0, listed=EFI_DRIVER_BINDING_PROTOCOL_GUID
    ),
    "drvcfg": Unmodelled("Driver1", 0, "-s -c", "-l -f -v -i -o", "driver configuration", most=3),
    "drvdiag": Unmodelled("Driver1", 0, "-c -s -e -m", "-l", "driver diagnostics", most=3),
    "edit": Unmodelled("Debug1", 0, "", "", "editor", most=1),
    "eficompress": Unmodelled("Debug1", 2, "", "", "EFI compression", most=2),
    "efidecompress": Unmodelled("Debug1", 2, "", "", "EFI compression", most=2),
    "hexedit": Unmodelled("Debug1", 0, "-f -d -m", "", "editor", most=1),
    "http": Unmodelled(
        "http", 1, "-k -m", "-i -l -s -t", "network", lacking="http: Too few arguments. Try help http.", most=3
    ),
    "ifconfig": Unmodelled(
        "network1",
        0,
        "",
        "-l -s -r",
        "network",
        lacking="Flags lack. Please type 'ifConfig -?' for help info.",
        unknown="ifconfig: Invalid argument - '{}'",
    ),
    "ifconfig6": Unmodelled(
        "network2",
        0,
        "",
        "-l -s -r",
        "network",
        lacking="Flags lack. Please type 'IfConfig6 -?' for help info.",
        unknown="Invalid command. Bad command ifconfig6 is skipped.\n"
        "Hint: Incorrect option or arguments. Please type 'IfConfig6 -?' for help info.",
    ),
    "loadpcirom": Unmodelled("Debug1", 1, "-nc", "", "PCI devices", listed=EFI_PCI_IO_PROTOCOL_GUID),
    "pci": Unmodelled("Debug1", 0, "-i -ec", "-s", "PCI devices", most=3, listed=EFI_PCI_IO_PROTOCOL_GUID),
    "ping": Unmodelled(
        "network1",
        1,
        "",
        "-n -l -s",
        "network",
        lacking="ping: Too few arguments.",
        most=1,
        unknown="ping: Invalid argument - '{}'",
    ),
    "ping6": Unmodelled(
        "network2",
        1,
        "",
        "-n -l -s",
        "network",
        lacking="Ping6: Invalid input, please type 'Ping6 -?'for help",
        unknown="Ping6: Invalid input, please type 'Ping6 -?'for help",
    ),
    "sermode": Unmodelled("Debug1", 0, "", "", "serial ports", most=5),
    "tftp": Unmodelled("tftp", 2, "", "-i -l -r -c -t -s -w", "network", most=3),
}
_NEED_A_FLAG = frozenset(("ifconfig", "ifconfig6"))


def _handler(name: str, what: Unmodelled) -> Callable[..., int]:
    def run(shell: Shell, words: list[str]) -> int:
        return _run(shell, name, what, words)

    text, _, examples = HELP[name].partition("\n    EXAMPLES:\n")
    run.__doc__ = f"""{text}
    DESCRIPTION:
        Not modelled{": dh lists" if what.listed is not None else ": this machine has no"} {what.part}. The words are
        read as firmware reads them, so that scripts meet the same messages; then the command is unsupported.

    EXAMPLES:
{examples}
    RETURNVALUES:
        UNSUPPORTED: Always, where the words are right.
        INVALID_PARAMETER: They are not.
    """
    return run


def _run(shell: Shell, name: str, what: Unmodelled, words: list[str]) -> int:
    positional: list[str] = []
    skip = flagged = False
    for word in words:
        lower = word.lower()
        if skip and not word.startswith("-"):
            skip = False
        elif lower in what.valued:
            skip = flagged = True
        elif lower in what.flags or word in ("-b", "-?"):
            skip = False
        elif word.startswith(("-", "/", "+")):
            return _wrong(shell, what.unknown.format(word) or f"{name}: Unknown flag - '{word}'")
        else:
            positional.append(word)
    stop = "." if what.profile == "Debug1" else ""
    if len(positional) < what.least or (name in _NEED_A_FLAG and not flagged):
        return _wrong(shell, what.lacking or f"{name}: Too few arguments{stop}")
    if what.most is not None and len(positional) > what.most:
        stop = "." if name == "ping" else stop
        return _wrong(shell, f"{name}: Too many arguments{stop}")
    return _meet_the_machine(shell, name, what, positional)


def _wrong(shell: Shell, message: str) -> ShellStatus:
    shell.print(f"{message}\n")
    return ShellStatus.INVALID_PARAMETER


def _meet_the_machine(shell: Shell, name: str, what: Unmodelled, words: list[str]) -> ShellStatus:
    """Firmware's message about a missing handle or device; then that there is no such part."""
    first = words[0] if words else "<null string>"
    if name == "dblk" and shell.drives.find(first) is None:
        return _wrong(shell, f"{name}: Invalid argument - '{first}'")
    if name == "loadpcirom" and not shell.find_files(first):
        shell.print(f"loadpcirom: Cannot open file - '{first}'\n")
        return ShellStatus.ACCESS_DENIED
    if name == "sermode":
        if not words:
            return _wrong(shell, "sermode: No serial ports found.")
        if len(words) == 1:
            shell.print("sermode: No serial port or specified serial port found.\n")
            return ShellStatus.NOT_FOUND
    if what.listed is not None and machine_of(shell).services.handles.locate_handles(what.listed):
        protocol = protocol_name(what.listed)
        shell.print(f"{name}: Not modelled; 'dh -p {protocol}' lists this machine's {what.part}.\n")
    else:
        shell.print(f"{name}: Not modelled: this machine has no {what.part}.\n")
    return ShellStatus.UNSUPPORTED


def _define(name: str, what: Unmodelled) -> Command:
    return define(name, _handler(name, what), profile=what.profile, raw=True)


for _name, _what in UNMODELLED.items():
    _define(_name, _what)
