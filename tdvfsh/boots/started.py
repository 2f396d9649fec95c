"""Many boots of one TD: its firmware starts once, and every boot goes back to that moment.

Before a boot loader runs, nothing depends on which loader it will be, what it does about missing memory, or where the
kernel will want to be. So boots that differ in these alone share a machine.
"""

from __future__ import annotations

from operator import itemgetter

from tdvfsh.accept.on_demand import on_demand_named
from tdvfsh.boots.modelled_boot import BootResult, boot_on, fw_cfg_bytes
from tdvfsh.lazy_typing import Final
from tdvfsh.loaders.files import BootFiles
from tdvfsh.machine.machine import Machine, stage_of
from tdvfsh.machine.options import TdOptions
from tdvfsh.machine.snapshot import MachineSnapshot
from tdvfsh.options.td import LATE, OPTIONS
from tdvfsh.td.footprint import BOOT_LOADER, DIRECT

_MOST: Final = 8
_USUAL: Final = TdOptions()
_LOADERS: Final = {DIRECT: "direct", BOOT_LOADER: "sd-boot"}
"""For each stage one of the flows that begin there."""
_early: Final = itemgetter(*(name for name in OPTIONS if name not in LATE))

_Key = tuple[str, int, tuple[object, ...]]
"""The stage, bytes in fw_cfg where they count, and the values of the options that are not late."""


class StartedMachines:
    """Machines whose firmware has come as far as its boot manager, the last few that were asked for."""

    def __init__(self) -> None:
        self._machines: dict[_Key, tuple[Machine, MachineSnapshot]] = {}

    def boot(self, options: TdOptions, files: BootFiles) -> BootResult:
        """Return what :func:`tdvfsh.boots.modelled_boot.boot` returns, sooner. The result is valid until the next boot.

        Raises:
            UsageError: As there.
        """
        stage = stage_of(options.loader)
        image_bytes = fw_cfg_bytes(files) if options.accept.add_images else 0
        key = stage, image_bytes, _early(vars(options))
        # Taken out while in use: the state that a raising boot leaves must not be used again.
        known = self._machines.pop(key, None)
        if known is None:
            known = _started(
                options.changed(loader=_LOADERS[stage], on_demand=_USUAL.on_demand, kaslr_seed=_USUAL.kaslr_seed),
                image_bytes,
            )
        machine, start = known
        machine.restore(start)
        machine.options = machine.options.changed(**{name: getattr(options, name) for name in LATE})
        machine.on_demand = on_demand_named(options.on_demand)
        machine.on_demand.attach(machine.services)
        result = boot_on(machine, files)
        self._machines[key] = known
        if len(self._machines) > _MOST:
            del self._machines[next(iter(self._machines))]
        return result


def _started(options: TdOptions, image_bytes: int) -> tuple[Machine, MachineSnapshot]:
    machine = Machine(options, image_bytes)
    return machine, machine.snapshot()
