"""``smbiosview``: the SMBIOS structures that the configuration tables name.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/SmbiosView; SMBIOS 3.0 (DSP0134): 5.2.2 (entry point), 6.1
(structures).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated, Final, NamedTuple
from tdvfsh.script.numbers import parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import Flag, Option, Text
from tdvfsh.shell.guest_memory import MemoryFault, read, touch
from tdvfsh.shell.hexdump import hex_dump
from tdvfsh.shell.machine_binding import machine_of
from tdvfsh.uefi.guids import SMBIOS3_TABLE_GUID

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell
    from tdvfsh.td.trust_domain import TrustDomain

_ENTRY_POINT: Final = struct.Struct("<5sBBBBBBBIQ")
_HEADER: Final = struct.Struct("<BBH")
_END_OF_TABLE: Final = 127
_MOST_BYTES: Final = 1 << 20
_NAMES: Final = {
    0: "BIOS Information", 1: "System Information", 3: "System Enclosure", 4: "Processor Information",
    16: "Physical Memory Array ", 17: "Memory Device ", 19: "Memory Array Mapped Address ",
    32: "System Boot Information ", _END_OF_TABLE: "End-of-Table ",
}  # fmt: skip
_RULER: Final = "=" * 57 + "\n"
_WIDE_RULER: Final = "\n" + "=" * 60 + "\n"


class _EntryPoint(NamedTuple):
    anchor: bytes
    checksum: int
    length: int
    major: int
    minor: int
    docrev: int
    revision: int
    reserved: int
    maximum_size: int
    address: int

    def text(self) -> str:
        return (
            f"SMBIOS 3.0 (64-bit) Entry Point Structure:\nAnchor String:        {self.anchor.decode('latin-1')}\n"
            f"EPS Checksum:         0x{self.checksum:X}\nEntry Point Len:      {self.length}\n"
            f"Version:              {self.major}.{self.minor}\nSMBIOS Docrev:        0x{self.docrev:X}\n"
            f"Table Max Size:       {self.maximum_size}\nTable Address:        0x{self.address:X}\n"
            f"Entry Point revision: 0x{self.revision:X}\n"
        )


class _Structure(NamedTuple):
    kind: int
    handle: int
    length: int
    offset: int
    data: bytes


@command("smbiosview", profile="Debug1")
def smbiosview(
    shell: Shell,
    *,
    s: Flag = False,
    a: Flag = False,
    t: Annotated[Text | None, Option("-t")] = None,
    h: Annotated[Text | None, Option("-h")] = None,
) -> ShellStatus:
    """Show the SMBIOS tables that programs find.

    SYNOPSIS:
        smbiosview [-t type] | [-h handle] | [-s] | [-a]

    OPTIONS:
        -t type: Only structures of this type.
        -h handle: Only the structure with this handle.
        -s: A line for each structure: its place and length.
        -a: All structures, as without options.

    DESCRIPTION:
        A machine has the tables where programs run on a processor ('td -engine cpu'). Structures are shown as bytes, as
        firmware does with SHOW_OUTLINE; their fields are not decoded.

    EXAMPLES:
        smbiosview -s
        smbiosview -t 4

    RETURNVALUES:
        SUCCESS: Shown.
        INVALID_PARAMETER: More than one of the options.
        ACCESS_DENIED, NOT_FOUND: The tables lie in memory that cannot be read.
        UNSUPPORTED: This machine has no SMBIOS tables.
    """
    if (t is not None) + (h is not None) + s + a > 1:
        shell.print("smbiosview: Too many arguments.\n")
        return ShellStatus.INVALID_PARAMETER
    machine = machine_of(shell)
    where = machine.services.core.configuration_tables.get(SMBIOS3_TABLE_GUID)
    if where is None:
        shell.print("smbiosview: Not modelled: this machine has no SMBIOS tables.\n")
        return ShellStatus.UNSUPPORTED
    try:
        entry = _EntryPoint(*_ENTRY_POINT.unpack(_read(machine.td, where, _ENTRY_POINT.size)))
        structures = list(_structures(_read(machine.td, entry.address, min(entry.maximum_size, _MOST_BYTES))))
    except MemoryFault as fault:
        shell.print(f"smbiosview: {fault}\n")
        return fault.status
    if s:
        _statistics(shell, entry, structures)
        return ShellStatus.SUCCESS
    kind, handle = _number(t, 0xFF), _number(h, 0xFFFF)
    shell.print(
        f"{entry.text()}\n{_RULER}Query Structure, conditions are:\n"
        f"QueryType   = {'Random ' if kind is None else kind}\n"
        f"QueryHandle = {'Random' if handle is None else f'0x{handle:X}'}\nShowType    = SHOW_OUTLINE\n\n\n{_RULER}"
    )
    for index, one in enumerate(structures):
        if kind in (None, one.kind) and handle in (None, one.handle):
            _show(shell, 0 if handle is not None else index, one, entry.address)
    return ShellStatus.SUCCESS


def _number(text: str | None, most: int) -> int | None:
    """An option's number as firmware reads it: cut to its width, all ones where it is not a number."""
    if text is None:
        return None
    number = parse_number(text)
    return most if number is None else number & most


def _read(td: TrustDomain, address: int, size: int) -> bytes:
    touch(td, address, address + size)
    return read(td, address, size)


def _structures(data: bytes) -> Iterator[_Structure]:
    """The structures up to the last one, or to where the bytes are not one."""
    at, kind = 0, -1
    while kind != _END_OF_TABLE and at + _HEADER.size <= len(data):
        kind, length, handle = _HEADER.unpack_from(data, at)
        end = data.find(b"\0\0", at + max(length, _HEADER.size)) + 2
        if length < _HEADER.size or end < 2:
            return
        yield _Structure(kind, handle, length, at, data[at:end])
        at = end


def _statistics(shell: Shell, entry: _EntryPoint, structures: list[_Structure]) -> None:
    shell.print(_WIDE_RULER + entry.text() + _WIDE_RULER)
    for number, one in enumerate(structures, 1):
        shell.print(
            f"Index={number:04}   Type={one.kind:03}   Handle=0x{one.handle:04X}   Offset=0x{one.offset:04X}   "
            f"Length=0x{len(one.data):04X}\n"
        )


def _show(shell: Shell, index: int, one: _Structure, base: int) -> None:
    shell.print(
        f"Type={one.kind}, Handle=0x{one.handle:X}\nDump Structure as:\n"
        f"Index={index},Length=0x{len(one.data):X},Addr=0x{base + one.offset:X}\n{hex_dump(one.data, indent=0)}"
        f"Type: {_NAMES.get(one.kind, str(one.kind))}\nLength: {one.length}\nHandle: {one.handle}\n\n\n{_RULER}"
    )
