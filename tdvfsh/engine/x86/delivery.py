"""Exceptions and interrupts through the guest's interrupt descriptor table, from any privilege level.

Source: Intel SDM volume 3, 6.14 (64-bit mode), 8.7 (TSS).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.engine.x86.processor_state import CS, LONG_CODE, PRIVILEGE, SS, ProcessorState, Segment
from tdvfsh.lazy_typing import Final

_GATE: Final = struct.Struct("<HHBBHII")
_DESCRIPTOR: Final = struct.Struct("<II")
_WORD: Final = struct.Struct("<Q")
_INTERRUPT_GATE: Final = 0x8E
_TRAP_GATE: Final = 0x8F
_PRIVILEGE_OF_GATE: Final = 0x60
_STACKS: Final = 0x24  # IST1 in the task state segment
_RING_0_STACK: Final = 4
_CLEARED: Final = 1 << 8 | 1 << 14 | 1 << 16 | 1 << 17  # TF NT RF VM
INTERRUPT_FLAG: Final = 1 << 9
_SELECTOR: Final = 0xFFF8
_LOCAL_TABLE: Final = 4
_CODE_MASK: Final = 1 << 21 | 1 << 15 | 1 << 12 | 1 << 11
_CONFORMING: Final = 1 << 10


class LinearMemory:
    """Interface to read and write at linear addresses, for :func:`deliver`.

    Args:
        read: Bytes at an address, or None where nothing is mapped.
        write: Stores bytes; False where nothing is mapped.
    """

    def __init__(self, read: Callable[[int, int], bytes | None], write: Callable[[int, bytes], bool]) -> None:
        self.read = read
        self.write = write


def deliver(
    state: ProcessorState, memory: LinearMemory, flags: int, vector: int, error_code: int | None = None
) -> bool:
    """Change ``state`` to where the guest's handler begins; its frame is on the handler's stack.

    Args:
        state: The loaded state; RIP points to where the handler returns to.
        memory: The guest's.
        flags: RFLAGS, whole.
        vector: 0 to 255.
        error_code: What the exception pushes, or None.

    Returns:
        Whether there is a gate for 64-bit code and a stack for it; nothing is changed otherwise.
    """
    gate = _gate(state, memory, vector)
    if gate is None:
        return False
    low, selector, stack_index, kind, middle, high, _ = _GATE.unpack(gate)
    kind &= ~_PRIVILEGE_OF_GATE
    descriptor = _descriptor(state, memory, selector)
    if kind not in (_INTERRUPT_GATE, _TRAP_GATE) or descriptor is None:
        return False
    first, second = descriptor
    old_level = state.privilege
    level = old_level if second & _CONFORMING else second >> 13 & 3
    if second & _CODE_MASK != _CODE_MASK or second >> 13 & 3 > old_level:
        return False
    stack: int | None = state.register(4)
    if stack_index & 7:
        stack = _task_word(state, memory, _STACKS + 8 * ((stack_index & 7) - 1))
    elif level < old_level:
        stack = _task_word(state, memory, _RING_0_STACK + 8 * level)
    if stack is None:
        return False
    frame = [
        state.instruction_pointer,
        state.segment(CS).selector,
        flags,
        state.register(4),
        state.segment(SS).selector,
    ]
    if error_code is not None:
        frame.insert(0, error_code)
    stack = (stack & ~0xF) - 8 * len(frame)
    if not memory.write(stack, struct.pack(f"<{len(frame)}Q", *frame)):
        return False
    state.set_register(4, stack)
    state.instruction_pointer = low | middle << 16 | high << 32
    cleared = _CLEARED | (INTERRUPT_FLAG if kind == _INTERRUPT_GATE else 0)
    state.system_flags = state.system_flags & ~cleared
    limit = first & 0xFFFF | second & 0xF0000
    base = first >> 16 | (second & 0xFF) << 16 | second & 0xFF000000
    state.set_segment(
        CS, Segment(selector & ~3 | level, base, limit << 12 | 0xFFF if second >> 23 & 1 else limit, second)
    )
    if level != old_level:
        state.set_segment(SS, Segment(level, 0, 0, level << 13))
    state.hidden_flags = state.hidden_flags & ~PRIVILEGE | level | LONG_CODE
    state.exception_delivered()
    return True


def may_call(state: ProcessorState, memory: LinearMemory, vector: int) -> bool:
    """Whether INT ``vector`` is allowed at the present privilege level: where there is a gate, by the gate's."""
    gate = _gate(state, memory, vector)
    return gate is None or _GATE.unpack(gate)[3] >> 5 & 3 >= state.privilege


def _gate(state: ProcessorState, memory: LinearMemory, vector: int) -> bytes | None:
    table = state.interrupt_table
    return None if vector * 16 + 15 > table.limit else memory.read(table.base + vector * 16, 16)


def _descriptor(state: ProcessorState, memory: LinearMemory, selector: int) -> tuple[int, int] | None:
    """Both halves of a gate's code segment."""
    table, offset = state.descriptor_table, selector & _SELECTOR
    if not offset or selector & _LOCAL_TABLE or offset + 7 > table.limit:
        return None
    data = memory.read(table.base + offset, 8)
    if data is None:
        return None
    first, second = _DESCRIPTOR.unpack(data)
    return int(first), int(second)


def _task_word(state: ProcessorState, memory: LinearMemory, offset: int) -> int | None:
    data = memory.read(state.task.base + offset, 8)
    return None if data is None else int(_WORD.unpack(data)[0])
