"""Why a boot ended as it did, and what accepting more, or otherwise, would have changed."""

from __future__ import annotations

from tdvfsh.machine.boot import BootResult
from tdvfsh.machine.compare import helping_options
from tdvfsh.report.boot_text import labelled, td_sentence
from tdvfsh.report.table import table_lines
from tdvfsh.units import human_size

_WHO = {
    "none": "nobody accepts anything after boot time",
    "allocator": "the DXE allocator accepts when it would return OUT_OF_RESOURCES (option 1)",
    "loader": "the loader accepts what a failed step lacked and repeats it (option 2, repaired)",
    "loader-literal": "the loader accepts after LoadImage returned OUT_OF_RESOURCES, once (option 2 to the letter)",
    "service": "the loader calls AcceptMemory() before each step (option 3)",
}


def explain_lines(result: BootResult) -> list[str]:
    """The boot's TD, its outcome with numbers, and the outcome of the same boot under each other option."""
    lines = labelled("TD", td_sentence(result))
    lines += _outcome(result)
    if not result.machine.options.td:
        return lines
    lines += ["", "The same boot under the other options:"]
    rows = []
    for name, other in helping_options(result):
        outcome = "boots" if other.booted else f"{other.status.short_name} at {other.stage}"
        rows.append((name, outcome, human_size(other.on_demand_bytes), _WHO[name]))
    lines += table_lines(rows, "  >", indent="  ")
    return lines


def _outcome(result: BootResult) -> list[str]:
    if result.booted:
        how = (
            f"{human_size(result.on_demand_bytes)} were accepted on demand on the way"
            if result.on_demand_bytes
            else "everything fitted into what was accepted at boot"
        )
        return labelled("result", f"it boots: {how}")
    failure = result.failure
    lines = labelled("result", f"{result.status.name} at {result.stage}")
    if failure is None:
        return lines
    lines += labelled("asked", f"{failure.service}: {human_size(failure.asked_bytes)} ({failure.asked_bytes:#x} bytes)")
    lines += labelled("free", f"largest piece in reach: {human_size(failure.largest_free_bytes)}")
    lines += labelled("why", failure.why)
    if failure.asked_bytes > failure.unaccepted_bytes:
        lines += labelled(
            "so",
            f"accepting the remaining {human_size(failure.unaccepted_bytes)} could not have made one piece of "
            f"{human_size(failure.asked_bytes)}: memory accepted on demand never joins memory accepted at boot",
        )
    return lines
