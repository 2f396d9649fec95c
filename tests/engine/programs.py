"""Runs small EFI programs in a fresh TD."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO

from tdvfsh.engine.firmware import GuestFirmware
from tdvfsh.engine.keys import ScriptedKeys
from tdvfsh.engine.screen import Screen, TranscriptDisplay
from tdvfsh.machine import Machine, TdOptions
from tdvfsh.uefi.status import SUCCESS, EfiStatus


@dataclass
class Ran:
    """How a program ended."""

    firmware: GuestFirmware
    status: EfiStatus
    output: str

    @property
    def calls(self) -> list[str]:
        """Names of the services that were called, by anybody."""
        return [record.service for record in self.firmware.machine.trace]


@contextmanager
def guest(
    options: TdOptions | None = None, keys: str = "", violation_ve: bool = False
) -> Iterator[tuple[GuestFirmware, StringIO]]:
    """Firmware for guest code, and what it prints."""
    output = StringIO()
    machine = Machine(options or TdOptions())
    firmware = GuestFirmware(machine, Screen(TranscriptDisplay(output)), ScriptedKeys(keys), violation_ve)
    try:
        yield firmware, output
    finally:
        firmware.close()


def load(firmware: GuestFirmware, image: bytes, name: str = "test.efi") -> int:
    """LoadImage from a buffer; gives the handle."""
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
