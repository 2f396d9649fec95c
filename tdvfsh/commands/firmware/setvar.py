"""``setvar`` and ``dmpstore``: UEFI variables.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib (SetVar.c, DmpStore.c).
"""

from __future__ import annotations

from tdvfsh.commands.firmware.varstore import pack, unpack
from tdvfsh.dxe.variables import (
    EFI_VARIABLE_BOOTSERVICE_ACCESS,
    EFI_VARIABLE_NON_VOLATILE,
    EFI_VARIABLE_RUNTIME_ACCESS,
    Variable,
    VariableStore,
)
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated, Final
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Flag, GuidArgument, Option, Rest, Text
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.hexdump import hex_dump
from tdvfsh.shell.machine_binding import machine_of, running_machine
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID, Guid
from tdvfsh.uefi.patterns import matches
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


GLOBAL_VARIABLE: Final = str(EFI_GLOBAL_VARIABLE_GUID).upper()
_ATTRIBUTES: Final = (
    (EFI_VARIABLE_NON_VOLATILE, "NV"), (EFI_VARIABLE_RUNTIME_ACCESS, "RT"), (EFI_VARIABLE_BOOTSERVICE_ACCESS, "BS"),
)  # fmt: skip


def set_variable(shell: Shell, name: str, vendor: Guid, attributes: int, data: bytes) -> EfiStatus:
    """SetVariable of the shell's machine."""
    core = machine_of(shell).services.core
    return core.set_variable(name, vendor, attributes, data)


def get_variable(shell: Shell, name: str, vendor: Guid) -> Variable | None:
    """GetVariable of the shell's machine; None where there is no such variable."""
    variables, at_runtime = _variables(shell)
    return variables.get_variable(name, vendor, at_runtime=at_runtime).variable


def variables_of(shell: Shell) -> list[Variable]:
    """The variables of the shell's machine that GetNextVariableName enumerates, in its order."""
    variables, at_runtime = _variables(shell)
    return [one for one in variables if not at_runtime or one.attributes & EFI_VARIABLE_RUNTIME_ACCESS]


def _variables(shell: Shell) -> tuple[VariableStore, bool]:
    """To read: the machine's variables, or those that it will start with; and whether boot services are gone."""
    machine = running_machine(shell)
    if machine is None:
        return VariableStore(), False
    core = machine.services.core
    return core.variables, core.at_runtime


def attribute_text(attributes: int) -> str:
    """``NV+RT+BS``."""
    return "+".join(text for bit, text in _ATTRIBUTES if attributes & bit)


def parse_data(text: str) -> bytes | None:
    """Data of ``setvar``: hex digits (``H`` in front is allowed), ``S`` and ASCII, ``L`` and UTF-16."""
    kind, rest = text[:1], text[1:]
    if kind == "S":
        return rest.encode("latin-1", "replace")
    if kind == "L":
        return rest.encode("utf-16-le")
    digits = rest if kind == "H" else text.removeprefix("0x").removeprefix("0X")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def _header(variable: Variable) -> str:
    return (
        f"Variable {attribute_text(variable.attributes)} '{_text(variable.vendor)}:{variable.name}' "
        f"DataSize = 0x{len(variable.data):02x}\n"
    )


def _text(vendor: Guid) -> str:
    return str(vendor).upper()


@command("setvar", profile="Debug1")
def setvar(
    shell: Shell,
    name: Text,
    *data: Rest,
    guid: GuidArgument = GLOBAL_VARIABLE,
    nv: Flag = False,
    rt: Flag = False,
    bs: Flag = False,
) -> ShellStatus:
    """Show, set or delete a UEFI variable.

    SYNOPSIS:
        setvar name [-guid guid] [-bs] [-rt] [-nv] [=data]

    OPTIONS:
        -guid guid: The variable's vendor; the one of the global variables without it.
        -bs, -rt, -nv: For boot services, for the runtime too, non-volatile.
        =data: Hex digits, S and text for ASCII, L and text for UTF-16, parts separated by blanks; nothing deletes.

    DESCRIPTION:
        Without =data the variable is shown. The variables are the machine's: programs see them, and 'undo' and 'snap'
        go back to them. 'td new' starts a machine with the non-volatile ones; dmpstore -s keeps them in a file.

    EXAMPLES:
        Show a variable as bytes:
        setvar BootOrder -guid 8be4df61-93ca-11d2-aa0d-00e098032b8c
        Make a volatile one of two bytes:
        setvar mine -bs =0102

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: The data cannot be read, or the attributes are not the variable's.
        NOT_FOUND: There is no such variable.
        OUT_OF_RESOURCES: The store is full.
    """
    vendor = Guid(guid)
    known = get_variable(shell, name, vendor)
    if not data:
        if known is None:
            shell.print(f"setvar: Unable to get - {guid} - {name}.\n")
            return ShellStatus.NOT_FOUND
        shell.print(f"{guid} - {name} - {len(known.data):04X} Bytes\n{hex_dump(known.data, indent=0)}")
        return ShellStatus.SUCCESS
    if not data[0].startswith("="):
        shell.print(f"setvar: Invalid argument - '{data[0]}'\n")
        return ShellStatus.INVALID_PARAMETER
    words = [word for word in (data[0][1:], *data[1:]) if word]
    parts = [parse_data(word) for word in words]
    for word, part in zip(words, parts, strict=True):
        if part is None:
            shell.print(f"setvar: Invalid argument - '{word}'\n")
            return ShellStatus.INVALID_PARAMETER
    access = EFI_VARIABLE_BOOTSERVICE_ACCESS
    attributes = EFI_VARIABLE_NON_VOLATILE * nv | access * (bs or rt) | EFI_VARIABLE_RUNTIME_ACCESS * rt
    if not attributes & access:
        attributes = known.attributes if known is not None else attributes | access
    status = set_variable(shell, name, vendor, attributes, b"".join(part or b"" for part in parts))
    if status.is_error:
        shell.print(f"setvar: Unable to set - {guid} - {name}: {status.phrase}.\n")
    return ShellStatus(status.code)


