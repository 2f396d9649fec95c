"""Clients that do not speak the protocol: closed with a line, and the guest runs on to its end."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tdvfsh.engine.debug.debugger import Debugger
from tdvfsh.engine.debug.events import EventBreaks
from tdvfsh.engine.debug.gdb.connection import Place
from tdvfsh.engine.debug.gdb.files import ServedFiles
from tdvfsh.engine.debug.gdb.packets import LONGEST_PACKET, packet
from tdvfsh.engine.debug.gdb.stub import Backwards, Detached, GdbStub, Killed
from tdvfsh.engine.debug.guest_scene import GuestScene, libraries_of
from tdvfsh.engine.debug.halt import Halt, Resume
from tdvfsh.engine.debug.monitor import MonitorCommands
from tdvfsh.errors import HostError, UsageError
from tests.engine.assembler import Program
from tests.engine.debug.client import Client, debugged
from tests.engine.programs import guest, load

PROGRAM = Program().ret(0).image()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "byte 0x47 between packets is not gdb's protocol"),
        (b"$" + b"a" * (LONGEST_PACKET + 1), f"a packet of more than {LONGEST_PACKET} bytes"),
        (b"$g#xy", "checksum b'xy' is not two hexadecimal digits"),
        (packet(b"?") * 1000, "it sent more than 256 packets without waiting for an answer"),
    ],
)
def test_garbage_is_answered_by_one_line_and_the_end_of_the_connection(data: bytes, why: str, tmp_path: Path) -> None:
    with debugged(PROGRAM, tmp_path, greets=False) as (client, guest):
        client.socket.sendall(data)
        assert client.ended()
    assert guest.notes[-1] == f"gdb: connection closed: {why}"
    assert guest.error is None


def test_a_client_that_goes_in_the_middle_of_a_packet_leaves_the_guest_running(tmp_path: Path) -> None:
    with debugged(PROGRAM, tmp_path) as (client, guest):
        client.socket.sendall(b"$m100")
        client.socket.shutdown(socket.SHUT_RDWR)
    assert guest.notes[-1] == "gdb: connection closed: gdb has gone"


def test_a_damaged_packet_is_asked_for_again(tmp_path: Path) -> None:
    with debugged(PROGRAM, tmp_path, greets=False) as (client, _):
        client.socket.sendall(b"$?#00")
        assert client.socket.recv(1) == b"-"
        assert client.ask(b"?") == b"T05thread:1;"
        client.tell(b"D")


def test_a_client_that_kills_ends_the_run_with_a_line(tmp_path: Path) -> None:
    with debugged(PROGRAM, tmp_path) as (client, guest):
        client.tell(b"k")
        assert client.ended()
    assert str(guest.error) == "ended by gdb"


def test_a_packet_while_the_guest_runs_ends_the_connection_and_another_client_is_heard(tmp_path: Path) -> None:
    endless = Program(prologue=False).raw("90 EBFD 31C0 C3")  # again: nop; jmp again; xor eax, eax
    with debugged(endless.image(), tmp_path) as (client, guest):
        after_the_loop = client.pointer + 3
        client.socket.sendall(packet(b"vCont;c") + packet(b"g") + packet(b"g"))
        assert client.ended()
        with Client(guest.path) as second:
            second.ask(b"P10=" + after_the_loop.to_bytes(8, "little").hex().encode())
            assert second.ask(b"vCont;c") == b"W00"
    assert "gdb: connection closed: it sent a packet while the guest runs" in guest.notes


class _Front:
    def halted(self, halt: Halt) -> Resume:
        return Resume()

    def interrupts(self) -> bool:
        return False


COMMANDS = st.sampled_from(
    [b"g", b"G", b"p", b"P", b"m", b"M", b"X", b"H", b"T", b"Z0,", b"z2,", b"Z2,", b"vCont;", b"vFile:open:", b"b",
     b"vFile:pread:", b"qXfer:features:read:", b"qXfer:libraries:read::", b"qRcmd,", b"qThreadExtraInfo,", b"s", b"?",
     b"vFile:fstat:", b"qSupported:", b"qXfer:threads:read::", b"c", b""]
)  # fmt: skip
ARGUMENTS = st.one_of(st.binary(max_size=24), st.text("0123456789abcdef,;:=-", max_size=24).map(str.encode))


def test_any_packet_is_answered_or_ends_the_session() -> None:
    with guest() as (firmware, _):
        scene = GuestScene(firmware)
        debugger = Debugger(firmware.board, _Front())
        monitor = MonitorCommands(debugger, scene, EventBreaks(debugger, scene))
        stub = GdbStub(debugger, monitor, ServedFiles(lambda: libraries_of(scene.images())))

        @given(COMMANDS, ARGUMENTS)
        def answered(command: bytes, rest: bytes) -> None:
            try:
                answer = stub.answer(command + rest)
            except (Backwards, Detached, Killed):
                return
            assert isinstance(answer, bytes | Resume)

        answered()


def test_any_monitor_command_is_answered_in_text() -> None:
    with guest() as (firmware, _):
        scene = GuestScene(firmware)
        debugger = Debugger(firmware.board, _Front())
        monitor = MonitorCommands(debugger, scene, EventBreaks(debugger, scene))
        words = st.sampled_from([*monitor.commands, "help", "", "accept", "service", "0x100000", "console", "("])

        @given(st.lists(st.one_of(words, st.text(max_size=8)), max_size=4))
        def answered(line: list[str]) -> None:
            assert isinstance(monitor.answer(" ".join(line), 0), str)

        answered()


@pytest.mark.parametrize("text", ["", "port", "70000", "host:", "1234x", "unix:"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--gdb"):
        Place(text)


def test_without_a_host_only_this_machine_is_listened_to() -> None:
    with Place("0").listen() as listener:
        assert listener.getsockname()[0] == "127.0.0.1"
    assert Place("1234").is_local
    assert Place("[::1]:1234").is_local
    assert Place("unix:/tmp/x").is_local
    assert not Place("0.0.0.0:1234").is_local


def test_a_port_that_is_taken_is_one_line() -> None:
    with Place("0").listen() as listener, pytest.raises(HostError, match="in use"):
        Place(str(listener.getsockname()[1])).listen()


def test_names_of_hostile_files_do_not_reach_a_terminal_as_they_are() -> None:
    with guest() as (firmware, _):
        scene = GuestScene(firmware)
        handle = load(firmware, PROGRAM, "\x1b[2J.efi")
        image = firmware.services.images.loaded_image(handle)
        assert image is not None
        firmware.prepare_image(handle, image)
        debugger = Debugger(firmware.board, _Front())
        monitor = MonitorCommands(debugger, scene, EventBreaks(debugger, scene))
        assert "\\x1b[2J.efi" in monitor.answer("images", 0)
        assert "\x1b" not in monitor.answer("images", 0)
        assert b"\x1b" not in ServedFiles(lambda: libraries_of(scene.images())).libraries()
