"""Boots that are saved while their operating system runs, and run on.

After ExitBootServices the modelled firmware is its runtime services, what they keep in the DXE core, and tables in
guest memory: that is saved beside the board. Its boot services are gone, and so are its handles. What was found out
about the boot before is saved for the report at the end.
"""

from __future__ import annotations

from dataclasses import asdict, astuple

from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.introspect.fast_decompress import Shortcut
from tdvfsh.engine.runs.boot_run import CpuBoot
from tdvfsh.engine.runs.cpu_boot_result import CpuBootResult, ExitAccount
from tdvfsh.engine.saved.fields import BYTES
from tdvfsh.engine.saved.machine_file import ByteWriter, MachineFile, OpenedMachine, write_machine_file
from tdvfsh.engine.saved.machine_state import SHAPES, ConsoleState, restore_state, state_to_dict
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.loaders.flow import EXIT_BOOT_SERVICES, Placement
from tdvfsh.machine.options import TdOptions
from tdvfsh.machine.snapshot_file import core_to_dict, read_core
from tdvfsh.machine.snapshot_shape import CORE
from tdvfsh.td.cost import Modelled
from tdvfsh.trace.records import PlacementMade, TraceRecord
from tdvfsh.uefi.memory import EfiMemoryType
from tdvfsh.uefi.status import SUCCESS

Json = dict[str, Any]

_TIME: Final = shapes.whole(1 << 80)
_SPENT: Final = shapes.row(_TIME, _TIME, _TIME, _TIME, shapes.flag)
_TIMES: Final = ("spent", "spent_on_dma")
_COUNTS: Final = tuple(name for name in ExitAccount.__annotations__ if name not in _TIMES)
_KINDS: Final = {int(kind): kind for kind in EfiMemoryType}
_WORDS: Final = shapes.items(shapes.text)
_WORD_OR_NONE: Final = shapes.maybe(shapes.text)
_RESULT: Final = shapes.fields(
    {
        "placements": shapes.items(
            shapes.row(
                shapes.text, shapes.NUMBER, shapes.NUMBER, shapes.one_of(list(_KINDS)), shapes.flag,
                shapes.maybe(shapes.NUMBER),
            )
        ),
        "messages": _WORDS, "screen_lines": _WORDS, "waited_ns": _TIME, "bitmap": BYTES.shape,
        "account": shapes.fields(dict.fromkeys(_COUNTS, _TIME) | dict.fromkeys(_TIMES, _SPENT)),
        "shortcut": shapes.maybe(
            shapes.fields(
                {
                    "taken": shapes.flag, "format": _WORD_OR_NONE, "function": _WORD_OR_NONE, "at": shapes.NUMBER,
                    "calls": shapes.NUMBER, "packed_bytes": shapes.NUMBER, "unpacked_bytes": shapes.NUMBER,
                    "why": _WORD_OR_NONE,
                }
            )
        ),
    }
)  # fmt: skip
_MAP: Final = shapes.maybe(shapes.items(shapes.row(shapes.NUMBER, shapes.NUMBER, shapes.NUMBER)))
_SHAPE: Final = shapes.fields(
    SHAPES
    | {
        "core": CORE, "address_map": _MAP, "caller": shapes.text, "open": shapes.items(shapes.NUMBER),
        "result": _RESULT,
    }
)  # fmt: skip


def save_boot(boot: CpuBoot, path: str, header: Json) -> MachineFile:
    """Save the machine of a boot that stands where it can go on.

    Args:
        boot: The boot, as ``boot_on_cpu`` calls ``keep`` with it.
        path: The file, which is written whole or not at all.
        header: What :func:`tdvfsh.engine.saved.machine_state.machine_header` returned.

    Raises:
        EngineError: The machine cannot be saved as it is.
        HostError: The host refuses.
    """
    return write_machine_file(path, header, lambda out: boot_to_dict(boot, out))


