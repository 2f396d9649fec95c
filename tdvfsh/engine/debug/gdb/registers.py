"""The registers that gdb is shown, as a target description: gdb's own x86-64 sets, and the system registers.

Source: GDB manual, appendix G (Target Descriptions), G.5.5 (i386 Features).
"""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import quoteattr

from tdvfsh.engine.extra import cpu_extra
from tdvfsh.lazy_typing import Any, Final, NamedTuple

_CORE: Final = "org.gnu.gdb.i386.core"
_SSE: Final = "org.gnu.gdb.i386.sse"
_BASES: Final = "org.gnu.gdb.i386.segments"
_SYSTEM: Final = "org.tdvfsh.i386.system"
_EFER: Final = 0xC0000080
_KERNEL_GS_BASE: Final = 0xC0000102
_SELECTOR_AND_LIMIT: Final = 4

EFLAGS: Final = "eflags"


class Register(NamedTuple):
    """One register.

    Attributes:
        name: gdb's name.
        bits: Its size.
        feature: The set that it is in.
        type: gdb's type.
        group: The group that ``info registers`` shows it in; empty for gdb's own.
        read: Reads it from the processor; the same size always.
        write: Sets it; None for one that cannot be set.
    """

    name: str
    bits: int
    feature: str
    type: str
    group: str
    read: Callable[[Any], int]
    write: Callable[[Any, int], None] | None

    @property
    def size(self) -> int:
        """Bytes."""
        return self.bits // 8


def _number(name: str) -> int:
    return int(getattr(cpu_extra("unicorn.x86_const"), f"UC_X86_REG_{name}"))


def _plain(name: str, bits: int, feature: str, kind: str, group: str = "", writable: bool = True) -> Register:
    number = _number(name.upper())
    mask = (1 << bits) - 1

    def write(uc: Any, value: int) -> None:
        uc.reg_write(number, value)

    return Register(
        name, bits, feature, kind, group,
        read=lambda uc: int(uc.reg_read(number)) & mask, write=write if writable else None,
    )  # fmt: skip


def _float(index: int) -> Register:
    number = _number(f"FP{index}")

    def read(uc: Any) -> int:
        mantissa, exponent = uc.reg_read(number)
        return int(mantissa) | int(exponent) << 64

    def write(uc: Any, value: int) -> None:
        uc.reg_write(number, (value & (1 << 64) - 1, value >> 64))

    return Register(f"st{index}", 80, _CORE, "i387_ext", "", read=read, write=write)


def _zero(name: str, group: str = "float") -> Register:
    return Register(name, 32, _CORE, "int", group, read=lambda uc: 0, write=None)


def _table(name: str, part: int, bits: int) -> Register:
    """Base (1) or limit (2) of GDTR or IDTR; selector (0) or base (1) of TR and LDTR."""
    number = _number(name.upper())
    suffix = {0: "", 1: "_base", 2: "_limit"}[part]
    return Register(
        f"{name}{suffix}", bits, _SYSTEM, _unsigned(bits), "system",
        read=lambda uc: int(uc.reg_read(number)[part]), write=None,
    )  # fmt: skip


def _model_specific(name: str, number: int) -> Register:
    return Register(name, 64, _SYSTEM, "uint64", "system", read=lambda uc: int(uc.msr_read(number)), write=None)


def _unsigned(bits: int) -> str:
    return f"uint{bits}"


def all_registers() -> tuple[Register, ...]:
    """All of them, in the order of gdb's ``g`` packet."""
    general = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)))
    pointers = {"rbp": "data_ptr", "rsp": "data_ptr"}
    return (
        *(_plain(name, 64, _CORE, pointers.get(name, "int64")) for name in general),
        _plain("rip", 64, _CORE, "code_ptr"),
        _plain(EFLAGS, 32, _CORE, "x86_flags"),
        *(_plain(name, 32, _CORE, "int32") for name in ("cs", "ss", "ds", "es", "fs", "gs")),
        *(_float(index) for index in range(8)),
        *(_zero(name) for name in ("fctrl", "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop")),
        *(_plain(f"xmm{number}", 128, _SSE, "vec128") for number in range(16)),
        _plain("mxcsr", 32, _SSE, "int", "vector"),
        _plain("fs_base", 64, _BASES, "int"),
        _plain("gs_base", 64, _BASES, "int"),
        *(_plain(f"cr{number}", 64, _SYSTEM, "uint64", "system") for number in (0, 2, 3, 4, 8)),
        _model_specific("efer", _EFER),
        _model_specific("k_gs_base", _KERNEL_GS_BASE),
        *(_table(name, part, bits) for name in ("gdtr", "idtr") for part, bits in ((1, 64), (2, 32))),
        *(_table(name, part, bits) for name in ("tr", "ldtr") for part, bits in ((0, 32), (1, 64))),
        *(_plain(f"dr{number}", 64, _SYSTEM, "uint64", "system") for number in (0, 1, 2, 3, 6, 7)),
    )


_VECTOR: Final = """\
<vector id="v4f" type="ieee_single" count="4"/><vector id="v2d" type="ieee_double" count="2"/>\
<vector id="v16i8" type="int8" count="16"/><vector id="v8i16" type="int16" count="8"/>\
<vector id="v4i32" type="int32" count="4"/><vector id="v2i64" type="int64" count="2"/>\
<union id="vec128"><field name="v4_float" type="v4f"/><field name="v2_double" type="v2d"/>\
<field name="v16_int8" type="v16i8"/><field name="v8_int16" type="v8i16"/><field name="v4_int32" type="v4i32"/>\
<field name="v2_int64" type="v2i64"/><field name="uint128" type="uint128"/></union>"""

_FLAG_BITS: Final = (
    ("CF", 0), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("TF", 8), ("IF", 9), ("DF", 10), ("OF", 11), ("NT", 14),
    ("RF", 16), ("VM", 17), ("AC", 18), ("VIF", 19), ("VIP", 20), ("ID", 21),
)  # fmt: skip
_FLAGS: Final = (
    '<flags id="x86_flags" size="4">'
    + "".join(f'<field name="{name}" start="{bit}" end="{bit}"/>' for name, bit in _FLAG_BITS)
    + "</flags>"
)
_TYPES: Final = {_CORE: _FLAGS, _SSE: _VECTOR}


def target_description(registers: tuple[Register, ...]) -> str:
    """The description as XML."""
    parts = ['<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">']
    # without an operating system's ABI gdb takes the list of libraries from us, and not from a dynamic linker
    parts.append("<architecture>i386:x86-64</architecture><osabi>none</osabi>")
    for feature in dict.fromkeys(register.feature for register in registers):
        parts.append(f"<feature name={quoteattr(feature)}>{_TYPES.get(feature, '')}")
        for register in registers:
            if register.feature == feature:
                group = f" group={quoteattr(register.group)}" if register.group else ""
                parts.append(
                    f'<reg name={quoteattr(register.name)} bitsize="{register.bits}" '
                    f"type={quoteattr(register.type)}{group}/>"
                )
        parts.append("</feature>")
    parts.append("</target>")
    return "".join(parts)
