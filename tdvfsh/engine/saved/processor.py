"""The state of an emulated processor as registers by name, and back.

The emulator's own form of it holds pointers of this process and depends on its version, so that no file may have it.
Every register stands in a table with its place in that form; what a state made of the table lacks of the original is
found out when it is saved. What is not in the table is the new processor's: the emulator's intercepts, its pointers,
and registers of features that it does not emulate.

Source: Unicorn 2.1.4 qemu/target/i386/cpu.h, CPUX86State; include/fpu/softfloat-types.h, float_status.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from tdvfsh.engine.errors import EngineError
from tdvfsh.formats import shapes
from tdvfsh.formats.typed_json import FieldError, wrong
from tdvfsh.lazy_typing import Any, Final, NamedTuple

SIZE: Final = 5608
"""Bytes of the emulator's form, which :class:`~tdvfsh.engine.x86.processor_state.ProcessorState` has checked."""
_HEADER: Final = 40
_SEGMENT: Final = struct.Struct("<I4xQII")
_SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr", "gdtr", "idtr")
_GENERAL: Final = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
_WORDS: Final[Mapping[int, tuple[str, ...]]] = {
    0: _GENERAL,
    128: ("rip", "rflags", "cc_dst", "cc_src", "cc_src2"),
    424: ("cr0", "cr1", "cr2", "cr3", "cr4"),
    488: ("cr8",),
    592: ("efer",),
    760: ("fpu_ip", "fpu_dp"),
    4808: ("sysenter_esp", "sysenter_eip", "star"),
    4840: ("lstar", "cstar", "fmask", "kernel_gs_base", "tsc", "tsc_adjust", "tsc_deadline", "tsc_aux", "xcr0"),
    4912: ("mcg_status", "misc_enable"),
    5280: ("pat",),
    5312: ("spec_ctrl",),
    5392: ("exception_next_eip", "dr0", "dr1", "dr2", "dr3", "dr4", "dr5", "dr6", "dr7"),
}
"""Registers of 64 bits, by the offset of the first of a row."""
_SMALL: Final[Mapping[str, tuple[int, str, int, int]]] = {
    "cc_op": (168, "<I", 0, 127),
    "direction": (172, "<i", -1, 1),
    "hidden_flags": (176, "<I", 0, (1 << 32) - 1),
    "hidden_flags_2": (180, "<I", 0, 0xFF),
    "a20_mask": (496, "<i", -(1 << 20) - 1, -1),
    "fpu_top": (604, "<I", 0, 7),
    "fpu_status": (608, "<H", 0, 0xFFFF),
    "fpu_control": (610, "<H", 0, 0xFFFF),
    "fpu_opcode": (752, "<H", 0, 0xFFFF),
    "fpu_cs": (754, "<H", 0, 0xFFFF),
    "fpu_ds": (756, "<H", 0, 0xFFFF),
    "mxcsr": (816, "<I", 0, 0xFFFF),
    "sysenter_cs": (4800, "<I", 0, (1 << 32) - 1),
    "error_code": (5384, "<i", -(1 << 31), (1 << 31) - 1),
    "exception_is_int": (5388, "<I", 0, 0xFF),
    "old_exception": (5496, "<i", -1, 255),
}
"""Smaller ones: offset, form, and the lowest and highest valid value."""
_HIDDEN_FLAGS: Final = 176
_FPU_TAGS: Final = (612, 8)
_FPU_REGISTERS: Final = (624, 8, 16, 10)
_XMM_REGISTERS: Final = (824, 16, 64, 16)
_XMM_SPACE: Final = 32  # as many as AVX-512 would have
_FLOAT_MODES: Final = {"fpu_mode": 776, "mmx_mode": 800, "sse_mode": 808}
_LARGEST_MODE: Final = (1, 4, 0xFF, 80, 1, 1, 1, 1)
_BREAKPOINTS: Final = (5464, 32)
_UNIMPORTANT: Final = ((784, 16), (2872, 72), (5560, 8))
"""Offsets and sizes of what means nothing between two instructions: temporary registers and a return address."""
_FIXED_FLAGS: Final = 1 << 21  # a guest whose intercepts count
_KNOWN_FLAGS: Final = (
    0x3 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 14 | 1 << 15
    | 1 << 20 | 1 << 22 | 1 << 23 | _FIXED_FLAGS
)  # fmt: skip
"""Privilege, whether there is an MMU, held interrupts, sizes of code and stack, segments with bases, protected mode,
MP, EM, TS, long mode, 64-bit code; virtual machine extensions, FXSR and SMAP of control registers."""

Json = dict[str, Any]


class _Word(NamedTuple):
    name: str
    offset: int


_ALL_WORDS: Final = tuple(
    _Word(name, first + 8 * index) for first, names in _WORDS.items() for index, name in enumerate(names)
)


