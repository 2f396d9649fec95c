"""Device paths from the bytes in guest memory and from text.

Source: UEFI 2.10 chapter 10 and 10.6.1.6; edk2 MdePkg/Library/UefiDevicePathLib.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from tdvfsh.engine.errors import InaccessibleMemory
from tdvfsh.engine.ram import GuestRam
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
from tdvfsh.uefi.guids import Guid

END_OF_PATH: Final = (0x7F, 0xFF)
_HEADER: Final = 4
_LIMIT: Final = 1 << 16
_PCI_ROOT_HID: Final = 0x0A0341D0


def device_path_size(path: DevicePath) -> int:
    """Bytes of a path without its end node."""
    return len(path.pack()) - _HEADER


def parse_device_path(ram: GuestRam, address: int) -> DevicePath:
    """The first instance of the device path at ``address``.

    Raises:
        InaccessibleMemory: It runs into memory that is not there, or never ends.
    """
    nodes: list[DevicePathNode] = []
    at = address
    while at - address < _LIMIT:
        node_type, subtype = ram.u8(at), ram.u8(at + 1)
        length = ram.u16(at + 2)
        if node_type & 0x7F == END_OF_PATH[0] or length < _HEADER:
            return DevicePath(tuple(nodes))
        nodes.append(parse_node(node_type, subtype, ram.read(at + _HEADER, length - _HEADER)))
        at += length
    raise InaccessibleMemory(at, _HEADER, False)


def parse_node(node_type: int, subtype: int, body: bytes) -> DevicePathNode:
    """One node from its type, subtype and what follows the header."""
    match node_type, subtype, len(body):
        case 1, 1, 2:
            return Pci(body[1], body[0])
        case 1, 3, 20:
            return MemoryMapped(*struct.unpack("<IQQ", body))
        case 1, 4, 16:
            return VenHw(Guid(bytes_le=body))
        case 2, 1, 8 if struct.unpack("<II", body)[0] == _PCI_ROOT_HID:
            return PciRoot(struct.unpack("<II", body)[1])
        case 3, 18, 6:
            return Sata(*struct.unpack("<HHH", body))
        case 4, 1, 38:
            number, start, size, signature, form, kind = struct.unpack("<IQQ16sBB", body)
            return HardDrive(number, start, size, signature, form, kind)
        case 4, 3, 16:
            return VenMedia(Guid(bytes_le=body))
        case 4, 4, _ if len(body) % 2 == 0:
            path = FilePath(body.decode("utf-16-le", "replace").split("\0")[0])
            if path.pack()[_HEADER:] == body:
                return path
    return OtherNode(node_type, subtype, body)


_NODE: Final = re.compile(r"(?P<name>\w+)\((?P<arguments>[^()]*)\)$")


def device_path_from_text(text: str) -> DevicePath:
    """A device path from its text form; what is no known node is a file's name."""
    return DevicePath(tuple(node_from_text(part) for part in text.split("/") if part))


def node_from_text(text: str) -> DevicePathNode:
    """One node from its text form; a file's name where it is of no known form, or its numbers do not fit the node."""
    try:
        node = _named_node(text)
        if node is not None:
            node.pack()
            return node
    except (ValueError, IndexError, TypeError, struct.error):
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
        case "VenHw":
            return VenHw(Guid(arguments[0]))
        case "VenMedia":
            return VenMedia(Guid(arguments[0]))
        case "MemoryMapped":
            return MemoryMapped(*(int(word, 0) for word in arguments[:3]))
        case "Path":
            return OtherNode(int(arguments[0], 0), int(arguments[1], 0), bytes.fromhex(arguments[2]))
    return None
