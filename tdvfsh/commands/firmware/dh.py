"""``dh``: the handle database.

Source: edk2 ShellPkg/Library/UefiShellDriver1CommandsLib/Dh.c; UEFI Shell 2.2, command dh (columns of -sfo).
"""

from __future__ import annotations

from tdvfsh.commands.firmware.protocol_names import guid_named, protocol_name, protocol_names
from tdvfsh.dxe.loaded_image import LoadedImage
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.report.sfo import sfo_header, sfo_row
from tdvfsh.report.table import printable
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Kind, Option, Text
from tdvfsh.shell.machine_binding import connect_drives, machine_of, running_machine
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import EFI_DEVICE_PATH_PROTOCOL_GUID, Guid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tdvfsh.dxe.handles import HandleDatabase
    from tdvfsh.shell.shell import Shell

_DETAIL_WIDTH = 14


ProtocolName = Annotated[str, Kind("protocol", lambda word: word)]
HandleNumber = Annotated[str, Kind("handle", lambda word: word)]


@command("dh", profile="Driver1")
def dh(
    shell: Shell,
    handle: HandleNumber | None = None,
    *,
    protocol: Annotated[ProtocolName | None, Option("-p")] = None,
    language: Annotated[Text | None, Option("-l")] = None,
    d: Flag = False,
    v: Flag = False,
    verbose: Flag = False,
    sfo: Flag = False,
) -> ShellStatus:
    """Show handles and the protocols on them.

    SYNOPSIS:
        dh [-b] [-p protocol] [-l language] [-v] [-d] [-sfo] [handle]

    OPTIONS:
        -b: Stop after each screen.
        -p protocol: Only handles with this protocol: a name such as LoadedImage, or a GUID.
        -v, -verbose: With details of device paths and loaded images.
        -d: Driver model: nothing is added; openinfo shows which drivers have opened a handle.
        -l language: Of driver names, which are not shown.
        -sfo: Print Standard-Format Output.
        handle: One handle, by its number in hex.

    DESCRIPTION:
        The columns of a HandlesInfo row of -sfo are driver name, controller name, handle, device path and protocols,
        the last divided by semicolons.

    EXAMPLES:
        Show all handles, a page at a time:
        dh -b
        Show all about handle 30:
        dh 30
        Show the handles with a protocol:
        dh -p diskio
        Show all loaded images:
        dh -p LoadedImage -b

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: There is no such handle or protocol name.
        NOT_FOUND: No handle has that protocol.
    """
    machine = machine_of(shell)
    connect_drives(shell, machine)
    handles = machine.services.handles
    p = guid_named(protocol) if protocol is not None else None
    if protocol is not None and p is None:
        shell.print(f"Protocol Name '{protocol}' could not be identified.\n")
        return ShellStatus.NOT_FOUND
    if handle is not None:
        number = parse_number(handle, force_hex=True)
        if number is None or number not in handles:
            shell.print(f"dh: Handle - '{handle}' not found\n")
            return ShellStatus.INVALID_PARAMETER
        wanted = [number]
    else:
        wanted = handles.locate_handles(p)
        if p is not None and not wanted:
            shell.print(f"dh: No handle has protocol {protocol_name(p)}.\n")
            return ShellStatus.NOT_FOUND
    if sfo:
        lines = [sfo_header("dh"), *(_sfo_row(handles, number) for number in wanted)]
    elif handle is not None:
        lines = _single(handles, wanted[0], verbose=v or verbose)
    else:
        lines = ["Handle dump" if p is None else f"Handle dump by protocol '{protocol_name(p)}'"]
        for number in wanted:
            lines += _one_of_many(handles, number, verbose=v or verbose)
    for line in lines:
        shell.print(printable(line) + "\n")
    return ShellStatus.SUCCESS


def _one_of_many(handles: HandleDatabase, number: int, *, verbose: bool) -> list[str]:
    found = handles.protocols(number)
    if verbose:
        return [f"{number:02X}:", *_details(found)]
    return [f"{number:02X}: " + " ".join(_brief(guid, interface) for guid, interface in found.items())]


def _single(handles: HandleDatabase, number: int, *, verbose: bool) -> list[str]:
    found = handles.protocols(number)
    if verbose:
        return [f"{number:02X}:", *_details(found)]
    return [f"{number:02X}:", *(f"  {_brief(guid, interface)}" for guid, interface in found.items())]


def _brief(guid: Guid, interface: object) -> str:
    """A protocol's name, with what tells one from another where there is such a thing."""
    name = protocol_name(guid)
    if isinstance(interface, DevicePath):
        return f"{name}({interface})"
    if isinstance(interface, LoadedImage) and interface.file_path is not None:
        return f"{name}({interface.file_path})"
    return name


def _details(found: dict[Guid, object]) -> list[str]:
    lines: list[str] = []
    for guid, interface in found.items():
        lines.append(f"  {protocol_name(guid)} {str(guid).upper()}")
        if isinstance(interface, DevicePath):
            lines.append(f"    {interface}")
        elif isinstance(interface, LoadedImage):
            lines += [f"    {name:.<{_DETAIL_WIDTH}}: {value}" for name, value in _image_details(interface)]
    return lines


def _image_details(image: LoadedImage) -> list[tuple[str, str]]:
    return [
        ("ParentHandle", f"{image.parent_handle:X}"),
        ("DeviceHandle", "-" if image.device_handle is None else f"{image.device_handle:X}"),
        ("FilePath", "-" if image.file_path is None else str(image.file_path)),
        ("LoadOptions", image.load_options or "-"),
        ("ImageBase", f"{image.image_base:X}"),
        ("ImageSize", f"{image.image_size:X}"),
        ("EntryPoint", f"{image.entry_point:X}"),
        ("CodeType", image.image_code_type.name),
        ("DataType", image.image_data_type.name),
        ("Started", "yes" if image.started else "no"),
        ("Unload", "-" if image.unload is None else "yes"),
    ]


def _sfo_row(handles: HandleDatabase, number: int) -> str:
    found = handles.protocols(number)
    path = found.get(EFI_DEVICE_PATH_PROTOCOL_GUID)
    names = ";".join(protocol_name(guid) for guid in found)
    return sfo_row("HandlesInfo", "", "", f"{number:X}", str(path) if path is not None else "", names)


def _handle_numbers(shell: Shell) -> Iterable[str]:
    machine = running_machine(shell)
    return [f"{number:X}" for number in machine.services.handles] if machine is not None else ()


def _add_completions() -> None:
    from tdvfsh.shell.command.completion import add_provider

    add_provider("protocol", lambda shell: protocol_names())
    add_provider("handle", _handle_numbers)


_add_completions()
