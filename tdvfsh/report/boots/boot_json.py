"""A boot as one JSON object; its keys are a contract that scripts and CI rely on."""

from __future__ import annotations

from collections.abc import Sequence

from tdvfsh.boots.modelled_boot import BootResult
from tdvfsh.diagnosis.of_boot import faults_of
from tdvfsh.formats.initrd import Initrd
from tdvfsh.lazy_typing import TYPE_CHECKING, Any
from tdvfsh.linux.os_side import OsAccept, OsSide
from tdvfsh.loaders.files import KernelFile
from tdvfsh.report.boots.cure import cure_text
from tdvfsh.report.cost_text import cost_object
from tdvfsh.report.diagnosis_text import fault_dicts
from tdvfsh.report.schema import document
from tdvfsh.td.sec import SecAccept
from tdvfsh.uefi.memory import memory_type_name

if TYPE_CHECKING:
    from tdvfsh.boots.explanation import Cures


def boot_dict(result: BootResult, initrds: Sequence[Initrd], cures: Cures | None = None) -> dict[str, Any]:
    """Everything that ``tdvfsh boot --json`` prints; addresses and sizes are plain numbers of bytes.

    ``accept.calls`` counts completed TDCALLs; ``modelled_seconds`` come from the cost model, not from a clock: likely
    values, ``range`` low and high, and the names of those that rest on placeholders or are extrapolated. ``cure`` is
    null where the boot succeeded, and where nothing was looked for.
    """
    td = result.machine.td
    boot = result.machine.boot_accept
    failure = result.failure
    times = {
        "boot_accept": result.boot_accept_time,
        "on_demand_accept": result.on_demand_time,
        "dma_accept": result.dma_time,
    }
    members = {
        "td": result.machine.options.as_dict(),
        "firmware": _firmware(result),
        "known_faults": fault_dicts(faults_of(result)),
        "images": {
            "kernel": _kernel(result.files.kernel),
            "initrd": [
                {
                    "path": initrd.path,
                    "size": initrd.size,
                    "segments": [
                        {
                            "format": segment.format,
                            "offset": segment.offset,
                            "size": segment.size,
                            "unpacked_size": segment.unpacked_size,
                        }
                        for segment in initrd.segments
                    ],
                }
                for initrd in initrds
            ],
            "cmdline": result.files.cmdline,
        },
        "status": result.status.name,
        "stage": result.stage,
        "placements": [
            {
                "what": placement.what,
                "start": placement.start,
                "end": placement.end,
                "memory_type": placement.memory_type.name,
                "freed": placement.freed,
            }
            for placement in result.placements
        ],
        "accept": {
            "added_bytes": td.added_bytes,
            "boot_bytes": result.boot_bytes,
            "on_demand_bytes": result.on_demand_bytes,
            "calls": result.accept_calls,
            "dma_pages": result.dma_pages,
            "pages_4k": (boot.outcome.pages_4k if boot else 0) + result.on_demand_pages("pages_4k"),
            "pages_2m": (boot.outcome.pages_2m if boot else 0) + result.on_demand_pages("pages_2m"),
            "left_to_os_bytes": result.left_to_os_bytes,
            "lost_bytes": result.lost_bytes,
        },
        "modelled_seconds": {
            "boot_accept": result.boot_accept_seconds,
            "on_demand_accept": result.on_demand_seconds,
            "dma_accept": result.dma_seconds,
            "range": {name: list(time.range_seconds) for name, time in times.items()},
            "placeholder": [name for name, time in times.items() if time.rests_on_placeholder],
            "extrapolated": [name for name, time in times.items() if time.is_extrapolated],
        },
        "cost": cost_object(td.cost),
        "sec": None if boot is None else sec_object(boot),
        "os_side": _os_side(result.os_side),
        "notes": list(result.machine.start.notes),
        "memory_map": [
            {
                "type": memory_type_name(entry.memory_type),
                "start": entry.physical_start,
                "pages": entry.number_of_pages,
                "attribute": entry.attribute,
            }
            for entry in result.memory_map
        ],
        "failure": None
        if failure is None
        else {
            "service": failure.service,
            "status": failure.status.name,
            "asked_bytes": failure.asked_bytes,
            "largest_free_bytes": failure.largest_free_bytes,
            "unaccepted_bytes": failure.unaccepted_bytes,
            "why": failure.why,
        },
        "cure": None if cures is None else _cure(cures),
    }
    return document("boot", members)


def _firmware(result: BootResult) -> dict[str, Any]:
    """What the machine's firmware is; an imported map may be of firmware that nobody recorded."""
    model, name = result.machine.model, result.machine.start.firmware_name
    known = name == model.name
    return {
        "model": name,
        "package": model.package if known else "",
        "edk2": model.edk2 if known else "",
        "file": result.machine.options.firmware,
    }


def _cure(cures: Cures) -> dict[str, Any]:
    return {
        "accept_bytes": cures.least_accept,
        "on_demand": [name for name, _ in cures.options],
        "text": cure_text(cures),
    }


def sec_object(sec: SecAccept) -> dict[str, Any]:
    """The accept at boot; ``lost`` are ranges that firmware takes for accepted and are not."""
    return {
        "vcpus": len(sec.accepted_bytes_per_vcpu),
        "bytes_per_vcpu": list(sec.accepted_bytes_per_vcpu),
        "serial_seconds": sec.serial.seconds,
        "parallel_seconds": sec.parallel.seconds,
        "range": {"serial": list(sec.serial.range_seconds), "parallel": list(sec.parallel.range_seconds)},
        "calls": sec.outcome.calls,
        "size_mismatches": sec.outcome.size_mismatches,
        "td_exits": sec.outcome.td_exits,
        "lost": [{"start": start, "end": end} for start, end in sec.lost],
    }


def _os_side(side: OsSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "modelled": True,
        "policy": side.policy,
        "accepted_bytes": side.accepted_bytes,
        "seconds": side.seconds,
        "range": list(side.time.range_seconds),
        "placeholder": side.time.rests_on_placeholder,
        "extrapolated": side.time.is_extrapolated,
        "left_bytes": side.left_bytes,
        "lost_bytes": side.lost_bytes,
        "workload_bytes": side.workload_bytes,
        "unmet_bytes": side.unmet_bytes,
        "steps": [_step(step) for step in side.steps],
        "notes": list(side.notes),
    }


def _step(step: OsAccept) -> dict[str, Any]:
    return {
        "who": step.who,
        "accepted_bytes": step.accepted_bytes,
        "pages_4k": step.pages_4k,
        "pages_2m": step.pages_2m,
        "calls": step.calls,
        "seconds": step.seconds,
        "range": list(step.time.range_seconds),
        "why": step.why,
    }


def _kernel(kernel: KernelFile) -> dict[str, Any]:
    linux, pe = kernel.linux, kernel.pe
    return {
        "path": kernel.path,
        "size": kernel.size,
        "format": "bzImage" if linux is not None else "pe",
        "size_of_image": pe.size_of_image if pe is not None else 0,
        "init_size": linux.init_size if linux is not None else 0,
        "kernel_buffer_size": kernel.kernel_buffer_size,
        "kernel_version": linux.kernel_version if linux is not None else "",
    }
