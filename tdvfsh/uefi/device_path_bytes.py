"""Device path nodes from their bytes.

Source: UEFI 2.10 chapter 10.
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_typing import Final
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
NODE_HEADER_SIZE: Final = 4
_PCI_ROOT_HID: Final = 0x0A0341D0


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
            return HardDrive(number=number, start=start, size=size, signature=signature, form=form, signature_type=kind)
        case 4, 3, 16:
            return VenMedia(Guid(bytes_le=body))
        case 4, 4, _ if len(body) % 2 == 0:
            path = FilePath(body.decode("utf-16-le", "replace").split("\0")[0])
            if path.pack()[NODE_HEADER_SIZE:] == body:
                return path
    return OtherNode(node_type, subtype, body)


def device_path_from_bytes(data: bytes) -> DevicePath | None:
    """The first instance of a device path in a buffer that holds all of it; None where it runs out of the buffer."""
    nodes: list[DevicePathNode] = []
    at = 0
    while at + NODE_HEADER_SIZE <= len(data):
        node_type, subtype, length = struct.unpack_from("<BBH", data, at)
        if node_type & 0x7F == END_OF_PATH[0]:
            return DevicePath(tuple(nodes))
        if length < NODE_HEADER_SIZE or at + length > len(data):
            return None
        nodes.append(parse_node(node_type, subtype, data[at + NODE_HEADER_SIZE : at + length]))
        at += length
    return None
