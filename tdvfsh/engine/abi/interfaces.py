"""Protocol interfaces in both forms: the structure that guest code sees, and the object that the host's code uses.

What firmware installed is an object, and its structure is built when a guest first asks for it. What a guest installed
is a structure, and the handle database holds a :class:`GuestInterface` with its address.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from tdvfsh.engine.abi.memory import FirmwareHeap
from tdvfsh.engine.abi.service_table import Answer, Service, service_of, unsupported
from tdvfsh.engine.abi.stubs import Stubs
from tdvfsh.engine.x86.ram import GuestRam
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.uefi.device_path import DevicePath
from tdvfsh.uefi.guids import Guid

Field = int | bytes | Service | Callable[..., Answer]
"""A field of an interface: a 64-bit number, raw bytes, or a service."""

Builder = Callable[[int, object], int | None]
"""Makes the structure of an object on a handle; None where the object is not of the kind it knows."""


@dataclass(frozen=True, slots=True)
class GuestInterface:
    """An interface that guest code installed: the address of its structure, which may be 0."""

    address: int


@dataclass(frozen=True, slots=True)
class GuestDevicePath(DevicePath):
    """A device path that guest code installed, and where its bytes stand."""

    address: int


class Interfaces:
    """Structures of firmware's own interfaces.

    Args:
        ram: Guest memory.
        heap: Where structures go.
        stubs: Where their services get entry points.
    """

    def __init__(self, ram: GuestRam, heap: FirmwareHeap, stubs: Stubs) -> None:
        self._ram = ram
        self._heap = heap
        self._service_stubs = stubs
        self._builders: dict[Guid, Builder] = {}
        self._built: dict[tuple[Guid, int], tuple[object, int]] = {}
        self._stubs: dict[Callable[..., Answer], int] = {}

    def register(self, protocol: Guid, builder: Builder) -> None:
        """How interfaces of ``protocol`` are built."""
        self._builders[protocol] = builder

    def address_of(self, handle: int, protocol: Guid, interface: object) -> int | None:
        """Address of an interface as a guest sees it, or None where no guest can see it."""
        if isinstance(interface, GuestInterface | GuestDevicePath):
            return interface.address
        key = (protocol, id(interface))
        known = self._built.get(key)
        if known is not None and known[0] is interface:
            return known[1]
        builder = self._builders.get(protocol)
        address = builder(handle, interface) if builder is not None else 0 if interface is None else None
        if address is not None:
            self._built[key] = (interface, address)
        return address

    def structure(self, fields: Sequence[Field]) -> int:
        """Build a structure in the firmware's own memory; returns its address."""
        packed = self.pack(fields)
        address = self._heap.allocate(len(packed))
        self._ram.write(address, packed)
        return address

    def pack(self, fields: Sequence[Field]) -> bytes:
        """The bytes of a structure; services become the addresses of their stubs."""
        parts = []
        for field in fields:
            if isinstance(field, bytes):
                parts.append(field)
            elif isinstance(field, int):
                parts.append(struct.pack("<Q", field))
            elif isinstance(field, Service):
                parts.append(struct.pack("<Q", self._service_stubs.add(field)))
            else:
                parts.append(struct.pack("<Q", self.stub(field)))
        return b"".join(parts)

    def missing(self, protocol: str, *names: str) -> list[Service]:
        """Functions of a protocol that are not there: they answer EFI_UNSUPPORTED, and the journal names them."""
        return [unsupported(f"{protocol}.{name}") for name in names]

    def stub(self, method: Callable[..., Answer]) -> int:
        """Address of the stub of a marked method; one for each method and object."""
        address = self._stubs.get(method)
        if address is None:
            address = self._stubs[method] = self._service_stubs.add(service_of(method))
        return address
