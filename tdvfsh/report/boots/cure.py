"""What makes a boot that failed succeed, in a line or two."""

from __future__ import annotations

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.uefi.status import EfiStatus
from tdvfsh.units import human_size, ram_size

if TYPE_CHECKING:
    from tdvfsh.boots.explanation import Cures

_OF_THE_RFC = {"allocator": "option 1", "loader": "option 2", "loader-literal": "option 2 as it is written",
               "service": "option 3"}  # fmt: skip


def cure_lines(cures: Cures | None) -> list[str]:
    """From which size accepted at boot it boots, and which options make it boot; nothing where there is no cure."""
    if cures is None:
        return []
    from tdvfsh.report.boots.boot_text import labelled

    return labelled("cure", cure_text(cures))


def cure_text(cures: Cures) -> str:
    """The same in a sentence."""
    if cures.result.status is EfiStatus.EFI_ACCESS_DENIED:
        return "--secure-boot off, or a kernel that db allows; memory is not the reason"
    least, ram = cures.least_accept, ram_size(cures.result.machine.options.memory)
    lines = [f"no --accept makes it boot in {ram}" if least is None else f"boots from --accept {least >> 20}M on"]
    for name, other in cures.options:
        if name in _OF_THE_RFC:
            cost = f"{human_size(other.on_demand_bytes)} accepted on demand"
            lines.append(f"{_OF_THE_RFC[name]} boots with {cost} (--on-demand {name})")
    if len(lines) == 1:
        lines.append("no option makes it boot")
    return "; ".join(lines)
