"""Packets of gdb's remote serial protocol: framing, checksums and escapes, without a connection.

Source: GDB manual, appendix E.1 (Overview), E.4 (Packet Acknowledgment), E.8 (Interrupts).
"""

from __future__ import annotations

from enum import Enum

from tdvfsh.lazy_typing import Final, NamedTuple

LONGEST_PACKET: Final = 1 << 14
"""Bytes of a packet's data that are taken from a client; it is told so."""

_START: Final = ord("$")
_END: Final = ord("#")
_ESCAPE: Final = ord("}")
_REPEAT: Final = ord("*")
_FLIP: Final = 0x20
_INTERRUPT: Final = 3
_ESCAPED: Final = frozenset((_START, _END, _ESCAPE, _REPEAT))


class PacketError(Exception):
    """A client that does not speak the protocol; the text says what it did."""


class Kind(Enum):
    """What has come from a client."""

    PACKET = "packet"
    ACK = "+"
    NAK = "-"
    INTERRUPT = "interrupt"
    DAMAGED = "a packet with a wrong checksum"


class Item(NamedTuple):
    """One thing that has come; ``data`` is a packet's, without escapes."""

    kind: Kind
    data: bytes = b""


class PacketReader:
    """Reader of a client's bytes, which come in pieces of any size."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[Item]:
        """Everything that is complete with ``data``.

        Raises:
            PacketError: What came is not the protocol, or a packet is longer than :data:`LONGEST_PACKET`.
        """
        self._bytes += data
        items: list[Item] = []
        while self._bytes:
            item = self._next()
            if item is None:
                break
            items.append(item)
        return items

    def _next(self) -> Item | None:
        first = self._bytes[0]
        if first != _START:
            del self._bytes[0]
            known = {ord("+"): Kind.ACK, ord("-"): Kind.NAK, _INTERRUPT: Kind.INTERRUPT}.get(first)
            if known is None:
                raise PacketError(f"byte {first:#04x} between packets is not gdb's protocol")
            return Item(known)
        end = self._bytes.find(_END, 1)
        if (end if end >= 0 else len(self._bytes)) - 1 > LONGEST_PACKET:
            raise PacketError(f"a packet of more than {LONGEST_PACKET} bytes")
        if end < 0 or len(self._bytes) < end + 3:
            return None
        body, checksum = bytes(self._bytes[1:end]), bytes(self._bytes[end + 1 : end + 3])
        del self._bytes[: end + 3]
        try:
            expected = int(checksum.decode("ascii"), 16)
        except ValueError:
            raise PacketError(f"checksum {checksum!r} is not two hexadecimal digits") from None
        if sum(body) & 0xFF != expected:
            return Item(Kind.DAMAGED)
        return Item(Kind.PACKET, unescape(body))


def unescape(body: bytes) -> bytes:
    """A packet's data; a client's packets are not run-length encoded."""
    if _ESCAPE not in body:
        return body
    plain = bytearray()
    escaped = False
    for byte in body:
        if escaped:
            plain.append(byte ^ _FLIP)
            escaped = False
        elif byte == _ESCAPE:
            escaped = True
        else:
            plain.append(byte)
    return bytes(plain)


def escape(data: bytes) -> bytes:
    """Data as it may stand in a packet."""
    if not _ESCAPED.intersection(data):
        return data
    out = bytearray()
    for byte in data:
        if byte in _ESCAPED:
            out += bytes((_ESCAPE, byte ^ _FLIP))
        else:
            out.append(byte)
    return bytes(out)


def packet(data: bytes) -> bytes:
    """A whole packet with its checksum."""
    body = escape(data)
    return b"$%b#%02x" % (body, sum(body) & 0xFF)
