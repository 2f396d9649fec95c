"""All of a processor's state at once: what the register interface cannot say or set.

An exception from user space changes the privilege level, and a hypervisor's intercepts are switched on by entering a
guest. Unicorn's register interface does neither, its saved context holds both, as the raw state of the processor it
emulates. Where the fields lie in it is not documented: they are looked for at the start, and a Unicorn that lays them
out otherwise is refused.

Source: Unicorn 2.1.4 qemu/target/i386/cpu.h, CPUX86State.
"""

from __future__ import annotations

import ctypes
import struct

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Any, Final, NamedTuple

_REGISTERS: Final = 40  # after the context's own header
_INSTRUCTION_POINTER: Final = _REGISTERS + 16 * 8
_FLAGS: Final = _INSTRUCTION_POINTER + 8
_HIDDEN_FLAGS: Final = _FLAGS + 8 + 3 * 8 + 2 * 4
_SEGMENTS: Final = _HIDDEN_FLAGS + 8
_SEGMENT_SIZE: Final = 24
_TASK: Final = _SEGMENTS + 7 * _SEGMENT_SIZE
_DESCRIPTORS: Final = _SEGMENTS + 8 * _SEGMENT_SIZE
_INTERRUPTS: Final = _SEGMENTS + 9 * _SEGMENT_SIZE
_CONTROL: Final = _SEGMENTS + 10 * _SEGMENT_SIZE

# from the end of the context
_ERROR_CODE: Final = -184
_SOFTWARE_INTERRUPT: Final = -180
_DEBUG: Final = -168
_EARLIER_EXCEPTION: Final = -72
_CONTROL_BLOCK: Final = -64
_INTERCEPTS: Final = -48

_WORD: Final = struct.Struct("<Q")
_HALF: Final = struct.Struct("<I")
_SIGNED: Final = struct.Struct("<i")
_SEGMENT: Final = struct.Struct("<I4xQII")
_PROBE: Final = 0x1D5A_C0DE_0BAD_CAFE

PRIVILEGE: Final = 3
"""Bits of the hidden flags: the privilege level."""
CODE_64: Final = 1 << 15
"""Bit of the hidden flags: 64-bit code."""
CODE_32: Final = 1 << 4
"""Bit of the hidden flags: 32-bit code, where it is not 64-bit code."""
LONG_CODE: Final = CODE_32 | 1 << 5 | CODE_64
"""Bits of the hidden flags: 32-bit code and stack sizes off their defaults, 64-bit code."""
LONG_MODE: Final = 1 << 14
"""Bit of the hidden flags: long mode, with 64-bit or compatibility code."""
INTERCEPTING: Final = 1 << 21
"""Bit of the hidden flags: intercepts count."""

INTERRUPTS_HELD: Final = 1 << 3
"""Bit of the hidden flags: the last instruction holds interrupts off until the next one is over."""

PROTECTED: Final = 1 << 7
"""Bit of the hidden flags: protected mode."""

CS: Final = 1
SS: Final = 2


class Segment(NamedTuple):
    """A segment register with its hidden part; ``flags`` is the descriptor's upper half."""

    selector: int
    base: int
    limit: int
    flags: int


