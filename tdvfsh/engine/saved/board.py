"""The state of a board: what is neither a device nor a vCPU nor the contents of memory."""

from __future__ import annotations

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.saved import devices, memory, vcpus
from tdvfsh.engine.saved.fields import (
    COUNTS,
    FLAG,
    Field,
    Fields,
    Json,
    number,
    number_set,
    number_to,
    restore,
    saved,
    shape_of,
    table,
)
from tdvfsh.engine.tdx.page_accepts import AcceptMoment, Acceptor, AcceptTally
from tdvfsh.engine.x86.instructions.string_instructions import StringInstructions
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.machine.td_state_file import TD as TD_SHAPE
from tdvfsh.machine.td_state_file import read_td, td_to_dict
from tdvfsh.td.trust_domain import TrustDomain
from tdvfsh.trace.reading import read_record
from tdvfsh.trace.records import PageAccept, TraceRecord
from tdvfsh.uefi.memory import AddressSpan
from tdvfsh.uefi.tdx import SeptState

_DIGEST_SIZE: Final = 48
_HEX_DIGEST: Final = 2 * _DIGEST_SIZE
_CLOCK: Final[Fields] = {
    "waited_ns": number(80), "uneven": FLAG, "_sequence": number(), "_polled": number_to(1 << 80, -1),
    "_polls": number(),
}  # fmt: skip
_RTMRS: Final = Field(
    lambda rtmrs: [rtmr.hex() for rtmr in rtmrs],
    shapes.row(*[shapes.text] * 4),
    lambda value, present: [_digest(text) for text in value],
)
_MODULE: Final[Fields] = {"informed": FLAG, "_fields": table()}
_MEASUREMENTS: Final[Fields] = {"rtmrs": _RTMRS}
_VMM: Final[Fields] = {"_notify_vector": number(8)}
_NUMBERS: Final[Fields] = {"_count": number()}
_ACCEPTS: Final[Fields] = {"_calls": number()}
_GUEST: Final[Fields] = {"is_linux": FLAG, "counts": COUNTS}
_LEFT: Final = Field(
    lambda left: None if left is None else list(left),
    shapes.maybe(shapes.row(shapes.NUMBER, shapes.whole((1 << 64) - 1, -1))),
    lambda value, present: None if value is None else (value[0], value[1]),
)
_STRINGS: Final[Fields] = {"count": number(), "bytes": number(), "_left": _LEFT, "_code_pages": number_set(64)}
_BOARD: Final[Fields] = {"stops": number()}
_CPU: Final[Fields] = {"_passing_port": FLAG}
_TALLY: Final = ("calls", "pages_4k", "pages_2m", "mismatches", "refused", "td_exits", "ns")
_TALLIES: Final = shapes.items(shapes.row(shapes.text, shapes.whole(4095), *[shapes.whole(1 << 80)] * len(_TALLY)))
_MOMENTS: Final = shapes.items(shapes.row(shapes.whole(1 << 80), shapes.text, shapes.whole(4095), shapes.NUMBER))
_RANGES: Final = shapes.items(shapes.row(shapes.NUMBER, shapes.NUMBER))

SHAPE: Final = shapes.fields(
    {
        "now_ns": shapes.whole(1 << 80), "clock": shape_of(_CLOCK), "td": TD_SHAPE, "vcpus": vcpus.SHAPE,
        "devices": devices.SHAPE, "module": shape_of(_MODULE), "measurements": shape_of(_MEASUREMENTS),
        "vmm": shape_of(_VMM), "random": shape_of(_NUMBERS), "accepts": shape_of(_ACCEPTS), "tallies": _TALLIES,
        "moments": _MOMENTS,
        "guest": shape_of(_GUEST), "strings": shapes.maybe(shape_of(_STRINGS)), "board": shape_of(_BOARD),
        "cpu": shape_of(_CPU), "blocks": shapes.whole((1 << 62), -(1 << 62)),
        "port_code": shapes.items(shapes.items(shapes.NUMBER)),
        "mapped": memory.MAPPED, "mapped_devices": _RANGES, "accepted": shapes.whole(1 << 64, -1),
        "last_accept": shapes.maybe(shapes.NUMBER), "trace": shapes.items(shapes.anything),
    }
)  # fmt: skip


def _digest(text: str) -> bytes:
    if len(text) != _HEX_DIGEST:
        raise FieldError("", f"is not {_DIGEST_SIZE} bytes")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise FieldError("", "is not hexadecimal") from None


