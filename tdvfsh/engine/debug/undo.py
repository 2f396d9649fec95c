"""Steps that can be taken back: registers and memory as they were before each instruction that was stepped.

Only what the processor did by itself is taken back. A step that left it (a TDCALL, a port, a fault) or for which time
passed ends the record, and so does any run that is not a step.
"""

from __future__ import annotations

from tdvfsh.engine.debug.target import Target
from tdvfsh.engine.extra import cpu_extra
from tdvfsh.engine.x86.block_counter import BlockCounter
from tdvfsh.lazy_typing import Any, Final, NamedTuple

_MOST_STEPS: Final = 20_000


class _Step(NamedTuple):
    vcpu: int
    image: bytes
    writes: tuple[tuple[int, bytes], ...]
    blocks: tuple[int, ...]
    counted: tuple[BlockCounter, ...]


class StepLog:
    """The steps since the machine last ran freely.

    Args:
        target: The machine.

    Attributes:
        wrote: What the last step that was taken back had written, as physical addresses and sizes.
        undone: Who had counted the block of the last step that was taken back; None once that was looked at.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._cpu = target.board.cpu
        self._steps: list[_Step] = []
        self._hook: object = None
        self._image = b""
        self._writes: list[tuple[int, bytes]] = []
        self._moment: tuple[int, int] = (0, 0)
        self._blocks: tuple[int, ...] = ()
        self._counted: tuple[BlockCounter, ...] = ()
        self.wrote: list[tuple[int, int]] = []
        self.undone: tuple[BlockCounter, ...] | None = None

    def __len__(self) -> int:
        return len(self._steps)

    def begin(self, address: int, counted: tuple[BlockCounter, ...]) -> None:
        """A step from ``address`` begins, in a block that some have counted already."""
        self._counted = counted
        if self._hook is None:
            unicorn: Any = cpu_extra("unicorn")
            self._hook = self._cpu.uc.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._wrote)
            self._cpu.uc.ctl_flush_tb()
        self._cpu.write("RIP", address)
        state = self._cpu.state
        state.load()
        self._image = state.image()
        self._writes = []
        self._moment = self._now()
        self._blocks = tuple(counter.left for counter in self._target.board.block_counters)

    def _now(self) -> tuple[int, int]:
        board = self._target.board
        return board.clock.now_ns, sum(board.counts.values())

    def _wrote(self, uc: object, access: int, address: int, size: int, value: int, data: object) -> None:
        self._writes.append((address, bytes(self._target.board.ram.view[address : address + size])))

    def end(self) -> None:
        """It came to its end within the processor."""
        if self._now() != self._moment:
            self._steps.clear()
            return
        if len(self._steps) == _MOST_STEPS:
            del self._steps[: _MOST_STEPS // 2]
        self._steps.append(_Step(self._target.current, self._image, tuple(self._writes), self._blocks, self._counted))

    def barrier(self) -> None:
        """Something happened that cannot be taken back."""
        if self._hook is not None:
            self._cpu.no_stop_at(self._hook)
            self._hook = None
            self._cpu.uc.ctl_flush_tb()
        self._steps.clear()

    def back(self) -> bool:
        """Take back the last step; returns False where there is none."""
        if not self._steps:
            return False
        step = self._steps.pop()
        target, cpu = self._target, self._cpu
        for physical, before in reversed(step.writes):
            target.board.ram.view[physical : physical + len(before)] = before
            cpu.mapped.forget_code(physical, physical + len(before))
        cpu.state.set_image(step.image)
        cpu.state.store()
        cpu.forget_translations()
        for counter, left in zip(target.board.block_counters, step.blocks, strict=True):
            counter.arm(left)
        self.undone = step.counted
        self.wrote = [(physical, len(before)) for physical, before in step.writes]
        return True