class ProcessorState:
    """A copy of the processor's state: :meth:`load` it, look and change, :meth:`store` it.

    Args:
        uc: The emulator.

    Raises:
        HostError: Its layout is not the one that is known.
    """

    def __init__(self, uc: Any) -> None:
        self._uc = uc
        self._context = uc.context_save()
        size = self._context.size
        memory = (ctypes.c_char * size).from_address(ctypes.cast(self._context.context, ctypes.c_void_p).value or 0)
        self._view = memoryview(memory).cast("B")
        # The binding's context_update and context_restore take twice as long.
        library: Any = cpu_extra("unicorn.unicorn_py3.unicorn").uclib
        self._take, self._put, self._whole = library.uc_context_save, library.uc_context_restore, self._context.context
        self._handle: Any = uc._uch
        self._size = size
        self._check_layout()

    def _check_layout(self) -> None:
        registers: Any = cpu_extra("unicorn.x86_const")
        places = {
            "R9": _REGISTERS + 9 * 8, "RIP": _INSTRUCTION_POINTER, "CR2": _CONTROL + 16, "DR0": self._size + _DEBUG,
        }  # fmt: skip
        before = {name: self._uc.reg_read(getattr(registers, f"UC_X86_REG_{name}")) for name in places}
        for number, name in enumerate(places):
            self._uc.reg_write(getattr(registers, f"UC_X86_REG_{name}"), _PROBE + number)
        self.load()
        found = [self._word(place) == _PROBE + number for number, place in enumerate(places.values())]
        for name, value in before.items():
            self._uc.reg_write(getattr(registers, f"UC_X86_REG_{name}"), value)
        if not all(found):
            raise HostError("this version of Unicorn keeps its state in an unknown form; 2.1.4 is supported")

    def load(self) -> None:
        """Take the processor's present state."""
        self._checked(self._take(self._handle, self._whole))

    def store(self) -> None:
        """Store the state to the processor."""
        self._checked(self._put(self._handle, self._whole))

    def _checked(self, status: int) -> None:
        if status:
            raise HostError(f"Unicorn does not hand over the processor's state: error {status}")

    def image(self) -> bytes:
        """The whole state, to be set again later."""
        return bytes(self._view)

    def set_image(self, image: bytes) -> None:
        """Set the whole state to one that :meth:`image` returned."""
        self._view[:] = image

    def _word(self, offset: int) -> int:
        word: int = _WORD.unpack_from(self._view, offset)[0]
        return word

    def register(self, number: int) -> int:
        """A general register by its number in instructions: 0 RAX, 1 RCX, 2 RDX, 3 RBX, 4 RSP ... 15."""
        return self._word(_REGISTERS + 8 * number)

    def registers(self) -> tuple[int, ...]:
        """All sixteen."""
        return struct.unpack_from("<16Q", self._view, _REGISTERS)

    def set_register(self, number: int, value: int) -> None:
        """Set a general register."""
        _WORD.pack_into(self._view, _REGISTERS + 8 * number, value & (1 << 64) - 1)

    @property
    def instruction_pointer(self) -> int:
        """RIP."""
        return self._word(_INSTRUCTION_POINTER)

    @instruction_pointer.setter
    def instruction_pointer(self, value: int) -> None:
        _WORD.pack_into(self._view, _INSTRUCTION_POINTER, value & (1 << 64) - 1)

    @property
    def system_flags(self) -> int:
        """RFLAGS without the arithmetic flags, which the emulator keeps elsewhere."""
        return self._word(_FLAGS)

    @system_flags.setter
    def system_flags(self, value: int) -> None:
        _WORD.pack_into(self._view, _FLAGS, value)

    @property
    def hidden_flags(self) -> int:
        """What the emulator knows of the mode: :data:`PRIVILEGE`, :data:`LONG_CODE`, :data:`INTERCEPTING`."""
        return int(_HALF.unpack_from(self._view, _HIDDEN_FLAGS)[0])

    @hidden_flags.setter
    def hidden_flags(self, value: int) -> None:
        _HALF.pack_into(self._view, _HIDDEN_FLAGS, value)

    @property
    def privilege(self) -> int:
        """The current privilege level, 0 to 3."""
        return self.hidden_flags & PRIVILEGE

    def segment(self, number: int) -> Segment:
        """A segment register: :data:`CS`, :data:`SS`."""
        return Segment(*_SEGMENT.unpack_from(self._view, _SEGMENTS + number * _SEGMENT_SIZE))

    def set_segment(self, number: int, segment: Segment) -> None:
        """Set a segment register with its hidden part."""
        _SEGMENT.pack_into(self._view, _SEGMENTS + number * _SEGMENT_SIZE, *segment)

    @property
    def task(self) -> Segment:
        """TR."""
        return Segment(*_SEGMENT.unpack_from(self._view, _TASK))

    @property
    def descriptor_table(self) -> Segment:
        """GDTR: base and limit."""
        return Segment(*_SEGMENT.unpack_from(self._view, _DESCRIPTORS))

    @property
    def interrupt_table(self) -> Segment:
        """IDTR: base and limit."""
        return Segment(*_SEGMENT.unpack_from(self._view, _INTERRUPTS))

    def control(self, number: int) -> int:
        """CR0 to CR4."""
        return self._word(_CONTROL + 8 * number)

    @property
    def error_code(self) -> int:
        """What the last exception would push."""
        return int(_HALF.unpack_from(self._view, self._size + _ERROR_CODE)[0])

    @property
    def software_interrupt(self) -> bool:
        """Whether the last exception was an INT n or INT3, after which the instruction pointer is."""
        return bool(_HALF.unpack_from(self._view, self._size + _SOFTWARE_INTERRUPT)[0])

    def exception_delivered(self) -> None:
        """The last exception is over: the next one is not a double fault, and does not continue after the last INT."""
        _HALF.pack_into(self._view, self._size + _SOFTWARE_INTERRUPT, 0)
        _SIGNED.pack_into(self._view, self._size + _EARLIER_EXCEPTION, -1)

    def intercept(self, control_block: int, mask: int) -> None:
        """Make instructions exit instead of being executed.

        Args:
            control_block: Physical address of a virtual machine control block with its permission maps.
            mask: Bits of the AMD64 intercept vector, 1 << (exit code - 0x60).
        """
        _WORD.pack_into(self._view, self._size + _CONTROL_BLOCK, control_block)
        _WORD.pack_into(self._view, self._size + _INTERCEPTS, mask)
        self.hidden_flags = self.hidden_flags | INTERCEPTING if mask else self.hidden_flags & ~INTERCEPTING
