"""Virtio devices on the board: each gets a device number, the guest's memory and its interrupts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.dma import DmaView
from tdvfsh.engine.virtio.block import block_devices
from tdvfsh.engine.virtio.device import VirtioDevice
from tdvfsh.engine.virtio.entropy import EntropyDevice
from tdvfsh.engine.virtio.transport import VirtioFunction
from tdvfsh.uefi.disk import Disk

_FIRST: Final = 1
_LAST: Final = 24
MOST_DEVICES: Final = _LAST - _FIRST + 1


def virtio_devices(disks: Sequence[Disk], entropy: bool, missing: Counter[str]) -> list[VirtioDevice]:
    """Block devices for disks, in order, and perhaps an entropy device after them; ``missing`` counts refusals."""
    blocks = block_devices(disks, missing)
    return [*blocks, EntropyDevice()] if entropy else blocks


def plug_virtio(board: Board, devices: Sequence[VirtioDevice]) -> list[int]:
    """Plug devices in, before any guest code runs; returns their device numbers on bus 0.

    In a TD they offer VIRTIO_F_ACCESS_PLATFORM and insist on it, as they reach shared memory only.
    """
    memory = DmaView(board.td, board.ram, board.dma_wrote, board.devices.missing)
    numbers = list(range(_FIRST, _FIRST + len(devices)))
    for number, device in zip(numbers, devices, strict=True):
        function = VirtioFunction(
            device,
            number,
            memory,
            board.devices.missing,
            board.devices.send_message,
            partial(board.devices.pins.set_pin, number),
            board.td.is_td,
        )
        board.devices.pci.plug(number, function.space)
    return numbers
