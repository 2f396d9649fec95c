"""Which packets of a guest a user-mode network takes: ARP, DHCP, echo requests to the gateway, and TCP to it.

Domain name servers are not among them: their answer is REFUSED.

Source: RFC 826 (ARP), RFC 791 (IPv4), RFC 2131 (DHCP); IEEE 802.3.
"""

from __future__ import annotations

import ipaddress
import struct

from tdvfsh.lazy_typing import Final

GATEWAY: Final = ipaddress.IPv4Address("10.0.2.2")
LARGEST_FRAME: Final = 1514
_ETHERNET: Final = struct.Struct("!6s6sH")
_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_PORTS: Final = struct.Struct("!HH")
_ARP_TYPE, _IPV4_TYPE = 0x0806, 0x0800
_ARP_SIZE: Final = 28
_FRAGMENT: Final = 0x3FFF
_ICMP, _TCP, _UDP = 1, 6, 17
_DOMAIN, _DHCP_SERVER = 53, 67
_BROADCAST: Final = b"\xff" * 4
_UDP_SIZE: Final = 8
_QUERY_SIZE: Final = 12
_RESPONSE, _REFUSED = 0x80, 5
_MALFORMED: Final = "a packet that is malformed"
DOMAIN_NAMES: Final = "a request to a domain name server"


def refusal(frame: bytes) -> str | None:
    """Why a frame goes no further; None where it is taken, and empty where nobody has to be told."""
    if not _ETHERNET.size <= len(frame) <= LARGEST_FRAME:
        return "a frame of an invalid size"
    kind = _ETHERNET.unpack_from(frame)[2]
    if kind == _ARP_TYPE:
        return None if len(frame) >= _ETHERNET.size + _ARP_SIZE else _MALFORMED
    return _ipv4_refusal(frame[_ETHERNET.size :]) if kind == _IPV4_TYPE else ""  # IPv6's own, above all


def refused_query(frame: bytes) -> bytes | None:
    """The answer REFUSED to a request to a domain name server by UDP; None for a frame that is not one.

    Source: RFC 1035, 4.1.1.
    """
    if refusal(frame) != DOMAIN_NAMES:
        return None
    packet = frame[_ETHERNET.size :]
    header, size = 4 * (packet[0] & 15), int.from_bytes(packet[2:4], "big")
    query = packet[header + _UDP_SIZE : size]
    if packet[9] != _UDP or len(query) < _QUERY_SIZE:
        return None
    source, target = _PORTS.unpack_from(packet, header)
    answer = query[:2] + bytes((query[2] | _RESPONSE, _REFUSED)) + query[4:]
    datagram = _PORTS.pack(target, source) + _PORTS.pack(_UDP_SIZE + len(answer), 0) + answer
    ends = packet[16:20] + packet[12:16]
    head = struct.pack("!BBHIBBH", 0x45, 0, _IPV4.size + len(datagram), 0, 64, _UDP, 0) + ends
    checksum = _checksum(head).to_bytes(2, "big")
    return frame[6:12] + frame[:6] + frame[12:14] + head[:10] + checksum + head[12:] + datagram


def _checksum(header: bytes) -> int:
    total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, len(header), 2))
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def _ipv4_refusal(packet: bytes) -> str | None:
    if len(packet) < _IPV4.size:
        return _MALFORMED
    first, _, size, _, fragment, _, protocol, _, _, target = _IPV4.unpack_from(packet)
    header = 4 * (first & 15)
    if first >> 4 != 4 or header < _IPV4.size or not header + _PORTS.size <= size <= len(packet):
        return _MALFORMED
    if fragment & _FRAGMENT:
        return "a fragment of a packet"
    to_gateway = target == GATEWAY.packed
    port = _PORTS.unpack_from(packet, header)[1]
    if protocol == _UDP and port == _DHCP_SERVER and (to_gateway or target == _BROADCAST):
        return None
    if port == _DOMAIN and protocol in (_TCP, _UDP):
        return DOMAIN_NAMES
    if not to_gateway:
        return "" if target[0] >= 224 else "a packet to another host than the gateway"
    return None if protocol in (_ICMP, _TCP) else "a packet that is not TCP"