def boot_to_dict(boot: CpuBoot, out: ByteWriter) -> Json:
    """The state of a boot whose operating system runs; pages and chunks are written.

    Raises:
        EngineError: The machine cannot be saved as it is.
    """
    machine, firmware, consoles, entered = boot.machine, boot.firmware, boot.consoles, boot.entered
    rest = firmware.calls.rest
    if entered is None or consoles is None or not machine.services.at_runtime or rest is None:
        raise EngineError("the machine cannot be saved before its operating system runs")
    console = ConsoleState(consoles.serial.last_line, consoles.serial.line, consoles.sent_ns)
    core = core_to_dict(machine.services.core, machine.services.fault_plan)
    return {
        **state_to_dict(firmware.board, boot.disks, console, rest.waits, out),
        "core": core | {"opens": [], "notifies": []},  # of handles, which nobody can ask for any more
        "address_map": firmware.virtual_addresses.address_map,
        "caller": machine.trace.caller,
        "open": machine.trace.open_records(),
        "result": _result_to_dict(entered),
    }


def restore_boot(boot: CpuBoot, machine: OpenedMachine, options: TdOptions) -> bool:
    """Set a new boot, made with the arguments of the saved one, to its state.

    Returns:
        What ``continue_system`` is to be called with.

    Raises:
        FormatError: The file is damaged, or is of another machine.
    """
    firmware = boot.firmware
    firmware.calls.system_runs(None)  # what it is comes with the state
    return restore_state(
        machine, _SHAPE, options, firmware.board, boot.disks, lambda state: _restore_firmware(boot, state)
    )


def _restore_firmware(boot: CpuBoot, state: Json) -> None:
    machine, firmware, consoles = boot.machine, boot.firmware, boot.consoles
    assert consoles is not None
    if not state["core"]["at_runtime"]:
        raise FieldError("core.at_runtime", "is false: boot services of this firmware cannot be restored")
    read_core(machine, state["core"])
    machine.services.forget_view()
    moved = state["address_map"]
    firmware.virtual_addresses.resume(None if moved is None else [(low, high, virtual) for low, high, virtual in moved])
    records = machine.trace.records
    if any(number >= len(records) for number in state["open"]):
        raise FieldError("open", "has the number of no record")
    machine.trace.resume(state["caller"], state["open"])
    consoles.resume(state["last_line"], bytes.fromhex(state["line"]), state["sent_ns"])
    boot.resume(_result_of(boot, state["result"], records))
    firmware.code.kernel = boot.kernel_symbols()


def _result_to_dict(result: CpuBootResult) -> Json:
    account = result.at_exit
    assert account is not None
    return {
        "placements": [
            [one.what, one.start, one.end, int(one.memory_type), one.freed, one.record and one.record.number]
            for one in result.placements
        ],
        "messages": list(result.messages),
        "screen_lines": list(result.screen_lines),
        "waited_ns": result.waited_ns,
        "bitmap": result.unaccepted_bitmap.hex(),
        "account": {name: getattr(account, name) for name in _COUNTS}
        | {name: list(astuple(getattr(account, name))) for name in _TIMES},
        "shortcut": None if result.shortcut is None else asdict(result.shortcut),
    }


def _result_of(boot: CpuBoot, data: Json, records: list[TraceRecord]) -> CpuBootResult:
    placements = []
    for what, start, end, kind, freed, number in data["placements"]:
        record = records[number] if number is not None and number < len(records) else None
        if number is not None and not isinstance(record, PlacementMade):
            raise FieldError("result.placements", "names a record that is not a placement")
        made = record if isinstance(record, PlacementMade) else None
        placements.append(
            Placement(what=what, start=start, end=end, memory_type=_KINDS[kind], freed=freed, record=made)
        )
    shortcut = data["shortcut"]
    account: Json = {name: data["account"][name] for name in _COUNTS}
    account |= {name: Modelled(*data["account"][name]) for name in _TIMES}
    table = next((one for one in placements if one.what == "unaccepted_table"), None)
    if table is not None and not table.start <= table.end <= boot.firmware.ram.end:
        raise FieldError("result.placements", "has a table outside of memory")
    return CpuBootResult(
        machine=boot.machine,
        files=boot.flow.files,
        status=SUCCESS,
        stage=EXIT_BOOT_SERVICES,
        placements=tuple(placements),
        failure=None,
        messages=tuple(data["messages"]),
        memory_map=boot.machine.memory_map,
        waited_ns=data["waited_ns"],
        unaccepted_bitmap=bytes.fromhex(data["bitmap"]),
        screen_lines=tuple(data["screen_lines"]),
        shortcut=None if shortcut is None else Shortcut(**shortcut),
        at_exit=ExitAccount(**account),
    )
