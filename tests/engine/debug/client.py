"""A client that speaks gdb's protocol as gdb 13 was seen to, and guests that run under it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

from tdvfsh.engine.debug.gdb.packets import packet, unescape
from tdvfsh.engine.debug.guest_scene import GuestScene
from tdvfsh.engine.debug.session import DebugOptions, DebugSession
from tdvfsh.engine.errors import EngineError
from tdvfsh.engine.runs.guest import GuestFirmware
from tdvfsh.machine import Machine, TdOptions
from tests.engine.programs import load

_SECONDS = 20.0
SUPPORTED = b"qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;vContSupported+;no-resumed+;xmlRegisters=i386"


class Client:
    """A gdb.

    Args:
        path: The socket.
        greets: Whether to begin as gdb does.
    """

    def __init__(self, path: Path, greets: bool = True) -> None:
        self.socket = _connect(path)
        self._bytes = b""
        self._acknowledges = True
        self.console = ""
        if greets:
            assert b"PacketSize" in self.ask(SUPPORTED)
            assert self.ask(b"QStartNoAckMode") == b"OK"
            self._acknowledges = False

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def tell(self, data: bytes) -> None:
        """Send a packet and wait for nothing."""
        self.socket.sendall(packet(data))

    def ask(self, data: bytes) -> bytes:
        """Send a packet; returns the answer."""
        self.tell(data)
        return self.answer()

    def answer(self) -> bytes:
        """The next packet; what the guest or the debugger prints is collected."""
        while True:
            data = self._packet()
            if not (data.startswith(b"O") and data != b"OK"):
                return data
            self.console += bytes.fromhex(data[1:].decode()).decode()

    def _packet(self) -> bytes:
        while True:
            start = self._bytes.find(b"$")
            end = self._bytes.find(b"#", start)
            if start >= 0 and end >= 0 and len(self._bytes) >= end + 3:
                data, self._bytes = self._bytes[start + 1 : end], self._bytes[end + 3 :]
                if self._acknowledges:
                    self.socket.sendall(b"+")
                return unescape(data)
            more = self.socket.recv(1 << 16)
            if not more:
                raise EOFError
            self._bytes += more

    def ended(self) -> bool:
        """Whether the server closes the connection, whatever it sends before."""
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionError:
            pass
        return True

    def monitor(self, line: str) -> str:
        """The output of a ``monitor`` command."""
        answer = self.ask(b"qRcmd," + line.encode().hex().encode())
        return "" if answer == b"OK" else bytes.fromhex(answer.decode()).decode()

    def register(self, number: int) -> int:
        """A register by its number."""
        return int.from_bytes(bytes.fromhex(self.ask(b"p%x" % number).decode()), "little")

    def memory(self, address: int, size: int) -> bytes:
        """Memory by linear address."""
        return bytes.fromhex(self.ask(b"m%x,%x" % (address, size)).decode())

    @property
    def pointer(self) -> int:
        """RIP."""
        return self.register(16)


def _connect(path: Path) -> socket.socket:
    end = time.monotonic() + _SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_SECONDS)
        try:
            connection.connect(str(path))
        except OSError:
            connection.close()
            if time.monotonic() > end:
                raise
            threading.Event().wait(0.01)
        else:
            return connection


class Debugged:
    """A guest that runs under a debugger, in a thread of its own.

    Attributes:
        notes: What the user was told.
        error: What ended the run, where it was an exception.
        runs: How often it was run.
    """

    def __init__(self, path: Path, options: TdOptions | None) -> None:
        self.path = path
        self.notes: list[str] = []
        self.error: BaseException | None = None
        self.runs = 0
        self._options = options or TdOptions()
        self._thread: threading.Thread | None = None

    def start(self, body: Callable[[GuestFirmware], object]) -> None:
        """Run it."""
        session = DebugSession(DebugOptions(gdb=f"unix:{self.path}"), self.notes.append)

        def once() -> None:
            self.runs += 1
            with closing(GuestFirmware(Machine(self._options))) as firmware:
                session.attach(GuestScene(firmware))
                try:
                    body(firmware)
                except EngineError as error:
                    session.ended(error)
                    raise

        def run() -> None:
            with session:
                try:
                    session.repeated(once)
                except BaseException as error:
                    self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for its end."""
        assert self._thread is not None
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive()
        if self.error is not None and not isinstance(self.error, EngineError):
            raise self.error


@contextmanager
def debugged(
    image: bytes, folder: Path, options: TdOptions | None = None, greets: bool = True
) -> Iterator[tuple[Client, Debugged]]:
    """A program under a debugger, halted before its first instruction, and a client. At the end the guest runs on."""
    guest = Debugged(folder / "gdb", options)
    guest.start(lambda firmware: firmware.services.start_image(load(firmware, image, "test.efi")))
    with Client(guest.path, greets) as client:
        yield client, guest
    guest.join()
