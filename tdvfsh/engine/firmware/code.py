"""Names for the code of real firmware, by the modules of its file."""

from __future__ import annotations

from tdvfsh.engine.firmware.image import FirmwareImage
from tdvfsh.engine.x86.cpu import Cpu
from tdvfsh.engine.x86.ram import GuestRam


class FirmwareCode:
    """Modules of one firmware file.

    Args:
        image: The file.
    """

    def __init__(self, image: FirmwareImage) -> None:
        self._image = image

    def name(self, address: int) -> str:
        """The module's name."""
        return "firmware"

    def place(self, address: int) -> str:
        """Module and offset."""
        return f"{address:#x}"

    def call_stack(self, cpu: Cpu, ram: GuestRam) -> tuple[str, ...]:
        """Places that the stack was called from."""
        return ()

    def phase(self, cpu: Cpu) -> str:
        """The module that executes an instruction."""
        return "firmware"
