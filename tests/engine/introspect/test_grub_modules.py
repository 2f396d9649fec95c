"""GRUB's modules in memory: names by the symbol tables that GRUB has resolved in place."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.introspect.grub_modules import GrubModule, modules_in

TEXT, DATA = 0x1C800000, 0x1C801000


def module(name: str, loaded: bool = True) -> bytes:
    """An object with ``.text`` and ``.data``, as it stands in memory."""
    strings = b"\0start\0next\0count\0grub_printf\0"
    names = b"\0.modname\0.symtab\0.strtab\0"
    base = TEXT if loaded else 0

    def symbol(text: bytes, info: int, section: int, value: int) -> bytes:
        return struct.pack(
            "<IBBHQQ", strings.index(b"\0" + text + b"\0") + 1 if text else 0, info, 0, section, value, 0
        )

    symbols = (
        bytes(24)
        + symbol(b"", 3, 1, base)
        + symbol(b"", 3, 2, DATA if loaded else 0)
        + symbol(b"next", 0x12, 1, base + 0x40)
        + symbol(b"start", 0x12, 1, base)
        + symbol(b"count", 0x11, 2, (DATA if loaded else 0) + 8)
        + symbol(b"grub_printf", 0x12, 0, 0x1C92E1B9 if loaded else 0)
    )
    parts = [names, name.encode() + b"\0", strings, symbols]
    at, offsets = 64, []
    for part in parts:
        offsets.append(at)
        at += len(part)
    rows = [
        bytes(64),
        struct.pack("<IIQQQQIIQQ", 0, 1, 6, 0, 64, 0x100, 0, 0, 16, 0),
        struct.pack("<IIQQQQIIQQ", 0, 1, 3, 0, 64, 0x10, 0, 0, 16, 0),
        struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, offsets[1], len(parts[1]), 0, 0, 1, 0),
        struct.pack("<IIQQQQIIQQ", 10, 2, 0, 0, offsets[3], len(symbols), 5, 3, 8, 24),
        struct.pack("<IIQQQQIIQQ", 18, 3, 0, 0, offsets[2], len(strings), 0, 0, 1, 0),
        struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, offsets[0], len(names), 0, 0, 1, 0),
    ]
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, len(rows), 6
    )
    return header + b"".join(parts) + b"".join(rows)


def section(*objects: bytes) -> bytes:
    """A section ``mods``."""
    body = b"".join(struct.pack("<II", 0, 8 + len(each)) + each for each in objects)
    return struct.pack("<4sIQQ", b"mimg", 0, 24, 24 + len(body)) + body


def test_a_loaded_module_has_its_functions_where_grub_put_them() -> None:
    found, all_loaded = modules_in(section(module("linux"), module("later", loaded=False)))
    assert [each.name for each in found] == ["linux"]
    assert not all_loaded
    linux = found[0]
    assert linux.symbols == (("start", TEXT), ("next", TEXT + 0x40), ("count", DATA + 8))
    assert linux.imports == (("grub_printf", 0x1C92E1B9),)
    assert (linux.start, linux.end) == (TEXT, DATA + 0x10)
    assert linux.contains(DATA)
    assert not linux.contains(TEXT + 0x100)
    assert linux.place(TEXT + 0x44) == "linux.mod next+0x4"
    assert linux.place(TEXT) == "linux.mod start"
    assert linux.place(DATA + 4) == "linux.mod+0x1004"  # before the first name of its section
    assert modules_in(section(module("linux")))[1]


@given(st.data())
def test_damage_is_fewer_modules(data: st.DataObject) -> None:
    whole = bytearray(section(module("first"), module("second")))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(whole) - 4))
        whole[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    found, _ = modules_in(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    for each in found:
        assert isinstance(each, GrubModule)
        assert isinstance(each.place(each.ranges[0][0]), str)
