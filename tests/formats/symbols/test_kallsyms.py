"""A kernel's own symbol table: found in every order that kernels have, and never where there is none."""

from __future__ import annotations

import random
import struct
import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tdvfsh.errors import HostError
from tdvfsh.formats.compression import codec_at
from tdvfsh.formats.elf import ELF64_HEADER, ELF64_PROGRAM_HEADER, PT_LOAD
from tdvfsh.formats.linux import parse_bzimage
from tdvfsh.formats.mapped import ByteSource
from tdvfsh.formats.symbols.kallsyms import Kallsyms, Symbol, find_kallsyms
from tdvfsh.images.fetch import fetch
from tests.formats.kallsyms_builder import BASE, LAYOUTS, TABLES_AT, build_kallsyms, default_symbols

REAL = {"kernel-6.1": False, "kernel-6.12": True, "kernel-6.12-cloud": True, "kernel-6.18-cloud": True,
        "kernel-7-cloud": True}  # fmt: skip
LINKER_MARKS = {"__end_rodata", "__init_begin", "__per_cpu_load", "__per_cpu_end"}  # ends of segments, rounded up


def found(image: bytes, base: int | None = None) -> Kallsyms:
    symbols = find_kallsyms(memoryview(image), base)
    assert symbols is not None
    return symbols


@pytest.mark.parametrize("kernel", LAYOUTS)
def test_symbols_are_found_in_every_order_of_the_tables(kernel: str) -> None:
    layout = LAYOUTS[kernel]
    symbols = found(build_kallsyms(layout), BASE)
    assert len(symbols) == 700
    assert symbols.base == BASE
    assert symbols.address_of("accept_memory") == BASE + 0x2000
    assert symbols.at(BASE + 0x201C) == Symbol("accept_memory", 0x1C, BASE + 0x2000)
    assert symbols.text == (BASE, BASE + 0x10000)
    assert [symbols.address_of(name[1:]) for _, name in default_symbols(layout.encoding)] == [
        address for address, _ in default_symbols(layout.encoding)
    ]


@pytest.mark.parametrize("kernel", ["6.1.0", "6.1.176", "6.12", "6.18"])
def test_the_relative_base_in_the_image_says_where_the_kernel_is(kernel: str) -> None:
    assert found(build_kallsyms(LAYOUTS[kernel])).base == BASE


def test_without_a_relative_base_addresses_count_from_the_start_of_a_memory_image() -> None:
    symbols = found(build_kallsyms(LAYOUTS["7.0"]))
    assert symbols.base == 0
    assert symbols.address_of("accept_memory") == 0x2000
    assert symbols.rebased(BASE + 0x600000).address_of("accept_memory") == BASE + 0x602000


