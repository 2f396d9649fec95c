"""A running kernel that accepts memory on the CPU engine: by itself, and from its #VE handler where it touches it.

Each call leaves the processor, goes through the TDX module and the secure EPT, takes modelled time and stands in the
journal; what boots, loads and ends the kernel is left out by a twin that accepts nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

from tdvfsh.machine import TdOptions
from tests.bench.measure import Figure, Goal, steady
from tests.engine.operating_system import ACCEPT, VEINFO_GET, VIRTUALIZATION, Kernel
from tests.engine.system_run import powered_off

GROUP: Final = "engine"
_START: Final = 0x40000000  # beyond the 512 MiB that are accepted at boot, and where the kernel's tables lead
_HIGH: Final = 1 << 33
_PAGES: Final = 240
_MANY: Final = 4000
_ROUNDS: Final = 7
_GOAL: Final = Goal(ours=30e-6)
_EACH_ITS_RECORD: Final = 2
_TDCALL: Final = "660F01CC"
_SCATTERED: Final = "#VE and accept in pieces that do not touch"


def figures() -> list[Figure]:
    """One accept of 2 MiB: where neighbours share a record, where each has its own, and with a #VE before it."""
    kinds: dict[str, Callable[[int], Kernel]] = {
        "an accept of a running kernel, neighbours": lambda pages: _asking(pages, 1),
        "the same, a journal record for each": lambda pages: _asking(pages, _EACH_ITS_RECORD),
        "a touch of a running kernel: #VE, its handler accepts": lambda pages: _touching(pages, 1),
        _SCATTERED: lambda pages: _touching(pages, _EACH_ITS_RECORD),
    }
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    slow: list[float] = []
    for _ in range(_ROUNDS):
        slow.append(steady({"nothing": int}, rounds=5).slowness)
        for name, kernel in kinds.items():
            pages = _PAGES if "#VE" in name else _MANY
            (many, accepted), (none, at_boot) = _run(kernel(pages)), _run(kernel(0))
            assert accepted - at_boot == pages << 21, name
            spent[name].append((many - none) / pages)
    slowness = statistics.median(slow)
    medians = {name: statistics.median(times) for name, times in spent.items()}
    return [
        Figure(GROUP, name, "", median, goal=None if name == _SCATTERED else _GOAL, at_full_speed=median / slowness)
        for name, median in medians.items()
    ]


def _asking(pages: int, stride: int) -> Kernel:
    """ACCEPT of every ``stride``-th 2 MiB."""
    kernel = Kernel()
    if pages:
        _begin(kernel, pages, _HIGH).mov("rax", ACCEPT).copy("rcx", "r12").raw("80C901" + _TDCALL)  # or cl, 1
        _repeat(kernel, stride)
    return kernel.power_off()


def _touching(pages: int, stride: int) -> Kernel:
    """A store to every ``stride``-th 2 MiB; the handler accepts what it is told of."""
    kernel = Kernel()
    if pages:
        _begin(kernel, pages, _START).store("r12", 0, "rax")
        _repeat(kernel, stride)
    kernel.power_off()
    kernel.label("#VE").gate(VIRTUALIZATION, "#VE").tdcall(VEINFO_GET).copy("rcx", "r9")
    return kernel.raw("4881E10000E0FF 80C901").mov("rax", ACCEPT).raw(_TDCALL).iretq()  # and rcx, -2M; or cl, 1


def _begin(kernel: Kernel, pages: int, start: int) -> Kernel:
    kernel.mov("r12", start).mov("r13", pages)
    return kernel.label("next")


def _repeat(kernel: Kernel, stride: int) -> None:
    step = (stride << 21).to_bytes(4, "little").hex()
    kernel.raw("4981C4" + step + "49FFCD").copy("rax", "r13").jump_if_error("next")  # add r12, step; dec r13


def _run(kernel: Kernel) -> tuple[float, int]:
    """Processor seconds of a whole run, and the bytes that are accepted at its end."""
    options = TdOptions(memory="32G", sept_ve_disable=False, cost="kvm-2m")
    start = time.process_time()
    ran = powered_off(kernel, options)
    return time.process_time() - start, ran.firmware.services.td.accepted_bytes
