"""Why a boot ended as it did, and what accepting more, or otherwise, would have changed."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from tdvfsh.boots.asked_steps import AskedStep
from tdvfsh.boots.explanation import Explanation
from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.formats.initrd import Initrd
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.loaders.flow import BootFailure
from tdvfsh.loaders.grub_memory import MEASURED_FILE
from tdvfsh.report.boots.boot_json import boot_dict
from tdvfsh.report.boots.boot_text import dma_lines, labelled, td_sentence
from tdvfsh.report.modelled_text import range_text
from tdvfsh.report.schema import document
from tdvfsh.report.table import printable, table_lines
from tdvfsh.report.width import text_width
from tdvfsh.units import human_size, ram_size

_LEAST_SHOWN: Final = 1 << 20
"""Bytes; smaller requests are counted, not listed."""
_NAME: Final = 17


def explain_lines(explanation: Explanation) -> list[str]:
    """The TD, what each step asked and got, the outcome with numbers, and what the other options make of it."""
    result = explanation.result
    lines = labelled("TD", td_sentence(result))
    lines += _steps(explanation.steps)
    lines += _measured(result)
    lines += _outcome(result)
    if not result.machine.options.td:
        return lines
    lines += _dma(result)
    if result.failure is not None:
        lines += _accepting(explanation, result.failure)
    if result.machine.imported_map is None:
        lines += _least(explanation)
    return [*lines, "", *_options(explanation)]


def explain_dict(explanation: Explanation, initrds: Sequence[Initrd]) -> dict[str, Any]:
    """The same as plain values; sizes in bytes."""
    members = {
        "boot": boot_dict(explanation.result, initrds),
        "steps": [
            {"what": step.what, "bytes": step.size, "call": step.call, "start": step.start, "freed": step.freed}
            for step in explanation.steps
        ],
        "largest_unaccepted": explanation.largest_unaccepted
        and dict(zip(("start", "end"), explanation.largest_unaccepted, strict=True)),
        "least_accept_bytes": explanation.least_accept,
        "options": [
            {
                "on_demand": one.name,
                "booted": one.result.booted,
                "status": one.result.status.name,
                "stage": one.result.stage,
                "on_demand_bytes": one.result.on_demand_bytes,
                "why": one.why,
            }
            for one in explanation.options
        ],
    }
    return document("explain", members)


def _steps(steps: Sequence[AskedStep]) -> list[str]:
    """The large requests; the small ones as a number."""
    large = [step for step in steps if step.size >= _LEAST_SHOWN]
    if not large:
        return labelled("asked", "nothing of 1 MiB or more was placed")
    rows = [
        (step.what + (" -" if step.freed else ""), human_size(step.size), step.call, f"got {step.start:#x}")
        for step in large
    ]
    lines = table_lines(rows, " >", indent=" " * 10)
    lines[0] = f"{'asked':<10}{lines[0][10:]}"
    if len(large) < len(steps):
        lines += labelled("", f"and {len(steps) - len(large)} smaller than 1 MiB")
    return lines


def _measured(result: BootResult) -> list[str]:
    """What a verifier of GRUB keeps in its heap."""
    held = sum(placement.size for placement in result.placements if placement.what == MEASURED_FILE)
    if not held:
        return []
    what = {"cc": "CC measurement", "tpm": "a TPM"}.get(result.machine.options.measures_with, "its verifier")
    return labelled(
        "measured",
        f"GRUB measures each file that it opens ({what}) and keeps it whole in its heap until it is closed, an initrd "
        f"until the kernel has started: {human_size(held)} beyond what the heap had",
    )


def _outcome(result: BootResult) -> list[str]:
    if result.booted:
        how = (
            f"{human_size(result.on_demand_bytes)} were accepted on demand on the way"
            if result.on_demand_bytes
            else "everything fitted into what was accepted at boot"
        )
        lines = labelled("result", f"it boots{', but without its initrd' if result.lacks_initrd else ''}: {how}")
        for message in result.messages:
            lines += labelled("console", message)
        return lines
    lines = labelled("result", f"{result.status.name} at {result.stage}")
    failure = result.failure
    if failure is None:
        return lines
    asked = f"{human_size(failure.asked_bytes)} ({failure.asked_bytes:#x} bytes) in one piece"
    lines += labelled("wanted", f"{failure.service}: {asked}" if failure.asked_bytes else failure.service)
    if failure.asked_bytes:
        lines += labelled("free", _largest_hole(failure))
    return lines + labelled("why", failure.why)


def _dma(result: BootResult) -> list[str]:
    """What no policy saves: the firmware's own driver accepts it a second time."""
    lines = dma_lines(result)
    if lines and result.dma_seconds > result.boot_accept_seconds:
        lines += labelled("", "that is more than all accepts at boot take, and no option below saves any of it")
    return lines


def _largest_hole(failure: BootFailure) -> str:
    largest = human_size(failure.largest_free_bytes)
    if failure.asked_bytes > failure.largest_free_bytes:
        lacking = human_size(failure.asked_bytes - failure.largest_free_bytes)
        return f"the largest hole that it could have used is {largest}: {lacking} too small"
    return f"the largest hole that it could have used is {largest}, which alignment or its limit leaves too small"


def _accepting(explanation: Explanation, failure: BootFailure) -> list[str]:
    """What accepting the rest would have changed for the request that failed."""
    asked = failure.asked_bytes
    if not asked:
        return []
    if explanation.largest_unaccepted is None:
        return labelled("accepting", "nothing is left to accept: more RAM or less to load is all that helps")
    start, end = explanation.largest_unaccepted
    largest = f"the largest unaccepted piece is {human_size(end - start)} at {start:#x}"
    if end - start >= asked:
        needs = human_size(asked)
        return labelled("accepting", f"would have made room for this request: {largest}, and it needs {needs}")
    return labelled(
        "accepting",
        f"would not have made room for this request, not even all {human_size(failure.unaccepted_bytes)}: {largest}, "
        "and memory accepted on demand never joins memory accepted at boot, for its descriptor has another attribute",
    )


def _least(explanation: Explanation) -> list[str]:
    least = explanation.least_accept
    if least is None:
        ram = ram_size(explanation.result.machine.options.memory)
        return labelled("at boot", f"without any option no --accept makes it boot in {ram} of RAM")
    return labelled("at boot", f"without any option it boots from --accept {least >> 20}M on")


def _options(explanation: Explanation) -> list[str]:
    own = explanation.result.machine.options.on_demand
    lines = ["The same boot under each option:"]
    for name, other, why in ((one.name, one.result, one.why) for one in explanation.options):
        outcome = "boots" if other.booted else f"{other.status.short_name} at {other.stage}"
        outcome += " without its initrd" if other.lacks_initrd else ""
        cost = f", {human_size(other.on_demand_bytes)} on demand" if other.on_demand_bytes else ""
        cost += f" in modelled {range_text(other.on_demand_time)}" if other.on_demand_bytes else ""
        mark = "*" if name == own else " "
        sentence = f"{outcome}{cost}: {why}"
        first, *more = wrap(printable(sentence), text_width() - _NAME, break_long_words=False)
        lines.append(f"{mark} {name:<{_NAME - 2}}{first}")
        lines += [f"{'':<{_NAME}}{line}" for line in more]
    return lines