def test_without_a_relative_base_addresses_of_an_elf_file_are_its_segments() -> None:
    image = build_kallsyms(LAYOUTS["7.0"])
    header = ELF64_HEADER.pack(b"\x7fELF\x02\x01" + bytes(10), 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    note = ELF64_PROGRAM_HEADER.pack(4, 0, 0x1000, BASE - 0x5000, 0, len(image), len(image), 4)
    load = ELF64_PROGRAM_HEADER.pack(PT_LOAD, 5, 0x1000, BASE, 0x1000000, len(image), len(image), 0x1000)
    symbols = found((header + note + load).ljust(0x1000, b"\0") + image)
    assert symbols.base == BASE
    assert symbols.address_of("_end") == BASE + 0x500000


def test_per_cpu_symbols_stay_where_they_are_when_the_kernel_moves() -> None:
    symbols = found(build_kallsyms(LAYOUTS["6.12"]), BASE + 0x1000000)
    assert symbols.address_of("cpu_number") == 0x1000
    assert symbols.at(0x1000) == Symbol("cpu_number", 0, 0x1000)
    assert symbols.at(0x800) == Symbol("fixed_percpu_data", 0x800, 0)
    assert symbols.at(BASE + 0x1002010) == Symbol("accept_memory", 0x10, BASE + 0x1002000)


@pytest.mark.parametrize("address", [0x1001, BASE - 1, BASE + 0x500001, -1, 1 << 64])
def test_what_lies_in_no_symbol_has_no_name(address: int) -> None:
    assert found(build_kallsyms(LAYOUTS["6.12"])).at(address) is None


def test_the_first_of_several_names_for_one_place_is_given() -> None:
    symbols = found(build_kallsyms(LAYOUTS["6.18"]))
    assert symbols.address_of("_stext") == BASE
    assert str(symbols.at(BASE)) == "_text"
    assert str(symbols.at(BASE + 0x3F)) == "_text+0x3f"


@pytest.mark.parametrize("name", ["", "accept", "memory", "Taccept_memory", "_text\nT_stext", "accept_memory\n"])
def test_only_whole_names_are_found(name: str) -> None:
    assert found(build_kallsyms(LAYOUTS["6.12"])).address_of(name) is None


def test_a_name_longer_than_127_packed_bytes_has_its_length_in_two_bytes() -> None:
    symbols = found(build_kallsyms(LAYOUTS["6.12"]))
    assert symbols.at(BASE + 0x400000) == Symbol("long_" * 40 + "name", 0, BASE + 0x400000)


@pytest.mark.parametrize("extra", range(8))
@pytest.mark.parametrize("kernel", LAYOUTS)
def test_tables_are_found_whatever_padding_their_lengths_need(kernel: str, extra: int) -> None:
    layout = LAYOUTS[kernel]
    symbols = default_symbols(layout.encoding)
    symbols += [(BASE + 0x600000 + number, f"D{'x' * (number + 1)}") for number in range(extra)]
    assert len(found(build_kallsyms(layout, symbols))) == 700 + extra


@pytest.mark.parametrize("kernel", LAYOUTS)
def test_a_few_symbols_with_one_marker_are_a_table(kernel: str) -> None:
    few = [(BASE, "T_text"), (BASE + 0x100, "taccept_memory"), (BASE + 0x200, "B_end")]
    assert found(build_kallsyms(LAYOUTS[kernel], few), BASE).address_of("accept_memory") == BASE + 0x100


def test_digits_of_a_character_set_before_the_table_do_not_hide_it() -> None:
    image = bytearray(build_kallsyms(LAYOUTS["6.12"]))
    image[0x100:0x1900] = "".join(map(chr, range(0x20, 0x7F))).encode("utf-16-le").ljust(0x1800, b"\0")
    assert found(bytes(image)).address_of("accept_memory") == BASE + 0x2000


@pytest.mark.parametrize("kernel", LAYOUTS)
def test_a_table_without_the_image_s_first_symbol_is_none(kernel: str) -> None:
    symbols = [(at, name.replace("T_text", "T_next")) for at, name in default_symbols(LAYOUTS[kernel].encoding)]
    assert find_kallsyms(memoryview(build_kallsyms(LAYOUTS[kernel], symbols))) is None


@pytest.mark.parametrize("kernel", LAYOUTS)
def test_offsets_that_are_not_in_order_are_no_table(kernel: str) -> None:
    symbols = default_symbols(LAYOUTS[kernel].encoding)
    symbols[400], symbols[402] = symbols[402], symbols[400]
    assert find_kallsyms(memoryview(build_kallsyms(LAYOUTS[kernel], symbols))) is None


@cache
def made(kernel: str) -> bytes:
    return build_kallsyms(LAYOUTS[kernel])


@given(kernel=st.sampled_from(sorted(LAYOUTS)), keep=st.floats(0, 1))
@settings(deadline=None, max_examples=60)
def test_a_cut_image_has_the_same_symbols_or_none(kernel: str, keep: float) -> None:
    image = made(kernel)
    symbols = find_kallsyms(memoryview(image)[: int(len(image) * keep)], BASE)
    assert symbols is None or symbols.address_of("accept_memory") == BASE + 0x2000


@given(
    kernel=st.sampled_from(sorted(LAYOUTS)),
    damage=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=8)), min_size=1, max_size=8),
)
@settings(deadline=None, max_examples=120)
def test_a_damaged_image_gives_symbols_that_hold_together_or_none(
    kernel: str, damage: list[tuple[float, bytes]]
) -> None:
    image = bytearray(made(kernel))
    for place, data in damage:
        at = TABLES_AT + int(place * (len(image) - TABLES_AT - 8))
        image[at : at + len(data)] = data
    symbols = find_kallsyms(memoryview(image), BASE)
    if symbols is not None:
        assert symbols.base == BASE
        symbol = symbols.at(BASE + 0x2010)
        assert symbol is None or BASE <= symbol.address <= BASE + 0x2010
        symbols.address_of("accept_memory")


