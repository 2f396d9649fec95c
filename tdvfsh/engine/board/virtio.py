"""Virtio devices on the board: each gets a device number, the guest's memory and its interrupts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.dma import DmaView
from tdvfsh.engine.virtio.block import block_devices
from tdvfsh.engine.virtio.console import ConsoleDevice
from tdvfsh.engine.virtio.device import VirtioDevice
from tdvfsh.engine.virtio.entropy import EntropyDevice
from tdvfsh.engine.virtio.network.device import NetworkDevice
from tdvfsh.engine.virtio.parts import VirtioParts
from tdvfsh.engine.virtio.share.device import ShareDevice
from tdvfsh.engine.virtio.transport import VirtioFunction
from tdvfsh.lazy_typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAMES: Final = "virtio "
_FIRST: Final = 1
_LAST: Final = 24
MOST_DEVICES: Final = _LAST - _FIRST + 1


def _devices(board: Board, parts: VirtioParts) -> list[VirtioDevice]:
    """The devices, in order; the board's counter of what is missing counts what they refuse."""
    devices = block_devices(parts.disks, board.devices.missing)
    if parts.entropy:
        devices.append(EntropyDevice())
    if parts.console is not None:
        devices.append(ConsoleDevice(board.terminals.heard(parts.console)))
    if parts.share is not None:
        parts.share.now = partial(_nanoseconds, board)
        devices.append(ShareDevice(parts.share, board.devices.missing))
    if parts.network is not None:
        parts.network.now = board.now
        devices.append(NetworkDevice(parts.network, board.devices.missing))
    return devices


def virtio_refusals(board: Board) -> dict[str, int]:
    """What virtio devices refused, by a text that names the device, and how often."""
    return {text: count for text, count in sorted(board.devices.missing.items()) if text.startswith(_NAMES)}


def _nanoseconds(board: Board) -> int:
    """The virtual date since 1970."""
    return (board.date() - _EPOCH) // timedelta(microseconds=1) * 1000


def plug_virtio(board: Board, parts: VirtioParts) -> list[int]:
    """Plug devices in, before any guest code runs; returns their device numbers on bus 0.

    In a TD they offer VIRTIO_F_ACCESS_PLATFORM and insist on it, as they reach shared memory only. What is typed goes
    to a console from when its driver runs, and to the serial port before.
    """
    devices = _devices(board, parts)
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
        if isinstance(device, ConsoleDevice):
            device.driver = function
            board.terminals.add(device)
        if isinstance(device, NetworkDevice):
            device.driver = function
            board.network = device
    return numbers
