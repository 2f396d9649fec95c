"""The story of one boot, in readable form."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.boots.distribution import refused_by_distribution
from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.formats.initrd import Initrd
from tdvfsh.linux.os_side import OsSide
from tdvfsh.loaders.flow import Placement
from tdvfsh.machine.options import UNLESS_OBJECTED
from tdvfsh.report.modelled_text import cell_text, range_text
from tdvfsh.report.table import printable, table_lines
from tdvfsh.report.width import text_width
from tdvfsh.units import human_size, ram_size

_LABEL = 10


def story_lines(result: BootResult, initrds: Sequence[Initrd]) -> list[str]:
    """Files, TD, placements, outcome and accept account; under a screen."""
    return [
        *files_lines(result, initrds),
        *labelled("TD", td_sentence(result)),
        *[line for note in result.machine.start.notes for line in labelled("from", note)],
        "",
        *placement_lines(result.placements),
        "",
        *after_boot_lines(result),
    ]


def after_boot_lines(result: BootResult) -> list[str]:
    """Outcome, accept account, and the operating system's side."""
    return [
        *outcome_lines(result),
        *account_lines(result),
        *os_lines(result.os_side),
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
    firmware = result.machine.start.firmware_name
    common = f"{ram_size(options.memory)} RAM, {vcpus}, firmware {firmware}, loader {options.loader}"
    if not options.td:
        return f"plain VM, {common}"
    if result.machine.imported_map is None:
        parts = [common, f"accept {options.accept.name} at boot", f"on demand: {options.on_demand}"]
    else:
        parts = [common, "accepted as the map says", f"on demand: {options.on_demand}"]
    if options.accept_at_exit == UNLESS_OBJECTED:
        parts.append("the rest at ExitBootServices unless the OS objects")
    cost = result.machine.td.cost
    parts.append(f"cost {cost.name}")
    if options.host_page_size != cost.host_page_size:
        parts.append(f"host maps {human_size(options.host_page_size)} pages")
    if not options.sept_ve_disable:
        parts.append("SEPT_VE_DISABLE off")
    if options.fault:
        parts.append(f"faults {' '.join(options.fault)}")
    return ", ".join(parts)


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
        without = ", without its initrd" if result.lacks_initrd else ""
        lines = labelled("result", f"the kernel has left boot services{without}: EFI_SUCCESS")
        lines += [line for message in result.messages for line in labelled("console", message)]
        firmware = refused_by_distribution(result)
        if firmware is not None:
            lines += labelled("note", f"{firmware} would refuse this kernel: --secure-boot microsoft")
        return lines
    lines = labelled("result", f"{result.status.name} at {result.stage}")
    for message in result.messages:
        lines += labelled("console", message)
    if result.failure is not None:
        lines += labelled("why", result.failure.why)
    return lines


def account_lines(result: BootResult) -> list[str]:
    """How much each caller accepted, and the modelled time."""
    if not result.machine.options.td:
        return labelled("accepted", "a plain VM accepts nothing")
    return (
        _sec_lines(result)
        + labelled(
            "accepted",
            f"{human_size(result.boot_bytes)} at boot (modelled {range_text(result.boot_accept_time)}) "
            f"+ {human_size(result.on_demand_bytes)} on demand (modelled {range_text(result.on_demand_time)}) "
            f"+ {human_size(result.left_to_os_bytes)} left to the OS = {ram_size(result.machine.td.ram.memory)}",
        )
        + dma_lines(result)
    )


def dma_lines(result: BootResult) -> list[str]:
    """What was accepted a second time, because a device had to see it."""
    if not result.dma_pages:
        return []
    pages = f"{result.dma_pages:,} pages of 4 KiB were shared for DMA and accepted again"
    return labelled("DMA", f"{pages} (modelled {range_text(result.dma_time)})")


def os_lines(side: OsSide | None) -> list[str]:
    """What the operating system accepts after that, modelled; nothing where there is nothing to accept."""
    if side is None or not (side.steps or side.notes):
        return []
    lines = []
    if side.steps:
        total = f"modelled: it accepts {human_size(side.accepted_bytes)} more in {range_text(side.time)},"
        lines = ["", *labelled("OS", f"{total} and leaves {human_size(side.left_bytes)} (accept_memory={side.policy})")]
        rows = [(step.who, human_size(step.accepted_bytes or 0), cell_text(step.time), step.why) for step in side.steps]
        lines += table_lines(rows, " >>", indent=" " * _LABEL)
    if side.unmet_bytes:
        lines += labelled("", f"{human_size(side.unmet_bytes)} of the workload find no memory")
    for note in side.notes:
        lines += labelled("OS", note)
    return lines


def _sec_lines(result: BootResult) -> list[str]:
    """SEC's accept by several vCPUs, or of a host that maps small pages only."""
    sec = result.machine.boot_accept
    if sec is None:
        return []
    sentences = []
    vcpus = len(sec.accepted_bytes_per_vcpu)
    if vcpus > 1:
        busiest = human_size(max(sec.accepted_bytes_per_vcpu))
        sentences.append(
            f"{vcpus} vCPUs in chunks of 32 MiB, {busiest} by the busiest; modelled, the boot processor alone: "
            f"{range_text(sec.serial)}; all together: {range_text(sec.parallel)}"
        )
    if sec.outcome.size_mismatches:
        sentences.append(
            f"{sec.outcome.size_mismatches:,} accepts of 2 MiB ended with PAGE_SIZE_MISMATCH and were made again as "
            "512 of 4 KiB"
        )
    return labelled("SEC", "; ".join(sentences)) if sentences else []


def labelled(label: str, text: str, column: int = _LABEL) -> list[str]:
    """``label`` in a column of its own, ``text`` wrapped beside it."""
    from textwrap import wrap

    lines = wrap(printable(text), text_width() - column, break_long_words=False, break_on_hyphens=False) or [""]
    return [f"{label if not index else '':<{column}}{line}".rstrip() for index, line in enumerate(lines)]
