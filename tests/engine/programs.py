"""Runs small EFI programs in a fresh TD."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO

from tdvfsh.engine.console.keys import ScriptedKeys
from tdvfsh.engine.console.screen import Screen, TranscriptDisplay
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.uefi.guids import Guid
from tdvfsh.uefi.service_names import BOOT_SERVICES, RUNTIME_SERVICES
from tdvfsh.uefi.status import SUCCESS, EfiStatus

TABLE_HEADER = 24


@dataclass
class Ran:
    """How a program ended."""

    firmware: GuestFirmware
    status: EfiStatus
    output: str

    @property
    def calls(self) -> list[str]:
        """Names of the services that were called, by any caller."""
        return [record.service for record in self.firmware.machine.trace]


@contextmanager
def guest(
    options: TdOptions | None = None, keys: str = "", violation_ve: bool = False
) -> Iterator[tuple[GuestFirmware, StringIO]]:
    """Firmware for guest code, and what it prints."""
    output = StringIO()
    machine = Machine(options or TdOptions())
    firmware = GuestFirmware(machine, Screen(TranscriptDisplay(output)), ScriptedKeys(keys), violation_ve=violation_ve)
    try:
        yield firmware, output
    finally:
        firmware.close()


class Caller:
    """Calls services as a program would: through their stubs, with pointers into guest memory.

    Attributes:
        room: Address of 1 KiB of scratch memory.
    """

    def __init__(self, firmware: GuestFirmware) -> None:
        self.firmware = firmware
        self.ram = firmware.ram
        self.room = firmware.context.heap.allocate(1024)

    def put(self, data: bytes) -> int:
        """Bytes in guest memory."""
        address = self.firmware.context.heap.allocate(len(data))
        self.ram.write(address, data)
        return address

    def text(self, text: str) -> int:
        """A CHAR16 string in guest memory."""
        return self.put((text + "\0").encode("utf-16-le"))

    def guid(self, guid: Guid) -> int:
        """A GUID in guest memory."""
        return self.firmware.context.guid_address(guid)

    def boot(self, name: str, *arguments: int) -> int:
        """A boot service."""
        return self._entry(self.firmware.tables.boot_services, BOOT_SERVICES.index(name), arguments)

    def runtime(self, name: str, *arguments: int) -> int:
        """A runtime service."""
        return self._entry(self.firmware.tables.runtime_services, RUNTIME_SERVICES.index(name), arguments)

    def _entry(self, table: int, index: int, arguments: tuple[int, ...]) -> int:
        return self.firmware.context.call(self.ram.u64(table + TABLE_HEADER + 8 * index), *arguments)

    def protocol(self, guid: Guid) -> int:
        """The first interface of a protocol."""
        assert self.boot("LocateProtocol", self.guid(guid), 0, self.room) == SUCCESS
        return self.ram.u64(self.room)

    def member(self, interface: int, index: int, *arguments: int) -> int:
        """A function of an interface; ``this`` is not added."""
        return self.firmware.context.call(self.ram.u64(interface + 8 * index), *arguments)


def load(firmware: GuestFirmware, image: bytes, name: str = "test.efi") -> int:
    """LoadImage from a buffer; returns the handle."""
    machine = firmware.machine
    status, handle = machine.services.load_image(False, machine.firmware_image, None, memoryview(image))
    assert status is SUCCESS
    assert handle is not None
    firmware.name_image(handle, name)
    return handle


def run(image: bytes, options: TdOptions | None = None, keys: str = "", violation_ve: bool = False) -> Ran:
    """Load and start a program in a fresh TD."""
    with guest(options, keys, violation_ve) as (firmware, output):
        status = firmware.services.start_image(load(firmware, image)).status
        return Ran(firmware, status, output.getvalue())
