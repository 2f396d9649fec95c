"""The story of one boot, for people."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from tdvfsh.formats.initrd import Initrd
from tdvfsh.loaders.flow import Placement
from tdvfsh.machine.boot import BootResult
from tdvfsh.report.table import printable, table_lines
from tdvfsh.units import human_size

WIDTH = 100
_LABEL = 10


def story_lines(result: BootResult, initrds: Sequence[Initrd]) -> list[str]:
    """Files, TD, placements, outcome and accept account; under a screen."""
    return [
        *files_lines(result, initrds),
        *labelled("TD", td_sentence(result)),
        "",
        *placement_lines(result.placements),
        "",
        *outcome_lines(result),
        *account_lines(result),
    ]


def files_lines(result: BootResult, initrds: Sequence[Initrd]) -> list[str]:
    """Kernel, initrds and command line, with sizes read from the files."""
    kernel = result.files.kernel
    parts = [human_size(kernel.size)]
    if kernel.linux is not None:
        major, minor = kernel.linux.version >> 8, kernel.linux.version & 0xFF
        parts.append(f"bzImage, boot protocol {major}.{minor:02}")
        if kernel.linux.kernel_version:
            parts.append(f"Linux {kernel.linux.kernel_version.split()[0]}")
    if kernel.pe is not None:
        parts.append(f"image {human_size(kernel.pe.size_of_image)}")
    if kernel.kernel_buffer_size:
        parts.append(f"unpacks into {human_size(kernel.kernel_buffer_size)}")
    lines = labelled("kernel", f"{kernel.path}: {', '.join(parts)}")
    for initrd in initrds:
        formats = " + ".join(segment.format for segment in initrd.segments[:4])
        if len(initrd.segments) > 4:
            formats += f" and {len(initrd.segments) - 4} more"
        lines += labelled(
            "initrd",
            f"{initrd.path}: {human_size(initrd.size)}, {formats}, {human_size(initrd.unpacked_size)} unpacked",
        )
    if result.files.cmdline:
        lines += labelled("cmdline", result.files.cmdline)
    return lines


def td_sentence(result: BootResult) -> str:
    """What the TD is made of, in a line."""
    options = result.machine.options
    vcpus = "1 vCPU" if options.vcpus == 1 else f"{options.vcpus} vCPUs"
    common = f"{human_size(options.memory)} RAM, {vcpus}, firmware {options.firmware_model}, loader {options.loader}"
    if not options.td:
        return f"plain VM, {common}"
    return f"{common}, accept {options.accept.name} at boot, on demand: {options.on_demand}"


def placement_lines(placements: Sequence[Placement]) -> list[str]:
    """One line per placement in the order in which they were made; ``-`` marks what is gone again."""
    rows = [
        (
            placement.what + (" -" if placement.freed else ""),
            f"{placement.start:#x}",
            f"{placement.end:#x}",
            human_size(placement.size),
            placement.memory_type.label,
        )
        for placement in placements
    ]
    return table_lines([("placed", "start", "end", "size", "type"), *rows], " >>>") if rows else []


def outcome_lines(result: BootResult) -> list[str]:
    """What became of it, and why."""
    if result.booted:
        return labelled("result", "the kernel has left boot services: EFI_SUCCESS")
    lines = labelled("result", f"{result.status.name} at {result.stage}")
    for message in result.messages:
        lines += labelled("console", message)
    if result.failure is not None:
        lines += labelled("why", result.failure.why)
    return lines


def account_lines(result: BootResult) -> list[str]:
    """Who accepted how much, and the modelled time."""
    if not result.machine.options.td:
        return labelled("accepted", "a plain VM accepts nothing")
    return labelled(
        "accepted",
        f"{human_size(result.boot_bytes)} at boot (modelled {result.boot_accept_seconds:.3f} s) "
        f"+ {human_size(result.on_demand_bytes)} on demand (modelled {result.on_demand_seconds:.3f} s) "
        f"+ {human_size(result.left_to_os_bytes)} left to the OS = {human_size(result.machine.td.ram.memory)}",
    )


def labelled(label: str, text: str) -> list[str]:
    """``label`` in a column of its own, ``text`` wrapped beside it."""
    lines = wrap(printable(text), WIDTH - _LABEL, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{label if not index else '':<{_LABEL}}{line}".rstrip() for index, line in enumerate(lines)]
