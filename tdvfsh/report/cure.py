"""What makes a boot that failed succeed, in a line or two."""

from __future__ import annotations

from dataclasses import replace

from tdvfsh.boots.compare import helping_options
from tdvfsh.boots.ladder import least_accept
from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.report.boot_text import labelled
from tdvfsh.units import human_size

_OF_THE_RFC = {"allocator": "option 1", "loader": "option 2", "loader-literal": "option 2 as it is written",
               "service": "option 3"}  # fmt: skip


def cure_lines(result: BootResult) -> list[str]:
    """From which size accepted at boot it boots, and which options make it boot; nothing for one that boots.

    The boot is made again for each, so this takes as long as a dozen boots.
    """
    options = result.machine.options
    if result.booted or not options.td or result.machine.imported_map is not None:
        return []
    least = least_accept(replace(options, on_demand="none"), result.files)
    ram = human_size(options.memory)
    first = f"no --accept makes it boot in {ram}" if least is None else f"boots from --accept {least >> 20}M on"
    cures = [first]
    for name, other in helping_options(result):
        if name in _OF_THE_RFC and other.booted and not other.lacks_initrd:
            cost = f"{human_size(other.on_demand_bytes)} accepted on demand"
            cures.append(f"{_OF_THE_RFC[name]} boots with {cost} (--on-demand {name})")
    if len(cures) == 1:
        cures.append("no option makes it boot")
    return labelled("cure", "; ".join(cures))