def board_to_dict(board: Board) -> Json:
    """The board's state, while the state of the vCPU that runs is loaded.

    Raises:
        EngineError: The machine cannot be saved as it is.
    """
    guest, accepts, strings = board._guest, board.page_accepts, board.cpu.strings
    if board.stand_ins:
        raise EngineError("the machine cannot be saved while the host waits for a call of a decompressor")
    assert len(board.block_counters) == 1
    last = accepts._last
    return {
        "now_ns": board.clock.now_ns,
        "clock": saved(board.clock, _CLOCK),
        "td": td_to_dict(board.td),
        "vcpus": vcpus.vcpus_to_dict(board),
        "devices": devices.devices_to_dict(board),
        "module": saved(board.module, _MODULE),
        "measurements": saved(board.module.measurements, _MEASUREMENTS),
        "vmm": saved(board.vmm, _VMM),
        "random": saved(board._instructions._numbers, _NUMBERS),
        "accepts": saved(accepts, _ACCEPTS),
        "tallies": [
            [acceptor.phase, acceptor.vcpu, *(getattr(tally, name) for name in _TALLY)]
            for acceptor, tally in accepts.tallies.items()
        ],
        "moments": [[when, *acceptor, size] for when, acceptor, size in accepts.moments],
        "guest": saved(guest, _GUEST),
        "strings": None if strings is None else saved(strings, _STRINGS),
        "board": saved(board, _BOARD),
        "cpu": saved(board.cpu, _CPU),
        "blocks": board.block_counters[0].left,
        "port_code": [sorted(search.known) for search in board.cpu.code.searches],
        "mapped": [list(run) for run in board.cpu.mapped.runs],
        "mapped_devices": [[start, end] for start, end, _ in board.on_demand.mapped.spans()],
        "accepted": board._hardware.accepted,
        "last_accept": None if last is None else last.number,
        "trace": [record.as_dict() for record in board._trace],
    }


def restore_board(board: Board, data: Any) -> None:
    """Set a board to a state that :func:`board_to_dict` returned, whose shape was checked; memory is filled already.

    The state of the vCPU that runs is loaded then.

    Raises:
        FieldError: It does not fit this board.
    """
    guest, accepts, strings = board._guest, board.page_accepts, board.cpu.strings
    outside = _outside_of_ram(board.td)
    read_td(board.td, data["td"])
    if _outside_of_ram(board.td) != outside:
        raise FieldError("td.sept", "has other pages outside of RAM than this machine")
    board.td.clock.now_ns = data["now_ns"]
    restore(board.clock, _CLOCK, data["clock"], "clock")
    restore(board.module, _MODULE, data["module"], "module")
    restore(board.module.measurements, _MEASUREMENTS, data["measurements"], "measurements")
    restore(board.vmm, _VMM, data["vmm"], "vmm")
    restore(board._instructions._numbers, _NUMBERS, data["random"], "random")
    restore(accepts, _ACCEPTS, data["accepts"], "accepts")
    restore(guest, _GUEST, data["guest"], "guest")
    restore(board, _BOARD, data["board"], "board")
    restore(board.cpu, _CPU, data["cpu"], "cpu")
    accepts.tallies.clear()
    for phase, vcpu, *counts in data["tallies"]:
        accepts.tallies[Acceptor(phase, vcpu)] = AcceptTally(*counts)
    accepts.moments[:] = [AcceptMoment(when, Acceptor(*by), size) for when, *by, size in data["moments"]]
    _restore_trace(board, data)
    memory.map_runs(board, data["mapped"], data["accepted"])
    for start, end in data["mapped_devices"]:
        board.on_demand.map_range(start, end)
    devices.restore_devices(board, data["devices"])
    vcpus.restore_vcpus(board, data["vcpus"])
    _restore_code(board, strings, data)
    board.block_counters[0].arm(data["blocks"])


def _outside_of_ram(td: TrustDomain) -> list[tuple[int, int]]:
    """Pages outside of RAM that the guest may use: they hold firmware."""
    found: list[tuple[int, int]] = []
    at = 0
    for span in [*td.ram.spans, AddressSpan(1 << 64, 1 << 64)]:
        mapped = ((low, high) for low, high, one in td.sept.spans(at, span.start) if one.state is SeptState.MAPPED)
        found += mapped
        at = span.end
    return found


def _restore_code(board: Board, strings: StringInstructions | None, data: Any) -> None:
    """What is known of the guest's code: where its ports and string instructions are."""
    searches = board.cpu.code.searches
    if (strings is None) != (data["strings"] is None) or len(searches) != len(data["port_code"]):
        raise FieldError("strings", "is not of a machine like this one")
    if strings is not None:
        restore(strings, _STRINGS, data["strings"], "strings")
    for search, places in zip(searches, data["port_code"], strict=True):
        board.cpu.code.hook(search, places)


def _restore_trace(board: Board, data: Any) -> None:
    records: list[TraceRecord] = []
    for record in data["trace"]:
        records.append(read_record(record, records))
    board._trace.records[:] = records
    last = data["last_accept"]
    found = records[last] if last is not None and last < len(records) else None
    if last is not None and not isinstance(found, PageAccept):
        raise FieldError("last_accept", "is not the number of an accept")
    board.page_accepts._last = found if isinstance(found, PageAccept) else None
