"""The state of a board's vCPUs: their registers, their interrupts, whose turn it is."""

from __future__ import annotations

from dataclasses import astuple

from tdvfsh.engine.board.board import Board
from tdvfsh.engine.board.vcpus import Vcpu
from tdvfsh.engine.saved.fields import (
    BYTES,
    FLAG,
    Field,
    Fields,
    Json,
    number,
    number_or_none,
    number_set,
    number_to,
    restore,
    saved,
    shape_of,
    table,
)
from tdvfsh.engine.saved.processor import image_of, registers_of
from tdvfsh.engine.tdx.vcpu import VirtualizationInfo
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError
from tdvfsh.lazy_typing import Any, Final

_VE: Final = Field(
    lambda info: None if info is None else list(astuple(info)),
    shapes.maybe(shapes.row(*[shapes.NUMBER] * 6)),
    lambda value, present: None if value is None else VirtualizationInfo(*value),
)
_PLACES: Final = Field(
    lambda places: sorted(place.hex() for place in places),
    shapes.items(BYTES.shape),
    lambda value, present: {bytes.fromhex(text) for text in value},
)
_TURNS: Final[Fields] = {
    "_spun": FLAG, "_waits": number(), "_patience": number_to(1024, 1), "_in_vain": FLAG, "_turn_ends": number(80),
}  # fmt: skip
_VCPU: Final[Fields] = {"spinning": FLAG, "spin_place": number_or_none()}
_TD_VCPU: Final[Fields] = {"virtualization": _VE}
_MSRS: Final[Fields] = {"_range_capabilities": number(), "_stored": table()}
_INTERRUPTS: Final[Fields] = {
    "halted": FLAG, "blocked": FLAG, "_place": BYTES, "_steps": number(16), "_pushes": FLAG,
}  # fmt: skip
_WINDOWS: Final[Fields] = {"stops": number_set(64), "known": _PLACES}
_ONE: Final = shapes.fields(
    {
        "state": shape_of(_VCPU), "td": shape_of(_TD_VCPU), "msrs": shape_of(_MSRS),
        "interrupts": shape_of(_INTERRUPTS),
        "registers": shapes.maybe(shapes.anything),  # by their own table
    }
)  # fmt: skip
SHAPE: Final = shapes.fields(
    {
        "current": shapes.whole(4095), "turns": shape_of(_TURNS), "windows": shape_of(_WINDOWS),
        "all": shapes.items(_ONE), "in_system": shapes.items(shapes.whole(4095)),
    }
)  # fmt: skip


def vcpus_to_dict(board: Board) -> Json:
    """All vCPUs; the state of the one that runs is loaded.

    Raises:
        EngineError: Registers that no file holds.
    """
    vcpus, new = board.vcpus, board.new_processor
    current = vcpus.current
    current.image = board.cpu.state.image()
    watch = board.spins
    return {
        "current": current.number,
        "turns": saved(vcpus, _TURNS),
        "windows": saved(current.interrupts._windows, _WINDOWS),
        "all": [
            {
                "state": saved(each, _VCPU),
                "td": saved(each.td, _TD_VCPU),
                "msrs": saved(each.td.msrs, _MSRS),
                "interrupts": saved(each.interrupts, _INTERRUPTS),
                "registers": None if each in vcpus.waiting else registers_of(each.image or b"", new),
            }
            for each in vcpus.all
        ],
        "in_system": [] if watch is None else sorted(watch.in_system),
    }


def restore_vcpus(board: Board, data: Any) -> None:
    """Set all vCPUs; that of the one that runs is loaded. Raises FieldError where there are others than here."""
    vcpus, state = board.vcpus, board.cpu.state
    if len(data["all"]) != len(vcpus.all):
        raise FieldError("vcpus.all", f"has {len(data['all'])} entries, where the machine has {len(vcpus.all)}")
    started = []
    for each, one in zip(vcpus.all, data["all"], strict=True):
        where = f"vcpus.all[{each.number}]"
        registers = one["registers"]
        each.image = None
        if registers is not None:
            each.image = image_of(registers, board.new_processor, f"{where}.registers")
            started.append(each)
        each.syscall_registers = None
        restore(each, _VCPU, one["state"], f"{where}.state")
        restore(each.td, _TD_VCPU, one["td"], f"{where}.td")
        restore(each.td.msrs, _MSRS, one["msrs"], f"{where}.msrs")
        restore(each.interrupts, _INTERRUPTS, one["interrupts"], f"{where}.interrupts")
    current = next((each for each in started if each.number == data["current"]), None)
    if current is None:
        raise FieldError("vcpus.current", "is a vCPU that was never started")
    restore(vcpus, _TURNS, data["turns"], "vcpus.turns")
    vcpus.resume(current, started)
    board.now_runs(current)
    assert current.image is not None
    state.set_image(current.image)
    _restore_windows(board, current, data["windows"])
    if board.spins is not None:
        board.spins.in_system.update(data["in_system"])


def _restore_windows(board: Board, current: Vcpu, data: Any) -> None:
    restore(current.interrupts._windows, _WINDOWS, data, "vcpus.windows")
    for address in sorted(current.interrupts._windows.stops):
        current.interrupts.stop_at(address)
