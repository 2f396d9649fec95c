"""Which of a guest's packets go on: DHCP, ARP, echo requests and TCP to the gateway, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.virtio.network.packets import LARGEST_FRAME, refusal
from tests.engine.virtio.network import frames

TAKEN = [
    frames.arp_request(frames.GATEWAY), frames.dhcp_discover(), frames.echo(1),
    frames.tcp(5000, 80, 1, 0, frames.SYN), frames.udp(67, bytes(300)),
]  # fmt: skip


@pytest.mark.parametrize("frame", TAKEN)
def test_what_a_guest_needs_to_reach_the_host_is_taken(frame: bytes) -> None:
    assert refusal(frame) is None


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (frames.udp(53, b"query"), "domain name"),
        (frames.udp(53, b"query", "10.0.2.3"), "domain name"),
        (frames.udp(53, b"query", "8.8.8.8"), "domain name"),
        (frames.tcp(5000, 53, 1, 0, frames.SYN), "domain name"),
        (frames.udp(123, b"time"), "not TCP"),
        (frames.udp(67, b"", "10.0.2.4"), "another host"),
        (frames.ipv4(frames.TCP, bytes(20), "192.168.1.1"), "another host"),
        (frames.ipv4(frames.TCP, bytes(20), "127.0.0.1"), "another host"),
        (frames.ipv4(frames.ICMP, bytes(20), "10.0.2.3"), "another host"),
        (frames.ipv4(frames.TCP, bytes(20), fragment=0x2000), "fragment"),
        (frames.ipv4(frames.TCP, bytes(20), fragment=1), "fragment"),
        (frames.ipv4(41, bytes(20)), "not TCP"),
        (frames.ipv4(frames.TCP, b"\0"), "malformed"),
        (frames.echo(1)[:30], "malformed"),
        (frames.echo(1)[:14] + b"\x46" + frames.echo(1)[15:37], "malformed"),
        (frames.ethernet(frames.ARP, bytes(27)), "malformed"),
        (b"short", "invalid size"),
        (bytes(LARGEST_FRAME + 1), "invalid size"),
    ],
)
def test_all_else_is_refused_by_name(frame: bytes, why: str) -> None:
    found = refusal(frame)
    assert found is not None
    assert why in found


def test_what_every_kernel_sends_unasked_is_dropped_without_a_word() -> None:
    assert refusal(frames.ethernet(frames.IPV6, bytes(40))) == ""
    assert refusal(frames.ipv4(2, bytes(8), "224.0.0.22")) == ""


@given(st.sampled_from(TAKEN), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4), st.integers())
def test_no_change_of_bytes_lets_a_packet_to_another_host_through(
    frame: bytes, changes: list[tuple[int, int]], cut: int
) -> None:
    changed = bytearray(frame)
    for at, value in changes:
        changed[at % len(changed)] = value
    found = bytes(changed[: cut % (len(changed) + 1)])
    if refusal(found) is None and found[12:14] == b"\x08\x00":
        assert found[30:34] in (b"\x0a\0\2\2", b"\xff" * 4)
