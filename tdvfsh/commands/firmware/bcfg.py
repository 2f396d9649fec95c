"""``bcfg``: boot and driver options, kept as UEFI variables.

Source: UEFI 2.10 section 3.1.3 (EFI_LOAD_OPTION); edk2 ShellPkg/Library/UefiShellBcfgCommandLib.
"""

from __future__ import annotations

import struct

from tdvfsh.commands.firmware.setvar import get_variable, set_variable
from tdvfsh.dxe.variables import (
    EFI_VARIABLE_BOOTSERVICE_ACCESS,
    EFI_VARIABLE_NON_VOLATILE,
    EFI_VARIABLE_RUNTIME_ACCESS,
)
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated, NamedTuple
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Option, Rest, Text
from tdvfsh.uefi.guids import EFI_GLOBAL_VARIABLE_GUID

if TYPE_CHECKING:
    from tdvfsh.dxe.variables import Variable
    from tdvfsh.shell.shell import Shell

_ACTIVE = 1  # LOAD_OPTION_ACTIVE
_ATTRIBUTES = EFI_VARIABLE_NON_VOLATILE | EFI_VARIABLE_BOOTSERVICE_ACCESS | EFI_VARIABLE_RUNTIME_ACCESS
_KINDS = {"boot": "Boot", "driver": "Driver", "sysprep": "SysPrep"}
_FILE_PATH_NODE = b"\x04\x04"  # media device path, file path
_END_NODE = b"\x7f\xff\x04\x00"
_OPTIONS = 0x10000


class BootOption(NamedTuple):
    """One option: its number, its description, and the file that it starts (with the drive's device path)."""

    number: int
    description: str
    path: str


def encode(option: BootOption) -> bytes:
    """EFI_LOAD_OPTION with a file path node."""
    name = (option.path + "\0").encode("utf-16-le")
    node = _FILE_PATH_NODE + struct.pack("<H", 4 + len(name)) + name
    path = node + _END_NODE
    return struct.pack("<IH", _ACTIVE, len(path)) + (option.description + "\0").encode("utf-16-le") + path


def decode(number: int, data: bytes) -> BootOption | None:
    """The option in a variable's data, None where it is not of this form."""
    if len(data) < 8:
        return None
    length = struct.unpack_from("<IH", data)[1]
    text = data[6:].decode("utf-16-le", "replace").partition("\0")[0]
    start = 6 + len(text) * 2 + 2
    node = data[start : start + length]
    if len(node) != length or node[:2] != _FILE_PATH_NODE:
        return None
    size = struct.unpack_from("<H", node, 2)[0]
    return BootOption(number, text, node[4:size].decode("utf-16-le", "replace").rstrip("\0"))


