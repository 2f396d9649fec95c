"""What each acceptor accepted in a boot on the processor, from the firmware to the operating system's end."""

from __future__ import annotations

from collections.abc import Mapping

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.engine.tdx.page_accepts import Acceptor, AcceptTally
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.td.cost import Modelled

FIRMWARE: Final = "firmware"
LOADER: Final = "on demand"
DMA: Final = "after DMA"


class AcceptRow(NamedTuple):
    """Accepts of one caller: its name, the first and the number of its vCPUs, what was accepted, the modelled time."""

    name: str
    vcpu: int
    vcpus: int
    tally: AcceptTally
    time: Modelled

    @property
    def executed_by(self) -> str:
        """The vCPUs by number."""
        return str(self.vcpu) if self.vcpus == 1 else f"{self.vcpu}-{self.vcpu + self.vcpus - 1}"


def accept_account(result: BootResult, tallies: Mapping[Acceptor, AcceptTally]) -> tuple[AcceptRow, ...]:
    """All callers that accepted, in order: the firmware at boot, on demand before the kernel, then the kernel's phases.

    Args:
        result: The boot up to the kernel.
        tallies: What was accepted after that, by acceptor.
    """
    boot = result.machine.boot_accept
    rows: list[AcceptRow] = []
    if boot is not None:
        outcome = boot.outcome
        first = AcceptTally(
            calls=outcome.calls,
            pages_4k=outcome.pages_4k,
            pages_2m=outcome.pages_2m,
            mismatches=outcome.size_mismatches,
            refused=outcome.already_accepted,
            td_exits=outcome.td_exits,
        )
        rows.append(AcceptRow(FIRMWARE, 0, len(boot.accepted_bytes_per_vcpu), first, boot.time))
    later = AcceptTally(
        result.accept_calls - result.dma_pages - (boot.outcome.calls if boot is not None else 0),
        result.on_demand_pages("pages_4k"),
        result.on_demand_pages("pages_2m"),
    )
    if later.calls:
        rows.append(AcceptRow(LOADER, 0, 1, later, result.on_demand_time))
    if result.dma_pages:
        again = AcceptTally(result.dma_pages, result.dma_pages)
        rows.append(AcceptRow(DMA, 0, 1, again, result.dma_time))
    phases = list(dict.fromkeys(acceptor.phase for acceptor in tallies))
    by_phase = sorted(tallies.items(), key=lambda item: (phases.index(item[0].phase), item[0].vcpu))
    cost = result.machine.td.cost
    return (
        *rows,
        *(AcceptRow(acceptor.phase, acceptor.vcpu, 1, tally, cost.time(tally)) for acceptor, tally in by_phase),
    )