@command("dmpstore", profile="Debug1")
def dmpstore(
    shell: Shell,
    name: Text | None = None,
    *,
    guid: GuidArgument = "",
    d: Flag = False,
    all_: Annotated[Flag, Option("-all")] = False,
    sfo: Flag = False,
    s: Annotated[FilePath | None, Option("-s")] = None,
    l: Annotated[FilePath | None, Option("-l")] = None,  # noqa: E741 - the option's name
) -> ShellStatus:
    """Show, save, load or delete UEFI variables.

    SYNOPSIS:
        dmpstore [-d] [-all | [name] [-guid guid]] [-sfo]
        dmpstore [-all | [name] [-guid guid]] -s file
        dmpstore [-all | [name] [-guid guid]] -l file

    OPTIONS:
        -all: All vendors; without it, and without -guid, only global variables.
        -guid guid: Only this vendor's.
        -d: Delete what is shown.
        -s file: Save it to a file.
        -l file: Set the variables of such a file.
        -sfo: Print Standard-Format Output.
        name: A name or pattern.

    EXAMPLES:
        Show the variables of the specification's GUID:
        dmpstore
        Show all variables:
        dmpstore -all
        Show a variable of the Shell's GUID:
        dmpstore path -guid 158DEF5A-F656-419C-B027-7A3192C079D2
        Save all to a file:
        dmpstore -all -s VarDump.txt
        Delete one:
        dmpstore -d BootOrder

    RETURNVALUES:
        SUCCESS: Done.
        NOT_FOUND: There is no such variable, or no such file.
        VOLUME_CORRUPTED: The file is damaged or not of this form.
    """
    vendor = None if all_ else Guid(guid or GLOBAL_VARIABLE)
    candidates = variables_of(shell)
    if l is not None:
        loaded = _load(shell, l)
        if isinstance(loaded, ShellStatus):
            return loaded
        candidates = loaded
    chosen = [
        one
        for one in candidates
        if (vendor is None or one.vendor == vendor) and (name is None or matches(one.name, name))
    ]
    if sfo:
        shell.print('ShellCommand,"dmpstore"\n')
        for one in chosen:
            shell.print(
                f'VariableInfo,"{one.name}","{_text(one.vendor)}","0x{one.attributes:X}","0x{len(one.data):X}","{one.data.hex().upper()}"\n'
            )
    if not chosen:
        return _nothing(shell, name, vendor, sfo=sfo)
    if s is not None:
        return _save(shell, s, chosen)
    status = EfiStatus.EFI_SUCCESS
    for one in chosen:
        if l is not None:
            shell.print(_header(one))
            status = set_variable(shell, *one)
        elif d:
            shell.print(f"Delete variable '{_text(one.vendor)}:{one.name}': ")
            status = set_variable(shell, *one._replace(data=b""))
            shell.print(f"{status.phrase}\n")
        elif not sfo:
            shell.print(_header(one) + hex_dump(one.data))
        if status.is_error:
            return ShellStatus(status.code)
    return ShellStatus.SUCCESS


def _nothing(shell: Shell, name: str | None, vendor: Guid | None, *, sfo: bool) -> ShellStatus:
    if not sfo:
        where = f"Guid {_text(vendor)}" if vendor is not None else ""
        what = f"Name {name}" if name is not None else ""
        shell.print(f"dmpstore: No matching variables found. {', '.join(part for part in (where, what) if part)}\n")
    return ShellStatus.NOT_FOUND


def _save(shell: Shell, path: str, variables: list[Variable]) -> ShellStatus:
    located = shell.locate(path)
    try:
        if located is None or not located[1]:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        located[0].drive.filesystem.save(located[1], (pack(variables),))
    except FileSystemError as error:
        shell.print(f"dmpstore: Cannot open file - '{path}'\n")
        return ShellStatus(error.status.code)
    shell.print(f"Save {len(variables)} variables to file: {path}.\n")
    return ShellStatus.SUCCESS


def _load(shell: Shell, path: str) -> list[Variable] | ShellStatus:
    data = shell.read_file(path)
    if data is None:
        shell.print(f"dmpstore: Cannot open file - '{path}'\n")
        return ShellStatus.NOT_FOUND
    loaded = unpack(data)
    if loaded is None:
        shell.print(f"dmpstore: Incorrect file format - '{path}'\n")
        return ShellStatus.VOLUME_CORRUPTED
    return loaded
