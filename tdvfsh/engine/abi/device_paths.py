"""Device paths from the bytes in guest memory and from text.

Source: UEFI 2.10 chapter 10 and 10.6.1.6; edk2 MdePkg/Library/UefiDevicePathLib.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from typing import Final

from tdvfsh.engine.errors import InaccessibleMemory
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.uefi.device_path import (
    DevicePath,
    DevicePathNode,
    FilePath,
    HardDrive,
    MemoryMapped,
    OtherNode,
    Pci,
    PciRoot,
    Sata,
    VenHw,
    VenMedia,
)
from tdvfsh.uefi.device_path_bytes import END_OF_PATH, NODE_HEADER_SIZE, parse_node
from tdvfsh.uefi.device_path_text import known_node, node_text
from tdvfsh.uefi.guids import Guid

_END_OF_INSTANCE: Final = 0x01
_HEADER: Final = NODE_HEADER_SIZE
_LIMIT: Final = 1 << 16


def device_path_size(path: DevicePath) -> int:
    """Bytes of a path without its end node."""
    return len(path.pack()) - _HEADER


def parse_device_path(ram: GuestRam, address: int) -> DevicePath:
    """The first instance of the device path at ``address``.

    Raises:
        InaccessibleMemory: It runs into memory that is not there, or never ends.
    """
    return parse_instances(ram, address, most=1)[0]


def parse_instances(ram: GuestRam, address: int, most: int = 1 << 10) -> list[DevicePath]:
    """The instances of the device path at ``address``, up to a limit; raises :class:`InaccessibleMemory`."""
    found: list[DevicePath] = []
    nodes: list[DevicePathNode] = []
    at = address
    while at - address < _LIMIT:
        node_type, subtype = ram.u8(at), ram.u8(at + 1)
        length = ram.u16(at + 2)
        if node_type & 0x7F == END_OF_PATH[0] or length < _HEADER:
            found.append(DevicePath(tuple(nodes)))
            if subtype != _END_OF_INSTANCE or length < _HEADER or len(found) == most:
                return found
            nodes = []
        else:
            nodes.append(parse_node(node_type, subtype, ram.read(at + _HEADER, length - _HEADER)))
        at += length
    raise InaccessibleMemory(at, _HEADER, False)


_NODE: Final = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\)$", re.DOTALL)
_SEPARATOR: Final = re.compile(r"/(?![^(]*\))")
_BETWEEN_INSTANCES: Final = re.compile(r",(?![^(]*\))")
_DISK_FORMS: Final = {"MBR": 1, "GPT": 2}


def device_path_text(paths: Sequence[DevicePath]) -> str:
    """The instances of a device path as text."""
    return ",".join("/".join(node_text(node) for node in path.nodes) for path in paths)


def device_paths_from_text(text: str) -> list[DevicePath]:
    """The instances of a device path from its text form; what is not a known node is a file's name."""
    return [
        DevicePath(tuple(node_from_text(part) for part in _SEPARATOR.split(instance) if part))
        for instance in _BETWEEN_INSTANCES.split(text)
    ]


def node_from_text(text: str) -> DevicePathNode:
    """One node from its text form; a file's name where it is of no known form, or its numbers do not fit the node."""
    try:
        node = _named_node(text)
        if node is not None:
            node.pack()
            return node
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, struct.error):
        pass
    return FilePath(text)


def _named_node(text: str) -> DevicePathNode | None:
    match = _NODE.match(text)
    if match is None:
        return None
    arguments = [word.strip() for word in match["arguments"].split(",")]
    match match["name"]:
        case "PciRoot":
            return PciRoot(int(arguments[0], 0))
        case "Pci":
            return Pci(int(arguments[0], 0), int(arguments[1], 0))
        case "Sata":
            return Sata(*(int(word, 0) for word in arguments[:3]))
        case "VenHw" if len(arguments) == 1:
            return VenHw(Guid(arguments[0]))
        case "VenMedia" if len(arguments) == 1:
            return VenMedia(Guid(arguments[0]))
        case "HD":
            form = _DISK_FORMS[arguments[1]]
            signature = Guid(arguments[2]).bytes_le if form == 2 else int(arguments[2], 0).to_bytes(16, "little")
            number, start, size = (int(arguments[place], 0) for place in (0, 3, 4))
            return HardDrive(number=number, start=start, size=size, signature=signature, form=form, signature_type=form)
        case "MemoryMapped":
            return MemoryMapped(*(int(word, 0) for word in arguments[:3]))
        case "Path":
            return OtherNode(int(arguments[0], 0), int(arguments[1], 0), bytes.fromhex(arguments[2]))
    return known_node(match["name"], arguments)
