"""Runs of real firmware that are saved and continued: the board, and what the host does in the firmware's place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.firmware.boot_services import BootService
from tdvfsh.engine.firmware.rtmr_extends import RtmrExtend
from tdvfsh.engine.firmware.run import FirmwareRun
from tdvfsh.engine.saved.machine_file import ByteWriter, MachineFile, OpenedMachine, write_machine_file
from tdvfsh.engine.saved.machine_state import SHAPES, ConsoleState, restore_state, state_to_dict
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.machine.options import TdOptions
from tdvfsh.td.accept import AcceptCall
from tdvfsh.units import PAGE_SIZE

Json = dict[str, Any]

_MOST_CALLS: Final = 1 << 20
_CALLS: Final = shapes.items(
    shapes.row(shapes.whole(4095), shapes.NUMBER, shapes.whole(7), shapes.NUMBER, shapes.whole(_MOST_CALLS, 1))
)
_CONVERSIONS: Final = shapes.items(shapes.row(shapes.NUMBER, shapes.NUMBER, shapes.flag, shapes.NUMBER, shapes.text))
_EXTENDS: Final = shapes.items(
    shapes.row(shapes.whole(3), shapes.text, shapes.whole(4095), shapes.text, shapes.whole(1 << 80))
)
_UNPACKING: Final = shapes.fields(
    {
        "sections": shapes.items(shapes.NUMBER), "unpacked": shapes.items(shapes.NUMBER),
        "functions": shapes.items(shapes.NUMBER),
        "arrivals": shapes.items(shapes.row(shapes.NUMBER, shapes.NUMBER)),
    }
)  # fmt: skip
_SHAPE: Final = shapes.fields(
    SHAPES
    | {
        "accepts": _CALLS, "conversions": _CONVERSIONS, "extends": _EXTENDS, "looks": shapes.NUMBER,
        "unpacking": shapes.maybe(_UNPACKING),
    }
)  # fmt: skip


def save_run(run: FirmwareRun, path: str, header: Json) -> MachineFile:
    """Save the machine of a run that has ended by what it showed, or because it waits for input.

    Args:
        run: The run, made with ``keep``.
        path: The file, which is written whole or not at all.
        header: What :func:`machine_header` returned.

    Raises:
        EngineError: The machine cannot be saved as it is.
        HostError: The host refuses.
    """
    return write_machine_file(path, header, lambda out: run_to_dict(run, out))


def run_to_dict(run: FirmwareRun, out: ByteWriter) -> Json:
    """The state of a run that stands at a stop; pages and chunks are written.

    Raises:
        EngineError: The machine cannot be saved as it is.
    """
    unpacking = run.unpacking
    if run.services.watched:
        raise EngineError("the machine cannot be saved before the host has unpacked the kernel that firmware boots")
    serial, waits = run.consoles.serial, run.rest is not None and run.rest.waits
    console = ConsoleState(serial.last_line, serial.line, run.consoles.sent_ns)
    return {
        **state_to_dict(run.board, run.disks, console, waits, out),
        "accepts": _rows_of(run.accepts),
        "conversions": [list(call) for call in run.conversions],
        "extends": [[made.rtmr, made.digest.hex(), *made[2:]] for made in run.extends.made],
        "looks": run.services.looks,
        "unpacking": None
        if unpacking is None
        else {
            "sections": sorted(unpacking.sections),
            "unpacked": [run.image.base + section.offset for section in unpacking.unpacked],
            "functions": sorted(unpacking.stops),
            "arrivals": [[function, count] for function, count in sorted(unpacking.arrivals.items())],
        },
    }


def restore_run(run: FirmwareRun, machine: OpenedMachine, options: TdOptions) -> None:
    """Set a new run, made with the arguments of the saved one, to its state: it continues there.

    Raises:
        FormatError: The file is damaged, or is of another machine.
        EngineError: The run ended at once.
    """
    waits = restore_state(machine, _SHAPE, options, run.board, run.disks, lambda state: _restore_firmware(run, state))
    run.continue_at(run.board.resume(waits))


def _rows_of(calls: Sequence[AcceptCall]) -> list[list[int]]:
    """Accepts as vCPU, address, level, status and how many: those of neighbouring pages in a row are one."""
    rows: list[list[int]] = []
    for call in calls:
        last = rows[-1] if rows else [-1, 0, 0, 0, 0]
        follows = call.address == last[1] + last[4] * _page(call.level)
        if follows and (last[0], last[2], last[3]) == (call.vcpu, call.level, call.status):
            last[4] += 1
            continue
        rows.append([*call, 1])
    return rows


def _calls_of(rows: Sequence[Sequence[int]]) -> list[AcceptCall]:
    """The accepts, of such rows; raises FieldError where they are more than a run keeps."""
    if sum(row[4] for row in rows) > _MOST_CALLS:
        raise FieldError("accepts", "are more than a run keeps")
    return [
        AcceptCall(vcpu, address + number * _page(level), level, status)
        for vcpu, address, level, status, count in rows
        for number in range(count)
    ]


def _page(level: int) -> int:
    return PAGE_SIZE << 9 * level


def _restore_firmware(run: FirmwareRun, state: Json) -> None:
    run.calls.resume(_calls_of(state["accepts"]), state["conversions"])
    run.extends.made[:] = [RtmrExtend(rtmr, bytes.fromhex(digest), *rest) for rtmr, digest, *rest in state["extends"]]
    if run.services.watched:
        run.services.unwatch(BootService.START_IMAGE)
    run.services.looks = state["looks"]
    run.consoles.resume(state["last_line"], bytes.fromhex(state["line"]), state["sent_ns"])
    unpacking, before = run.unpacking, state["unpacking"]
    if (unpacking is None) != (before is None):
        raise FieldError("unpacking", "is not of a machine like this one")
    if unpacking is not None:
        sections = {run.image.base + section.offset: section for section in unpacking.all_sections}
        unpacking.resume(
            before["sections"], [sections[at] for at in before["unpacked"] if at in sections],
            before["functions"], Counter(dict(before["arrivals"])),
        )  # fmt: skip
