"""Packets: any data in any pieces comes out as it went in, and what is not the protocol is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.debug.gdb.packets import (
    LONGEST_PACKET,
    Item,
    Kind,
    PacketError,
    PacketReader,
    escape,
    packet,
    unescape,
)


def fed(data: bytes, cuts: list[int] | None = None) -> list[Item]:
    reader, items, at = PacketReader(), [], 0
    for cut in [*sorted(cuts or []), len(data)]:
        items += reader.feed(data[at:cut])
        at = max(at, cut)
    return items


@given(st.lists(st.binary(max_size=64), max_size=4), st.data())
def test_packets_survive_any_cutting(bodies: list[bytes], data: st.DataObject) -> None:
    stream = b"+".join(packet(body) for body in bodies)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6))
    assert [item.data for item in fed(stream, cuts) if item.kind is Kind.PACKET] == bodies


@given(st.binary(max_size=64))
def test_escapes_come_back_and_leave_no_character_of_the_framing(body: bytes) -> None:
    assert unescape(escape(body)) == body
    assert not {ord("$"), ord("#"), ord("*")}.intersection(escape(body))


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_any_bytes_are_packets_or_an_error_of_ours(data: bytes, cuts: list[int]) -> None:
    try:
        fed(data, cuts)
    except PacketError:
        return


def test_interrupts_and_acknowledgements_stand_between_packets() -> None:
    kinds = [item.kind for item in fed(b"+$g#67\x03-$?#00")]
    assert kinds == [Kind.ACK, Kind.PACKET, Kind.INTERRUPT, Kind.NAK, Kind.DAMAGED]


def test_a_packet_that_never_ends_is_refused_before_it_fills_memory() -> None:
    reader = PacketReader()
    reader.feed(b"$")
    for _ in range(LONGEST_PACKET // 128):
        reader.feed(b"a" * 128)
    with pytest.raises(PacketError, match="more than"):
        reader.feed(b"a" * 128)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"$g#zz"])
def test_another_protocol_is_refused(data: bytes) -> None:
    with pytest.raises(PacketError):
        fed(data)
