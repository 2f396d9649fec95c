"""Device paths from the bytes in guest memory.

Source: UEFI 2.10 chapter 10.
"""

from __future__ import annotations

from tdvfsh.engine.errors import InaccessibleMemory
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.device_path import DevicePath, DevicePathNode
from tdvfsh.uefi.device_path_bytes import END_OF_PATH, NODE_HEADER_SIZE, parse_node

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
