"""Frames as a guest sends them."""

from __future__ import annotations

import socket
import struct

MAC = bytes.fromhex("525400123456")
ANYBODY = b"\xff" * 6
GUEST, GATEWAY, NOBODY = "10.0.2.15", "10.0.2.2", "0.0.0.0"
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP = 1, 6, 17
SYN, ACK, PUSH = 2, 16, 8


def ethernet(kind: int, data: bytes, target: bytes = ANYBODY) -> bytes:
    return target + MAC + struct.pack("!H", kind) + data


def checksum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol: int, data: bytes, target: str = GATEWAY, source: str = GUEST, fragment: int = 0) -> bytes:
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 1, fragment, 64, protocol, 0) + ends
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return ethernet(IPV4, head + data)


def ports(source: int, target: int) -> bytes:
    return struct.pack("!HH", source, target)


def udp(target_port: int, data: bytes, target: str = GATEWAY, source: str = GUEST, source_port: int = 5000) -> bytes:
    return ipv4(UDP, ports(source_port, target_port) + struct.pack("!HH", 8 + len(data), 0) + data, target, source)


def tcp(
    source: int, target: int, sequence: int, acknowledged: int, flags: int, data: bytes = b"", host: str = GATEWAY
) -> bytes:
    def segment(check: int) -> bytes:
        rest = struct.pack("!IIBBHHH", sequence, acknowledged, 5 << 4, flags, 0xFFFF, check, 0)
        return ports(source, target) + rest + data

    pseudo = socket.inet_aton(GUEST) + socket.inet_aton(host) + struct.pack("!HH", TCP, 20 + len(data))
    return ipv4(TCP, segment(checksum(pseudo + segment(0))), host)


def echo(number: int) -> bytes:
    body = struct.pack("!BBHHH", 8, 0, 0, 7, number) + b"ping" * 8
    return ipv4(ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def arp_request(target: str) -> bytes:
    ends = MAC + socket.inet_aton(GUEST) + bytes(6) + socket.inet_aton(target)
    return ethernet(ARP, struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + ends)


def dhcp_discover() -> bytes:
    head = struct.pack("!BBBBI", 1, 1, 6, 0, 0x1234) + bytes(20) + MAC.ljust(16, b"\0") + bytes(192)
    options = bytes.fromhex("63825363") + b"\x35\x01\x01" + b"\xff"
    return udp(67, (head + options).ljust(300, b"\0"), "255.255.255.255", NOBODY, 68)