class _Options:
    """The options of one kind in their order."""

    def __init__(self, shell: Shell, kind: str) -> None:
        self._shell = shell
        self._kind = kind
        order = self._get(f"{kind}Order")
        data = order.data if order is not None else b""
        self.order = list(struct.unpack(f"<{len(data) // 2}H", data[: len(data) // 2 * 2]))

    def _get(self, name: str) -> Variable | None:
        return get_variable(self._shell, name, EFI_GLOBAL_VARIABLE_GUID)

    def _set(self, name: str, data: bytes) -> None:
        set_variable(self._shell, name, EFI_GLOBAL_VARIABLE_GUID, _ATTRIBUTES, data)

    def name(self, number: int) -> str:
        return f"{self._kind}{number:04X}"

    def all(self) -> list[BootOption]:
        found: list[BootOption] = []
        for number in self.order:
            variable = self._get(self.name(number))
            option = decode(number, variable.data) if variable is not None else None
            found.append(option if option is not None else BootOption(number, "", ""))
        return found

    def put(self, option: BootOption) -> None:
        self._set(self.name(option.number), encode(option))

    def remove(self, number: int) -> None:
        self._set(self.name(number), b"")

    def save(self) -> None:
        self._set(f"{self._kind}Order", struct.pack(f"<{len(self.order)}H", *self.order))


@command("bcfg", profile="BCFG", counts=False)
def bcfg(
    shell: Shell, *words: Rest, v: Flag = False, opt: Annotated[Text | None, Option("-opt")] = None
) -> ShellStatus:
    """Show and change boot, driver and preparation options.

    SYNOPSIS:
        bcfg boot|driver|sysprep dump [-v]
        bcfg boot|driver|sysprep add position file "description"
        bcfg boot|driver|sysprep rm position
        bcfg boot|driver|sysprep mv position position

    OPTIONS:
        dump: List the options in their order; -v shows their data's size too.
        add: Put a file at a position, counted from 0 in hex.
        rm: Remove the option at a position.
        mv: Move an option to another position.
        -v: Show the size of the options' data too.
        -opt data: Not supported.

    DESCRIPTION:
        The options are the UEFI variables Boot#### and BootOrder (Driver, SysPrep alike). The status does not go into
        lasterror.

    EXAMPLES:
        Show the driver options:
        bcfg driver dump
        Show the boot options, with the size of their data:
        bcfg boot dump -v
        Put a driver at place 5:
        bcfg driver add 5 mydriver.efi "My Driver"
        Put a boot loader at place 3:
        bcfg boot add 3 osloader.efi "My OS"
        Remove the option at place 3:
        bcfg boot rm 3
        Move the option at place 3 to place 7:
        bcfg boot mv 3 7

    RETURNVALUES:
        SUCCESS: Done.
        INVALID_PARAMETER: The words make no sense, or there is no such position.
        NOT_FOUND: There is no such file.
        UNSUPPORTED: -opt, which this shell does not have.
    """
    if opt is not None:
        shell.print("bcfg: Optional data (-opt) is not kept here.\n")
        return ShellStatus.UNSUPPORTED
    if len(words) < 2:
        shell.print("bcfg: Too few arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    kind, action, rest = _KINDS.get(words[0].lower()), words[1].lower(), words[2:]
    if kind is None:
        shell.print("bcfg: Driver or Boot must be selected.\n")
        return ShellStatus.INVALID_PARAMETER
    needed = {"dump": 0, "add": 3, "rm": 1, "mv": 2}.get(action)
    if needed is None:
        shell.print(f"bcfg: Invalid argument - '{words[1]}'\n")
        return ShellStatus.INVALID_PARAMETER
    if len(rest) != needed:
        shell.print(f"bcfg: Too {'few arguments.' if len(rest) < needed else 'many arguments'}\n")
        if not rest:
            shell.print("bcfg: Invalid argument - '<null string>'\n")
        return ShellStatus.INVALID_PARAMETER
    options = _Options(shell, kind)
    if action == "dump":
        return _dump(shell, options, verbose=v)
    positions = [parse_number(word, force_hex=True) for word in (rest[:1] if action == "add" else rest)]
    limit = len(options.order) + (action == "add")
    for word, position in zip(rest, positions, strict=False):
        if position is None:
            shell.print(f"bcfg: Invalid argument - '{word}'\n")
            return ShellStatus.INVALID_PARAMETER
        if position >= limit:
            shell.print(f"bcfg: Numbers must be under {limit:X}.\n")
            return ShellStatus.INVALID_PARAMETER
    places = [position or 0 for position in positions]
    if action == "add":
        return _add(shell, options, places[0], rest[1], rest[2])
    number = options.order.pop(places[0])
    if action == "mv":
        options.order.insert(places[1], number)
    else:
        options.remove(number)
    options.save()
    return ShellStatus.SUCCESS


def _dump(shell: Shell, options: _Options, *, verbose: bool) -> ShellStatus:
    listed = options.all()
    if not listed:
        shell.print("No options found.\n")
    for position, option in enumerate(listed):
        shell.print(
            f"Option: {position:02X}. Variable: {options.name(option.number)}\n"
            f"  Desc    - {option.description}\n  DevPath - {option.path}\n  Optional- N\n"
        )
        if verbose:
            shell.print(f"  Size    - 0x{len(encode(option)):X}\n")
    return ShellStatus.SUCCESS


def _add(shell: Shell, options: _Options, position: int, path: str, description: str) -> ShellStatus:
    found = shell.find_files(path)
    if len(found) != 1 or found[0].info.is_directory:
        shell.print(f"bcfg: File not found - '{path}'\n")
        return ShellStatus.NOT_FOUND
    number = next(number for number in range(_OPTIONS) if number not in options.order)
    item = found[0]
    full = f"{item.mapping.drive.device_path}/\\" + "\\".join(item.parts)
    options.put(BootOption(number, description, full))
    options.order.insert(position, number)
    options.save()
    shell.print(f"bcfg: Add {options.name(number)} as {position:X}\n")
    return ShellStatus.SUCCESS
