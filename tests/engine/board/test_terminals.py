"""What is typed goes to the terminal that was added last, as soon as it listens."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tdvfsh.engine.board.terminals import Terminals
from tdvfsh.engine.console.serial_input import InputEnded, TypedLines


@dataclass
class Port:
    listening: bool = True
    full: bool = False
    got: bytes = b""

    def receive(self, data: bytes) -> None:
        self.got += data


@dataclass
class Output:
    last_line: str = "last"
    sent: list[int] = field(default_factory=list)

    def put(self, byte: int) -> None:
        self.sent.append(byte)


SECOND = 1_000_000_000


def test_a_console_that_listens_is_typed_at_in_the_serial_port_s_place() -> None:
    now = 0
    serial, console = Port(), Port(listening=False)
    terminals = Terminals(serial, TypedLines("one\ntwo\n"), lambda: now)
    terminals.add(console)
    for now in (SECOND, 2 * SECOND):  # noqa: B007 (the terminals look at it)
        assert terminals.awaited
        terminals.waits(None)
        console.listening = True
    assert (serial.got, console.got) == (b"one\r", b"two\r")
    now += 61 * SECOND
    with pytest.raises(InputEnded):
        terminals.waits(None)
    with terminals.nobody_types():
        assert not terminals.awaited


def test_nothing_is_taken_while_the_listener_is_full_or_nobody_listens() -> None:
    port = Port(full=True)
    terminals = Terminals(port, TypedLines("one\n"), lambda: SECOND)
    terminals.waits(None)
    assert port.got == b""
    port.full = False
    terminals.receive()
    assert port.got == b"one\r"
    port.listening = False
    assert not terminals.awaited
    assert not Terminals(Port(), None, lambda: 0).awaited


def test_what_a_console_says_is_heard_by_whoever_types() -> None:
    now = SECOND
    port, output = Port(), Output()
    terminals = Terminals(port, TypedLines("one\n"), lambda: now)
    heard = terminals.heard(output)
    heard.put(65)
    assert (output.sent, heard.last_line) == ([65], "last")
    assert terminals.waits(None) == now + SECOND // 10
    assert port.got == b""
