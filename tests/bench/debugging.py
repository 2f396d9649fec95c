"""What a debugger costs code that runs between its stops, beside the same code without one."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import Final

from tests.bench.measure import Figure, Goal, interleave

GROUP: Final = "debugger"
_TURNS: Final = 4_000_000
_ROUNDS: Final = 11


def figures() -> list[Figure]:
    """A loop with a store in each turn: with a breakpoint elsewhere, with gdb attached, with a watchpoint elsewhere."""
    if find_spec("unicorn") is None:
        return [Figure(GROUP, "a loop", "no debugger", skipped="unicorn is not installed: extra [cpu]")]
    from tdvfsh.engine.debug.debugger import Debugger
    from tdvfsh.engine.debug.halt import Access, Halt, Resume, Watch
    from tdvfsh.engine.runs.guest import GuestFirmware
    from tdvfsh.machine import Machine, TdOptions
    from tests.engine.assembler import Program
    from tests.engine.programs import load

    class Front:
        def halted(self, halt: Halt) -> Resume:
            return Resume()

        def interrupts(self) -> bool:
            return False

    # mov ecx, turns; again: mov [rsp+0x40], rcx; dec ecx; jne again
    loop = Program().raw("B9" + _TURNS.to_bytes(4, "little").hex() + "48894C2440 FFC9 75F7").ret(0).image()
    names = ("no debugger", "a breakpoint elsewhere", "gdb attached", "a watchpoint elsewhere")
    machines: dict[str, GuestFirmware] = {}
    for name in names:
        firmware = machines[name] = GuestFirmware(Machine(TdOptions()))
        if name == names[0]:
            continue
        debugger = Debugger(firmware.board, Front(), halts_at_start=False)
        debugger.attach()
        if name == names[1]:
            debugger.breakpoints.add(0x10_0000, "bench")
        elif name == names[2]:
            debugger.let_interrupt()
        else:
            debugger.watchpoints.add(0, Watch(0x10_0000, 8, Access.WRITE))

    def run(firmware: GuestFirmware) -> None:
        firmware.services.start_image(load(firmware, loop))

    medians = interleave({name: partial(run, firmware) for name, firmware in machines.items()}, _ROUNDS)
    for firmware in machines.values():
        firmware.close()
    plain = medians[names[0]]
    goals = {names[1]: Goal(ratio=1.1)}
    return [Figure(GROUP, f"{_TURNS:,} turns of a loop, {name}", names[0], medians[name], plain, goal=goals.get(name))
            for name in names[1:]]  # fmt: skip
