"""What a VMM plugs into the board of real firmware, beside what every board has: fw_cfg with all that is in it, the CPU
hotplug registers and the keyboard controller."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.dma import DmaView
from tdvfsh.engine.devices.cpu_hotplug import ADDRESS as CPU_HOTPLUG
from tdvfsh.engine.devices.cpu_hotplug import SIZE as CPU_HOTPLUG_PORTS
from tdvfsh.engine.devices.cpu_hotplug import CpuHotplug
from tdvfsh.engine.devices.fw_cfg import PORT as FW_CFG_PORT
from tdvfsh.engine.devices.fw_cfg import PORTS as FW_CFG_PORTS
from tdvfsh.engine.devices.fw_cfg import Contents, FwCfg
from tdvfsh.engine.devices.keyboard_controller import COMMAND, DATA, CommandPort, KeyboardController
from tdvfsh.engine.firmware.configuration import boot_items, boot_order, machine_files, machine_items, shim_files
from tdvfsh.formats.mapped import open_mapped
from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.loaders.files import BootFiles
from tdvfsh.td.trust_domain import TrustDomain


class Configuration(NamedTuple):
    """Contents of fw_cfg: items by their numbers, files by their names."""

    items: dict[int, Contents]
    files: dict[str, Contents | Callable[[], Contents]]


def configuration(
    board: Board,
    td: TrustDomain,
    boot: BootFiles | None,
    shim: str | None,
    *,
    patch_header: bool,
    disks: Sequence[int],
) -> Configuration:
    """What the VMM puts into fw_cfg.

    Args:
        board: The board, whose PCI functions the tables describe.
        td: The TD or plain VM.
        boot: Kernel, initrds and command line; None for no direct boot.
        shim: Path of the shim that the kernel is started through, or None.
        patch_header: Whether the VMM writes into the kernel's setup header.
        disks: PCI device numbers of the disks, in boot order.
    """
    items, files = machine_items(td), machine_files(td, board.devices.pci)
    if boot is not None:
        items |= boot_items(boot, td if patch_header else None)
    files |= boot_order(boot is not None, disks)
    if boot is not None and shim is not None:
        files |= shim_files(boot, open_mapped(shim).view)
    return Configuration(items, files)


def attach_devices(board: Board, td: TrustDomain, content: Configuration) -> FwCfg:
    """Attach all of them to the board's ports; returns fw_cfg with its contents."""
    devices = board.devices
    fw_cfg = FwCfg(
        content.items, content.files, DmaView(td, board.ram, board.dma_wrote, devices.missing), devices.missing
    )
    devices.ports.attach(FW_CFG_PORT, FW_CFG_PORTS, "fw_cfg", fw_cfg)
    devices.ports.attach(CPU_HOTPLUG, CPU_HOTPLUG_PORTS, "CPU hotplug", CpuHotplug(td.vcpus, devices.missing))
    keyboard = KeyboardController(devices.missing)
    devices.ports.attach(DATA, 1, "keyboard controller", keyboard)
    devices.ports.attach(COMMAND, 1, "keyboard controller", CommandPort(keyboard))
    return fw_cfg
