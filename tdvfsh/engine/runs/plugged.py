"""Virtio devices of a machine whose firmware is ours: plugged in, with base addresses as firmware sets them."""

from __future__ import annotations

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.virtio import plug_virtio
from tdvfsh.engine.tables.pci_host import PciHost
from tdvfsh.engine.virtio.parts import VirtioParts
from tdvfsh.lazy_typing import Final
from tdvfsh.units import MIB, align_up

_FIRST_ADDRESS: Final = 0xC0000000


def plug_in(board: Board, parts: VirtioParts) -> PciHost | None:
    """Plug in what was asked for.

    Returns:
        The host bridge for ACPI; None where there is nothing behind it.
    """
    if not plug_virtio(board, parts):
        return None
    memory_end = board.td.ram.low.end
    board.devices.pci.assign(max(align_up(memory_end, MIB), _FIRST_ADDRESS))
    return PciHost(memory_end, devices=board.devices.pci.plugged)
