"""libslirp's network: the guest gets an address, the gateway answers, and TCP reaches the host's loopback."""

from __future__ import annotations

import ctypes.util
import socket
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest

from tdvfsh.cli.main import main
from tdvfsh.engine.virtio.network.user_network import UserNetwork
from tdvfsh.errors import MissingError
from tests.engine.virtio.network import frames

LIBRARY = ctypes.util.find_library("slirp")
needs_library = pytest.mark.skipif(LIBRARY is None, reason="needs Debian's libslirp0")


@pytest.fixture
def network() -> Iterator[UserNetwork]:
    with UserNetwork() as network:
        clock = iter(range(0, 1 << 62, 1_000_000))
        network.now = lambda: next(clock)
        yield network


def answers(network: UserNetwork, frame: bytes) -> list[bytes]:
    network.send(frame)
    found = list(network.frames)
    network.frames.clear()
    return found


def known(network: UserNetwork) -> None:
    """The gateway knows the guest's address."""
    answers(network, frames.arp_request(frames.GATEWAY))


@needs_library
def test_a_guest_gets_its_address_and_the_gateway_s(network: UserNetwork) -> None:
    (offer,) = answers(network, frames.dhcp_discover())
    bootp = offer[42:]
    assert socket.inet_ntoa(bootp[16:20]) == "10.0.2.15"
    options, at = {}, 240
    while bootp[at] != 255:
        options[bootp[at]] = bootp[at + 2 : at + 2 + bootp[at + 1]]
        at += 2 + bootp[at + 1]
    assert options[53] == b"\2"
    assert socket.inet_ntoa(options[3]) == "10.0.2.2"


@needs_library
def test_the_gateway_answers_arp_and_echo_requests(network: UserNetwork) -> None:
    (reply,) = answers(network, frames.arp_request(frames.GATEWAY))
    assert struct.unpack_from("!H", reply, 20)[0] == 2
    assert answers(network, frames.arp_request("10.0.2.77")) == []
    (reply,) = answers(network, frames.echo(3))
    assert reply[34] == 0
    assert reply[40:42] == b"\0\3"
    assert not network.poll(0)


@needs_library
def test_tcp_reaches_a_port_of_the_host_s_loopback(network: UserNetwork) -> None:
    known(network)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(10)
        port = server.getsockname()[1]
        network.send(frames.tcp(5000, port, 100, 0, frames.SYN))
        accepted, _ = server.accept()
        with closing(accepted):
            synack = until_frame(network)
            flags, sequence = synack[47], struct.unpack_from("!I", synack, 38)[0]
            assert flags == frames.SYN | frames.ACK
            network.send(frames.tcp(5000, port, 101, sequence + 1, frames.ACK))
            network.send(frames.tcp(5000, port, 101, sequence + 1, frames.ACK | frames.PUSH, b"hello"))
            assert network.poll(1)
            accepted.settimeout(10)
            assert accepted.recv(100) == b"hello"
            accepted.sendall(b"answer")
            assert b"answer" in until_frame(network, b"answer")


def until_frame(network: UserNetwork, wanted: bytes = b"") -> bytes:
    for _ in range(100):
        network.poll(0.1)
        while network.frames:
            frame = network.frames.popleft()
            if wanted in frame:
                return frame
    raise AssertionError("no frame came")


@needs_library
def test_a_closed_port_is_refused_at_once(network: UserNetwork) -> None:
    known(network)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    network.send(frames.tcp(5000, port, 100, 0, frames.SYN))
    assert until_frame(network)[47] & 4


@needs_library
def test_another_host_cannot_be_reached_even_past_the_filter(network: UserNetwork) -> None:
    known(network)
    network.send(frames.tcp(5000, 80, 100, 0, frames.SYN, host="192.0.2.1"))
    assert not network.poll(0)
    assert network.frames


def test_a_host_without_the_library_is_told_its_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", nothing)
    with pytest.raises(MissingError, match="libslirp0"):
        UserNetwork()
    assert main(["boot", "none", "--net", "user"]) == 2
    assert "--net" in capsys.readouterr().err
