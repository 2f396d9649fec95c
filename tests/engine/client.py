"""A program that calls services and protocols as C code does."""

from __future__ import annotations

from io import StringIO

from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.uefi.guids import (
    Guid,
)
from tdvfsh.uefi.status import SUCCESS
from tests.engine.programs import Caller

OWN = Guid("11111111-2222-3333-4444-555555555555")
"""The vendor of variables and tables that tests make."""
BS, RT, NV = 2, 4, 1
END = bytes.fromhex("7fff0400")


class Client(Caller):
    """A program that asks for protocols."""

    def __init__(self, firmware: GuestFirmware, output: StringIO) -> None:
        super().__init__(firmware)
        self.output = output
        self.size = firmware.context.heap.allocate(16)

    def path(self, *nodes: bytes) -> int:
        return self.put(b"".join(nodes) + END)

    def result(self, address: int) -> bytes:
        """A device path that came back, which the caller frees."""
        end = self.ram.read(address, 256).index(END) + len(END)
        data = self.ram.read(address, end)
        assert self.boot("FreePool", address) == SUCCESS
        return data

    def get(self, name: str, room: int = 256) -> tuple[int, bytes, int]:
        """GetVariable: status, value, attributes."""
        self.ram.put_u64(self.size, room)
        attributes = self.size + 8
        guid = self.guid(OWN)
        status = self.runtime("GetVariable", self.text(name), guid, attributes, self.size, self.room)
        value = self.ram.read(self.room, self.ram.u64(self.size)) if status == SUCCESS else b""
        return status, value, self.ram.u32(attributes)

    def set(self, name: str, data: bytes, attributes: int = BS | RT | NV, vendor: Guid = OWN) -> int:
        where = self.put(data) if data else 0
        return self.runtime("SetVariable", self.text(name), self.guid(vendor), attributes, len(data), where)