@given(st.binary(max_size=4096))
def test_rubbish_has_no_symbols(data: bytes) -> None:
    assert find_kallsyms(memoryview(data)) is None


@pytest.mark.parametrize("seed", range(2))
def test_megabytes_full_of_tell_tales_are_given_up_soon(seed: int) -> None:
    source = random.Random(seed)
    table = made("6.12")[TABLES_AT:]
    head = table[source.randrange(0x1000) & ~7 :]
    image = (head[: len(head) & ~7][:-256] + bytes(256 * seed)) * 400
    start = time.process_time()
    find_kallsyms(memoryview(b"".join((b"0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0" * 50000, image))))
    find_kallsyms(memoryview(image))
    find_kallsyms(memoryview(struct.pack("<II", 0, 300) * (1 << 20) + image))
    assert time.process_time() - start < 6


@cache
def real(name: str) -> bytes:
    """An unpacked kernel; skips where there is no archive to fetch it from."""
    try:
        path = fetch(name).files["kernel"]
    except HostError as error:
        pytest.skip(f"no package archive here: {error}")
    source = ByteSource(path.read_bytes())
    kernel = parse_bzimage(source, name)
    window = ByteSource(source, name, kernel.payload_length - 4, kernel.setup_size + kernel.payload_offset)
    codec = codec_at(window, 0)
    assert codec is not None
    return b"".join(piece for _, piece in codec.unpack(window, 0))


def segments(elf: bytes) -> list[tuple[int, int]]:
    fields = ELF64_HEADER.unpack_from(elf)
    entries = [ELF64_PROGRAM_HEADER.unpack_from(elf, fields[5] + 56 * index) for index in range(fields[10])]
    return [(entry[3], entry[3] + entry[6]) for entry in entries if entry[0] == PT_LOAD]


@pytest.mark.images
@pytest.mark.parametrize("name", REAL)
def test_real_kernels_tell_where_their_functions_are(name: str) -> None:
    elf = real(name)
    start = time.process_time()
    symbols = found(elf)
    assert time.process_time() - start < 1
    assert len(symbols) > 90_000
    assert symbols.base == BASE
    for function in ("start_kernel", "memblock_alloc_range_nid", "__free_pages_core"):
        address = symbols.address_of(function)
        assert address is not None
        assert symbols.at(address + 5) == Symbol(function, 5, address)
    assert (symbols.address_of("accept_memory") is not None) is REAL[name]
    low, high = symbols.text
    assert low == BASE
    assert low < (symbols.address_of("get_page_from_freelist") or 0) < high
    low, high = symbols.init_text
    assert low < (symbols.address_of("start_kernel") or 0) < high


@pytest.mark.images
@pytest.mark.parametrize("name", REAL)
def test_symbols_of_real_kernels_lie_in_their_segments(name: str) -> None:
    elf = real(name)
    symbols = found(elf)
    places = segments(elf)
    low, high = places[0][0], max(end for _, end in places)
    for address in range(low, high, 0x1234):
        symbol = symbols.at(address)
        assert symbol is not None
        in_segment = any(start <= symbol.address < end for start, end in places)
        assert in_segment or symbol.name in LINKER_MARKS, symbol
    assert symbols.at(low - 1) is None


@pytest.mark.images
def test_a_real_kernel_s_memory_has_the_same_symbols_as_its_file() -> None:
    elf = real("kernel-7-cloud")
    fields = ELF64_HEADER.unpack_from(elf)
    memory = bytearray(64 << 20)
    for index in range(fields[10]):
        kind, _, offset, vaddr, _, filesz, _, _ = ELF64_PROGRAM_HEADER.unpack_from(elf, fields[5] + 56 * index)
        if kind == PT_LOAD:
            memory[vaddr - BASE : vaddr - BASE + filesz] = elf[offset : offset + filesz]
    moved = found(bytes(memory), BASE + 0x2600000)
    assert moved.address_of("accept_memory") == (found(elf).address_of("accept_memory") or 0) + 0x2600000
