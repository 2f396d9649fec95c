"""Device paths: nodes, their text form, and their bytes.

Source: UEFI 2.10 chapter 10; text as edk2 MdePkg/Library/UefiDevicePathLib/DevicePathToText.c prints it.
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import Guid

_HARDWARE: Final = 0x01
_ACPI: Final = 0x02
_MESSAGING: Final = 0x03
_MEDIA: Final = 0x04
_PCI_ROOT_HID: Final = 0x0A0341D0  # PNP0A03 as an EISA id
_END: Final = b"\x7f\xff\x04\x00"


def _node(node_type: int, subtype: int, body: bytes) -> bytes:
    return struct.pack("<BBH", node_type, subtype, 4 + len(body)) + body


@dataclass(frozen=True, slots=True)
class VenHw:
    """Vendor-defined hardware."""

    guid: Guid

    def __str__(self) -> str:
        return f"VenHw({str(self.guid).upper()})"

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(_HARDWARE, 4, self.guid.bytes_le)


@dataclass(frozen=True, slots=True)
class VenMedia:
    """Vendor-defined media, such as QEMU's kernel loader and Linux's initrd."""

    guid: Guid

    def __str__(self) -> str:
        return f"VenMedia({str(self.guid).upper()})"

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(_MEDIA, 3, self.guid.bytes_le)


@dataclass(frozen=True, slots=True)
class MemoryMapped:
    """A range of memory of one EFI memory type."""

    memory_type: int
    start: int
    last: int

    def __str__(self) -> str:
        return f"MemoryMapped(0x{self.memory_type:X},0x{self.start:X},0x{self.last:X})"

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(_HARDWARE, 3, struct.pack("<IQQ", self.memory_type, self.start, self.last))


@dataclass(frozen=True, slots=True)
class FilePath:
    """A file on the device before it, with backslashes."""

    path: str

    def __str__(self) -> str:
        return self.path

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(_MEDIA, 4, (self.path + "\0").encode("utf-16-le"))


@dataclass(frozen=True, slots=True)
class Pci:
    """A PCI function on the bus before it."""

    device: int
    function: int

    def __str__(self) -> str:
        return f"Pci(0x{self.device:X},0x{self.function:X})"

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(_HARDWARE, 1, bytes((self.function, self.device)))


@dataclass(frozen=True, slots=True)
class PciRoot:
    """A PCI root bridge."""

    uid: int

    def __str__(self) -> str:
        return f"PciRoot(0x{self.uid:X})"

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(_ACPI, 1, struct.pack("<II", _PCI_ROOT_HID, self.uid))


@dataclass(frozen=True, slots=True)
class Sata:
    """A SATA device at a port of the host bus adapter before it."""

    port: int
    port_multiplier: int = 0xFFFF
    lun: int = 0

    def __str__(self) -> str:
        return f"Sata(0x{self.port:X},0x{self.port_multiplier:X},0x{self.lun:X})"

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(_MESSAGING, 18, struct.pack("<HHH", self.port, self.port_multiplier, self.lun))


@dataclass(frozen=True, slots=True)
class HardDrive:
    """A partition of the disk before it.

    Attributes:
        number: Partition number, from 1.
        start: First block.
        size: Blocks.
        signature: 16 bytes: the partition's GUID, or the disk's 4-byte signature and zeros.
        form: 1 for a master boot record, 2 for a GUID partition table.
        signature_type: 1 for a 4-byte signature, 2 for a GUID.
    """

    number: int
    start: int
    size: int
    signature: bytes
    form: int
    signature_type: int

    def __str__(self) -> str:
        if self.signature_type == 2:
            signature = f"GPT,{str(Guid(bytes_le=self.signature)).upper()}"
        else:
            signature = f"MBR,0x{int.from_bytes(self.signature[:4], 'little'):08X}"
        return f"HD({self.number},{signature},0x{self.start:X},0x{self.size:X})"

    def pack(self) -> bytes:
        """The node's bytes."""
        body = struct.pack(
            "<IQQ16sBB", self.number, self.start, self.size, self.signature, self.form, self.signature_type
        )
        return _node(_MEDIA, 1, body)


@dataclass(frozen=True, slots=True)
class OtherNode:
    """A node of any other kind; ``body`` is what follows its header."""

    node_type: int
    subtype: int
    body: bytes

    def __str__(self) -> str:
        return f"Path({self.node_type},{self.subtype},{self.body.hex().upper()})"

    def pack(self) -> bytes:
        """The node's bytes."""
        return _node(self.node_type, self.subtype, self.body)


DevicePathNode = VenHw | VenMedia | MemoryMapped | FilePath | Pci | PciRoot | Sata | HardDrive | OtherNode


@dataclass(frozen=True, slots=True)
class DevicePath:
    """A device path without its end node; ``str()`` is the text form, ``pack()`` the bytes with the end node."""

    nodes: tuple[DevicePathNode, ...]

    def __str__(self) -> str:
        return "/".join(str(node) for node in self.nodes)

    def __truediv__(self, node: DevicePathNode) -> DevicePath:
        return DevicePath((*self.nodes, node))

    def pack(self) -> bytes:
        """EFI_DEVICE_PATH_PROTOCOL as it stands in memory."""
        return b"".join(node.pack() for node in self.nodes) + _END
