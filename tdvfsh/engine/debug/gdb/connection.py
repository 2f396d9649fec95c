"""Where gdb connects: a loopback port or a socket in the file system, one client at a time."""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address

from tdvfsh.engine.debug.gdb.packets import Item, Kind, PacketError, PacketReader, packet
from tdvfsh.errors import HostError, UsageError
from tdvfsh.lazy_typing import Final

_LOOPBACK: Final = "127.0.0.1"
_UNIX: Final = "unix:"
_PIECE: Final = 1 << 16
_MOST_QUEUED: Final = 256
_SEND_SECONDS: Final = 30.0


class ClientGone(Exception):
    """The client has closed the connection, or was closed for what it did; the text says why."""


class Place:
    """A place to listen at: ``PORT``, ``HOST:PORT`` or ``unix:PATH``.

    Args:
        text: As the user wrote it.

    Raises:
        UsageError: It is none of these.
    """

    def __init__(self, text: str) -> None:
        self.path: str | None = None
        self.host, self.port = _LOOPBACK, 0
        if text.startswith(_UNIX):
            self.path = text.removeprefix(_UNIX)
            if not self.path:
                raise UsageError("--gdb unix: needs a path, as in --gdb unix:/tmp/td.sock")
            return
        host, _, port = text.rpartition(":")
        if not port.isascii() or not port.isdecimal() or int(port) > 0xFFFF:
            raise UsageError(f"--gdb {text}: not a port; give PORT, HOST:PORT or unix:PATH, such as --gdb 1234")
        self.host, self.port = host.strip("[]") or _LOOPBACK, int(port)

    @property
    def is_local(self) -> bool:
        """Whether only this host can reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def listen(self) -> socket.socket:
        """A socket that listens.

        Raises:
            HostError: The host does not allow it.
        """
        if self.path is not None:
            return self._listen_in_file_system(self.path)
        try:
            return socket.create_server((self.host, self.port), backlog=1, family=self._family())
        except OSError as error:
            raise HostError(f"--gdb {self.host}:{self.port}: {error.strerror or error}") from None

    def _family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @staticmethod
    def _listen_in_file_system(path: str) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o077)
        try:
            with suppress(FileNotFoundError):
                if stat.S_ISSOCK(os.stat(path).st_mode):
                    os.unlink(path)
            listener.bind(path)
            listener.listen(1)
        except OSError as error:
            listener.close()
            raise HostError(f"--gdb unix:{path}: {error.strerror or error}") from None
        finally:
            os.umask(before)
        return listener


class Connection:
    """The listening socket and its client.

    Args:
        place: Where to listen.
        note: Takes lines for the user.

    Attributes:
        where: What to tell gdb, as in ``target remote WHERE``.
        acknowledges: Whether each packet is acknowledged.
    """

    def __init__(self, place: Place, note: Callable[[str], None]) -> None:
        self._place = place
        self._note = note
        self._listener = place.listen()
        port = place.path or self._listener.getsockname()[1]
        host = f"[{place.host}]" if ":" in place.host else place.host
        self.where = place.path if place.path is not None else f"{host}:{port}"
        self.acknowledges = True
        self._client: socket.socket | None = None
        self._reader = PacketReader()
        self._items: deque[Item] = deque()
        self._sent = b""

    def close(self) -> None:
        """End it all."""
        self.drop()
        self._listener.close()
        if self._place.path is not None:
            with suppress(OSError):
                os.unlink(self._place.path)

    @property
    def connected(self) -> bool:
        """Whether there is a client."""
        return self._client is not None

    @property
    def has_more(self) -> bool:
        """Whether more has come than was received."""
        return bool(self._items)

    @property
    def watched(self) -> socket.socket:
        """The socket on which the next thing will come."""
        return self._client or self._listener

    def drop(self, why: str = "") -> None:
        """Close the client's connection."""
        if self._client is not None:
            with suppress(OSError):  # a thread that waits for it would keep it open
                self._client.shutdown(socket.SHUT_RDWR)
            self._client.close()
            self._client = None
            if why:
                self._note(f"gdb: connection closed: {why}")

    def accept(self, seconds: float | None = None) -> bool:
        """Wait for a client; returns whether there is one."""
        self._listener.settimeout(seconds)
        try:
            client, _ = self._listener.accept()
        except (TimeoutError, BlockingIOError):
            return False
        client.settimeout(None)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = client
        self._reader, self.acknowledges = PacketReader(), True
        self._items.clear()
        self._note("gdb: connected")
        return True

    # ---- to the client ------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send a packet.

        Raises:
            ClientGone: There is no one to send it to.
        """
        self._sent = packet(data)
        self._send(self._sent)

    def _send(self, data: bytes) -> None:
        client = self._client
        if client is None:
            raise ClientGone("no client")
        try:
            client.settimeout(_SEND_SECONDS)
            client.sendall(data)
        except OSError as error:
            raise ClientGone("it does not read" if isinstance(error, TimeoutError) else str(error)) from None
        finally:
            client.settimeout(None)

    # ---- from the client ----------------------------------------------------------------------------------------

    def receive(self) -> Item:
        """The next packet or interrupt, acknowledged; waits for it.

        Raises:
            ClientGone: It has gone, or does not speak the protocol.
        """
        while True:
            while self._items:
                item = self._items.popleft()
                if item.kind is Kind.PACKET and self.acknowledges:
                    self._send(b"+")
                if item.kind in (Kind.PACKET, Kind.INTERRUPT):
                    return item
                if item.kind is Kind.DAMAGED:
                    self._send(b"-")
                elif item.kind is Kind.NAK and self.acknowledges:
                    self._send(self._sent)
            self._read()

    def interrupted(self) -> bool:
        """Whether what has come while the guest runs is an interrupt; does not wait.

        Raises:
            ClientGone: It has gone, or sent something else.
        """
        while self._client is not None and select.select([self._client], [], [], 0)[0]:
            self._read()
        items = list(self._items)
        self._items.clear()
        if any(item.kind is Kind.PACKET for item in items):
            raise ClientGone("it sent a packet while the guest runs")
        return any(item.kind is Kind.INTERRUPT for item in items)

    def _read(self) -> None:
        assert self._client is not None
        try:
            data = self._client.recv(_PIECE)
        except OSError as error:
            raise ClientGone(str(error)) from None
        if not data:
            raise ClientGone("gdb has gone")
        try:
            self._items += self._reader.feed(data)
        except PacketError as error:
            raise ClientGone(str(error)) from None
        if len(self._items) > _MOST_QUEUED:
            raise ClientGone(f"it sent more than {_MOST_QUEUED} packets without waiting for an answer")


class SocketWatch:
    """A thread that tells when something comes on a socket while the guest runs.

    Args:
        came: Called then, in the thread; once for each :meth:`arm`.
    """

    def __init__(self, came: Callable[[], None]) -> None:
        self._came = came
        self._wake, self._woken = os.pipe()
        self._armed: socket.socket | None = None
        self._closed = False
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None

    def arm(self, watched: socket.socket) -> None:
        """Watch from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="tdvfsh-gdb", daemon=True)
            self._thread.start()
        with self._lock:
            if self._armed is not None and self._armed is not watched:
                os.write(self._woken, b"w")
            self._armed = watched
            self._lock.notify()

    def disarm(self) -> None:
        """No longer watch; ``came`` may be called once more."""
        with self._lock:
            if self._armed is not None:
                self._armed = None
                os.write(self._woken, b"w")

    def close(self) -> None:
        """End the thread."""
        self.disarm()
        with self._lock:
            self._closed = True
            self._lock.notify()
        if self._thread is not None:
            self._thread.join()
        os.close(self._wake)
        os.close(self._woken)

    def _watch(self) -> None:
        while True:
            with self._lock:
                while self._armed is None and not self._closed:
                    self._lock.wait()
                watched = self._armed
            if watched is None:
                return
            try:
                number = watched.fileno()
                ready = select.select([number, self._wake], [], [])[0]
            except (OSError, ValueError):  # it was closed meanwhile
                number, ready = -1, [-1]
            if self._wake in ready:
                os.read(self._wake, 64)
                if number not in ready:
                    continue
            with self._lock:
                if self._armed is not watched:
                    continue
                self._armed = None
            self._came()
