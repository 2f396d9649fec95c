"""Which virtio devices a machine has."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.engine.virtio.console import ConsoleOutput
from tdvfsh.engine.virtio.network.user_network import UserNetwork
from tdvfsh.engine.virtio.share.folder import SharedFolder
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.disk import Disk


@dataclass(frozen=True, slots=True)
class VirtioParts:
    """Devices by what is behind them, in the order of their device numbers.

    Attributes:
        disks: Disks of block devices, in boot order.
        entropy: Whether there is an entropy device.
        console: Takes what a console's port sends; None for no console.
        share: The folder of a file system device; None for no such device.
        network: What a network device is connected to; None for no such device.
    """

    disks: Sequence[Disk] = ()
    entropy: bool = False
    console: ConsoleOutput | None = None
    share: SharedFolder | None = None
    network: UserNetwork | None = None


NO_PARTS: Final = VirtioParts()
