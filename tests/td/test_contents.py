from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.td.contents import Contents
from tdvfsh.units import TIB

SIZE = 200
_at = st.integers(0, SIZE - 1)
_write = st.tuples(st.just("write"), _at, st.binary(max_size=50))
_zero = st.tuples(st.just("zero"), _at, st.binary(max_size=50))
_copy = st.tuples(st.just("copy"), _at, st.binary(max_size=50))


@given(st.lists(st.one_of(_write, _zero, _copy), max_size=20))
def test_memory_reads_as_a_byte_array_would(changes: list[tuple[str, int, bytes]]) -> None:
    contents, plain = Contents(), bytearray(4 * SIZE)
    for verb, at, data in changes:
        if verb == "write":
            contents.write(at, data)
            plain[at : at + len(data)] = data
        elif verb == "zero":
            contents.zero(at, at + len(data))
            plain[at : at + len(data)] = bytes(len(data))
        else:
            target = (at * 7) % SIZE
            contents.copy_within(at, target, len(data))
            plain[target : target + len(data)] = plain[at : at + len(data)]
    assert contents.read(0, len(plain)) == plain


def test_a_mapped_file_is_not_copied_even_after_it_is_split() -> None:
    data = bytes(range(256)) * 4
    contents = Contents()
    contents.map_view(TIB, memoryview(data))
    contents.write(TIB + 100, b"\xff\xff")
    pieces = [(low - TIB, view) for low, _, view in contents.views(TIB, TIB + 1024)]
    assert [at for at, _ in pieces] == [0, 100, 102]
    assert pieces[0][1] is not None
    assert pieces[0][1].obj is data
    assert contents.read(TIB + 98, 6) == b"\x62\x63\xff\xff\x66\x67"


def test_untouched_memory_is_zero_and_has_no_view() -> None:
    contents = Contents()
    contents.write(10, b"x")
    assert list(contents.views(0, 10)) == [(0, 10, None)]
    assert contents.read(5, 10) == b"\0\0\0\0\0x\0\0\0\0"


def test_discarded_memory_reads_as_zeros() -> None:
    contents = Contents()
    contents.write(0, b"abcdef")
    contents.discard(2, 4)
    assert contents.read(0, 6) == b"ab\0\0ef"
    assert len(contents) == 2


def test_a_write_keeps_its_bytes_when_the_source_changes() -> None:
    contents, source = Contents(), bytearray(b"abc")
    contents.write(0, source)
    source[0] = 0
    assert contents.read(0, 3) == b"abc"


def test_a_copy_goes_its_own_way() -> None:
    contents = Contents()
    contents.write(0, b"abc")
    twin = contents.copy()
    twin.write(0, b"xyz")
    assert (contents.read(0, 3), twin.read(0, 3)) == (b"abc", b"xyz")
