"""A diagnosis, in readable form and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.report.boots.boot_text import account_lines, labelled, outcome_lines, placement_lines, td_sentence
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from tdvfsh.boots.modelled_boot import BootResult
    from tdvfsh.diagnosis.boot_log import BootLog
    from tdvfsh.diagnosis.known_faults import MetFault


def log_lines(log: BootLog) -> list[str]:
    """What the log tells of the machine."""
    facts = log.facts
    lines = labelled("log", f"{log.path}: {len(log.lines):,} lines")
    lines += labelled("firmware", log.firmware or "not named in the log")
    lines += labelled("kernel", f"Linux {log.kernel}" if log.kernel else "no kernel speaks in the log")
    if log.cmdline:
        lines += labelled("cmdline", log.cmdline)
    if log.map is not None:
        free = sum(
            entry.size for entry in log.map.descriptors if entry.memory_type == EfiMemoryType.EfiConventionalMemory
        )
        text = f"{len(log.map.descriptors)} ranges, read from {log.map.form}: {human_size(free)} free"
        text += f", {human_size(facts.unaccepted)} unaccepted" if facts.unaccepted else ", nothing unaccepted"
        lines += labelled("map", text)
        for note in log.map.notes:
            lines += labelled("", note)
    else:
        lines += labelled("map", f"none: {log.map_error}")
    vcpus = f"{facts.vcpus} vCPUs" if facts.vcpus is not None else "vCPUs unknown"
    lines += labelled("machine", f"{'a TD' if facts.td else 'no sign of a TD'}, {vcpus}")
    if log.initrd is not None:
        start, end = log.initrd
        lines += labelled("initrd", f"{human_size(end - start)} at {start:#x}")
    return lines


def fault_lines(met: Sequence[MetFault]) -> list[str]:
    """The faults that it meets: what happens, what helps, and where that is known from."""
    lines: list[str] = []
    for one in met:
        fault = one.fault
        label = "fault" if one.certain else "perhaps"
        lines += labelled(label, f"{fault.name}: {fault.text}")
        if one.line:
            lines += labelled("  seen", f"line {one.line}: {one.seen}")
        if not one.certain:
            lines += labelled("  if", f"the version of the {fault.component} is affected: the log does not name it")
        lines += labelled("  helps", fault.help)
        fixed = f"; fixed by {fault.commit}" if fault.commit else ""
        lines += labelled("  known", f"{fault.source}{fixed}")
    return lines


def boot_lines(result: BootResult) -> list[str]:
    """What the model makes of a kernel on that machine."""
    return [
        "",
        *labelled("boot", f"{result.files.kernel.path}: {td_sentence(result)}"),
        *placement_lines(result.placements),
        *outcome_lines(result),
        *account_lines(result),
    ]


def fault_dicts(met: Sequence[MetFault]) -> list[dict[str, object]]:
    """The faults as plain values."""
    return [
        {
            "name": one.fault.name,
            "in": one.fault.component,
            "certain": one.certain,
            "line": one.line or None,
            "text": one.fault.text,
            "help": one.fault.help,
            "commit": one.fault.commit or None,
            "source": one.fault.source,
        }
        for one in met
    ]


def log_dict(log: BootLog) -> dict[str, object]:
    """What the log tells, as plain values."""
    facts = log.facts
    return {
        "log": log.path,
        "firmware": log.firmware or None,
        "edk2": ".".join(f"{part:02}" for part in facts.edk2) or None,
        "kernel": log.kernel or None,
        "cmdline": log.cmdline or None,
        "td": facts.td,
        "vcpus": facts.vcpus,
        "memory": facts.memory,
        "unaccepted": facts.unaccepted,
        "map": None if log.map is None else {"form": log.map.form, "ranges": len(log.map.descriptors)},
        "map_error": log.map_error or None,
    }
