"""A program's AllocatePages and FreePages on the CPU engine, and the same program under Qiling.

Qiling's AllocatePages takes a block of a heap and has no memory map: its GetMemoryMap does nothing and says success, so
there is nothing to hold that against. Both run the same bytes, and what starting and ending them takes is left out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tdvfsh.uefi.status import SUCCESS
from tests.bench.measure import Figure, Goal
from tests.engine.assembler import SCRATCH, Program
from tests.engine.programs import guest, load

GROUP: Final = "engine"
_PAIRS: Final = 1000
_ROUNDS: Final = 5
_HELD: Final = 2000
_GOAL: Final = 30e-6
_PEER: Final = "Qiling"
_DECREMENT_R12: Final = "49FFCC"


def figures() -> list[Figure]:
    """Pairs in an empty machine, and in one where the program holds thousands of pages of two types by turns."""
    found = []
    for held in (0, _HELD):
        name = f"AllocatePages + FreePages of guest code, {held:,} allocations held"
        images = [_program(held, pairs) for pairs in (_PAIRS, 0)]
        runners: dict[str, Callable[[bytes], float]] = {"ours": _on_our_engine}
        if find_spec("qiling") is not None:
            runners[_PEER] = _under_qiling
        spent: dict[str, list[float]] = {runner: [] for runner in runners}
        for _ in range(_ROUNDS):
            for runner, run in runners.items():
                many, none = (run(image) for image in images)
                spent[runner].append((many - none) / _PAIRS)
        medians = {runner: statistics.median(times) for runner, times in spent.items()}
        skipped = None if _PEER in medians else "qiling is not installed"
        found.append(
            Figure(
                GROUP, name, _PEER, medians["ours"], medians.get(_PEER), goal=Goal(ratio=1, ours=_GOAL), skipped=skipped
            )
        )
    return found


def _program(held: int, pairs: int) -> bytes:
    """An EFI program that takes ``held`` pages for good, then takes and gives one, ``pairs`` times."""
    program = Program()
    if held:
        program.mov("r12", held // 2).label("hold")
        for memory_type in (2, 4):  # LoaderData, BootServicesData: no two neighbours are joined
            _allocate(program, memory_type)
        program.raw(_DECREMENT_R12).copy("rax", "r12").jump_if_error("hold")
    if pairs:
        program.mov("r12", pairs).label("pair")
        _allocate(program, 2)
        program.load("rcx", "rsp", SCRATCH).mov("rdx", 1).boot("FreePages")
        program.raw(_DECREMENT_R12).copy("rax", "r12").jump_if_error("pair")
    return program.ret(0).image()


def _allocate(program: Program, memory_type: int) -> None:
    program.mov("rcx", 0).mov("rdx", memory_type).mov("r8", 1).address("r9", "rsp", SCRATCH).boot("AllocatePages")


def _on_our_engine(image: bytes) -> float:
    with guest() as (firmware, _):
        handle = load(firmware, image)
        start = time.process_time()
        assert firmware.services.start_image(handle).status is SUCCESS
        return time.process_time() - start


def _under_qiling(image: bytes) -> float:
    qiling: Any = import_module("qiling")
    const: Any = import_module("qiling.const")
    with TemporaryDirectory() as folder:
        path = Path(folder, "program.efi")
        path.write_bytes(image)
        emulator = qiling.Qiling(
            [str(path)], folder, ostype=const.QL_OS.UEFI, archtype=const.QL_ARCH.X8664,
            verbose=const.QL_VERBOSE.DISABLED,
        )  # fmt: skip
        start = time.process_time()
        emulator.run()
        return time.process_time() - start