def registers_of(image: bytes, new: bytes) -> Json:
    """The registers of a processor.

    Args:
        image: Its state in the emulator's form.
        new: That of the processor when it was new, with intercepts on.

    Raises:
        EngineError: Something in it is in no register that is known here.
    """
    found: Json = {word.name: _get(image, word.offset, "<Q") for word in _ALL_WORDS}
    found |= {name: _get(image, offset, form) for name, (offset, form, _, _) in _SMALL.items()}
    found |= {
        name: list(_SEGMENT.unpack_from(image, _HEADER + 184 + 24 * index)) for index, name in enumerate(_SEGMENTS)
    }
    found["fpu_tags"] = list(_part(image, *_FPU_TAGS))
    found["fpu_registers"] = _registers(image, _FPU_REGISTERS)
    found["xmm_registers"] = _registers(image, _XMM_REGISTERS)
    found |= {name: list(_part(image, offset, 8)) for name, offset in _FLOAT_MODES.items()}
    again = image_of(found, new, "")
    if any(_part(image, *_BREAKPOINTS)):
        raise EngineError("the guest uses hardware breakpoints, which a saved machine does not hold")
    mine, its = _important(again), _important(image)
    if mine != its:
        at = next(index for index, byte in enumerate(its) if byte != mine[index]) - _HEADER
        raise EngineError(f"the processor is in a state that a saved machine does not hold (offset {at} of it)")
    return found


def image_of(data: object, new: bytes, where: str) -> bytes:
    """The state in the emulator's form, of registers that :func:`registers_of` returned.

    Raises:
        FieldError: They are not registers, or have values that a processor cannot have.
    """
    _SHAPE(data, where)
    assert isinstance(data, dict)
    image = bytearray(new)
    for word in _ALL_WORDS:
        _put(image, word.offset, "<Q", data[word.name])
    flags = data["hidden_flags"]
    if flags & ~_KNOWN_FLAGS or (flags ^ _get(new, _HIDDEN_FLAGS, "<I")) & _FIXED_FLAGS:
        raise wrong(f"{where}.hidden_flags", "a processor's", flags)
    for name, (offset, form, _, _) in _SMALL.items():
        _put(image, offset, form, data[name])
    for index, name in enumerate(_SEGMENTS):
        _SEGMENT.pack_into(image, _HEADER + 184 + 24 * index, *data[name])
    image[_HEADER + _FPU_TAGS[0] : _HEADER + sum(_FPU_TAGS)] = bytes(data["fpu_tags"])
    _put_registers(image, _FPU_REGISTERS, data["fpu_registers"], f"{where}.fpu_registers")
    _put_registers(image, _XMM_REGISTERS, data["xmm_registers"], f"{where}.xmm_registers")
    for name, offset in _FLOAT_MODES.items():
        image[_HEADER + offset : _HEADER + offset + 8] = bytes(data[name])
    return bytes(image)


def _get(image: bytes, offset: int, form: str) -> int:
    return int(struct.unpack_from(form, image, _HEADER + offset)[0])


def _put(image: bytearray, offset: int, form: str, value: int) -> None:
    struct.pack_into(form, image, _HEADER + offset, value)


def _part(image: bytes, offset: int, size: int) -> bytes:
    return bytes(image[_HEADER + offset : _HEADER + offset + size])


def _registers(image: bytes, place: tuple[int, int, int, int]) -> list[str]:
    offset, count, distance, size = place
    return [_part(image, offset + distance * number, size).hex() for number in range(count)]


def _put_registers(image: bytearray, place: tuple[int, int, int, int], values: list[str], where: str) -> None:
    offset, _, distance, size = place
    for number, text in enumerate(values):
        try:
            data = bytes.fromhex(text)
        except ValueError:
            data = b""
        if len(data) != size:
            raise FieldError(f"{where}[{number}]", f"is not {size} hexadecimal bytes")
        at = _HEADER + offset + distance * number
        image[at : at + size] = data


def _important(image: bytes) -> bytes:
    """Without what means nothing: that, the padding of x87 registers, and the upper parts of XMM registers, which the
    emulator fills with anything and never reads, since it has no AVX."""
    kept = bytearray(image)
    for offset, size in _UNIMPORTANT:
        kept[_HEADER + offset : _HEADER + offset + size] = bytes(size)
    for number in range(_FPU_REGISTERS[1]):
        at = _HEADER + _FPU_REGISTERS[0] + 16 * number + _FPU_REGISTERS[3]
        kept[at : at + 6] = bytes(6)
    for number in range(_XMM_SPACE):
        at = _HEADER + _XMM_REGISTERS[0] + 64 * number + _XMM_REGISTERS[3]
        kept[at : at + 48] = bytes(48)
    return bytes(kept)


def _shape() -> shapes.Shape:
    word = shapes.whole((1 << 64) - 1)
    half = shapes.whole((1 << 32) - 1)
    texts = {"fpu_registers": _FPU_REGISTERS[1], "xmm_registers": _XMM_REGISTERS[1]}
    mode = shapes.row(*map(shapes.whole, _LARGEST_MODE))
    return shapes.fields(
        {word_.name: word for word_ in _ALL_WORDS}
        | {name: shapes.whole(most, least) for name, (_, _, least, most) in _SMALL.items()}
        | {name: shapes.row(half, word, half, half) for name in _SEGMENTS}
        | {"fpu_tags": shapes.row(*[shapes.whole(1)] * _FPU_TAGS[1])}
        | {name: shapes.row(*[shapes.text] * count) for name, count in texts.items()}
        | dict.fromkeys(_FLOAT_MODES, mode)
    )


_SHAPE: Final = _shape()
