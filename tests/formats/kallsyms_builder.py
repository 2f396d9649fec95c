"""A small symbol table as the kernel's build makes one, in each order and each encoding of offsets."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import accumulate

BASE = 0xFFFF_FFFF_8100_0000
TABLES_AT = 0x5000
PAIRS = {0x01: "me", 0x02: "mory", 0x1F: "accept_", 0xE0: "__", 0xFF: "free_pages"}


@dataclass(frozen=True)
class Layout:
    """What kernels differ in.

    Attributes:
        old_order: Offsets stand first, as up to 6.3.
        sequence: The sequence by name is there.
        alignment: Of each table.
        encoding: ``percpu``, ``base`` or ``place``.
    """

    old_order: bool
    sequence: bool
    alignment: int
    encoding: str


LAYOUTS = {
    "6.1.0": Layout(True, False, 8, "percpu"),
    "6.1.176": Layout(True, True, 8, "percpu"),
    "6.12": Layout(False, True, 8, "percpu"),
    "6.18": Layout(False, True, 8, "base"),
    "7.0": Layout(False, True, 4, "place"),
}


def default_symbols(encoding: str) -> list[tuple[int, str]]:
    """700 symbols: three markers; ``accept_memory`` at 0x2000 from ``_text``."""
    percpu = [(0, "Afixed_percpu_data"), (0x1000, "Acpu_number")] if encoding == "percpu" else []
    named = [
        (0, "T_text"),
        (0, "T_stext"),
        (0x40, "Tstartup_64"),
        (0x2000, "Taccept_memory"),
        (0x2080, "t__accept_page"),
    ]
    many = [(0x3000 + 16 * number, f"tfunction_{number}.constprop.0") for number in range(692 - len(percpu))]
    last = [(0x10000, "T_etext"), (0x400000, "B" + "long_" * 40 + "name"), (0x500000, "B_end")]
    return percpu + [(BASE + at, name) for at, name in [*named, *many, *last]]


def build_kallsyms(layout: Layout, symbols: list[tuple[int, str]] | None = None, origin: int = BASE) -> bytes:
    """An image whose first byte is at address ``origin``, with tables somewhere in it.

    Args:
        layout: The kernel's.
        symbols: (address, type and name) in order of address.
        origin: Address of the image's first byte, for offsets that count from their place.
    """
    symbols = default_symbols(layout.encoding) if symbols is None else symbols
    tokens = [PAIRS.get(number, chr(number) if number else "zz") for number in range(256)]
    image = bytearray(b"\xcc" * TABLES_AT)

    def put(table: bytes) -> int:
        image.extend(bytes(-len(image) % layout.alignment))
        image.extend(table)
        return len(image) - len(table)

    def put_offsets() -> None:
        image.extend(bytes(-len(image) % layout.alignment))
        at = origin + len(image)
        put(b"".join(_offset(layout.encoding, address, at + 4 * index) for index, (address, _) in enumerate(symbols)))
        if layout.encoding != "place":
            put(struct.pack("<Q", BASE))

    if layout.old_order:
        put_offsets()
    packed = [_packed(name) for _, name in symbols]
    put(struct.pack("<I", len(symbols)))
    put(b"".join(packed))
    places = list(accumulate((len(name) for name in packed), initial=0))
    put(b"".join(struct.pack("<I", place) for place in places[:-1:256]))
    order = sorted(range(len(symbols)), key=lambda index: symbols[index][1][1:])
    sequence = b"".join(index.to_bytes(3, "big") for index in order)
    if layout.old_order and layout.sequence:
        put(sequence)
    put(b"".join(token.encode("latin-1") + b"\0" for token in tokens))
    put(struct.pack("<256H", *list(accumulate((len(token) + 1 for token in tokens), initial=0))[:256]))
    if not layout.old_order:
        put_offsets()
        put(sequence)
    return bytes(image) + bytes(64)


def _offset(encoding: str, address: int, place: int) -> bytes:
    if encoding == "place":
        return struct.pack("<i", address - place)
    if encoding == "base":
        return struct.pack("<I", address - BASE)
    return struct.pack("<i", BASE - 1 - address if address >= BASE else address)


def _packed(name: str) -> bytes:
    for number, text in PAIRS.items():
        name = name.replace(text, chr(number))
    data = name.encode("latin-1")
    size = len(data)
    return (bytes([size]) if size < 0x80 else bytes([size & 0x7F | 0x80, size >> 7])) + data
