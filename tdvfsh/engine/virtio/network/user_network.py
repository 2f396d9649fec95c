"""A network of the host's user: 10.0.2.0/24 with a gateway, behind which is the host's loopback and nothing else.

It is libslirp's, the library of QEMU's ``-netdev user``, by ctypes. What a guest sends has been looked at before, so
that libslirp gets only what is meant for it; its sockets are bound to the loopback address.

Source: libslirp 4.7, libslirp.h (configuration version 3); its slirp.c for the order of calls.
"""

from __future__ import annotations

import ctypes
import select
import sys
from collections import deque
from collections.abc import Callable
from ipaddress import IPv4Address
from socket import AF_INET
from types import TracebackType

from tdvfsh.engine.virtio.network.packets import GATEWAY
from tdvfsh.errors import HostError, MissingError
from tdvfsh.lazy_typing import Any, Final

_NETWORK: Final = IPv4Address("10.0.2.0")
_MASK: Final = IPv4Address("255.255.255.0")
_FIRST_GUEST: Final = IPv4Address("10.0.2.15")
_NAME_SERVER: Final = IPv4Address("10.0.2.3")  # not served
_LOOPBACK: Final = IPv4Address("127.0.0.1")
_LIBRARY: Final = "libslirp.so.0" if sys.platform != "darwin" else "libslirp.0.dylib"
_VERSION: Final = 3
_MOST_FRAMES: Final = 4096
_FOR_EVER: Final = 0xFFFFFFFF
_EVENTS: Final = (
    (1, select.POLLIN), (2, select.POLLOUT), (4, select.POLLPRI), (8, select.POLLERR), (16, select.POLLHUP),
)  # fmt: skip
"""libslirp's event bits, and poll's."""

_WRITE = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_ERROR = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
_CLOCK = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_NEW_TIMER = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_FREE_TIMER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_SET_TIMER = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
_DESCRIPTOR = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)
_NOTIFY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_ADD_POLL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_GET_EVENTS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class _Callbacks(ctypes.Structure):
    _fields_ = (
        ("send_packet", _WRITE), ("guest_error", _ERROR), ("clock_get_ns", _CLOCK), ("timer_new", _NEW_TIMER),
        ("timer_free", _FREE_TIMER), ("timer_mod", _SET_TIMER), ("register_poll_fd", _DESCRIPTOR),
        ("unregister_poll_fd", _DESCRIPTOR), ("notify", _NOTIFY), ("init_completed", ctypes.c_void_p),
        ("timer_new_opaque", ctypes.c_void_p),
    )  # fmt: skip


class _SocketAddress(ctypes.Structure):
    _fields_ = (
        ("family", ctypes.c_uint16), ("port", ctypes.c_uint16), ("address", ctypes.c_uint32),
        ("zero", ctypes.c_char * 8),
    )  # fmt: skip


class _Configuration(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_uint32), ("restricted", ctypes.c_int), ("in_enabled", ctypes.c_bool),
        ("vnetwork", ctypes.c_uint32), ("vnetmask", ctypes.c_uint32), ("vhost", ctypes.c_uint32),
        ("in6_enabled", ctypes.c_bool), ("vprefix_addr6", ctypes.c_uint32 * 4), ("vprefix_len", ctypes.c_uint8),
        ("vhost6", ctypes.c_uint32 * 4), ("vhostname", ctypes.c_char_p), ("tftp_server_name", ctypes.c_char_p),
        ("tftp_path", ctypes.c_char_p), ("bootfile", ctypes.c_char_p), ("vdhcp_start", ctypes.c_uint32),
        ("vnameserver", ctypes.c_uint32), ("vnameserver6", ctypes.c_uint32 * 4), ("vdnssearch", ctypes.c_void_p),
        ("vdomainname", ctypes.c_char_p), ("if_mtu", ctypes.c_size_t), ("if_mru", ctypes.c_size_t),
        ("disable_host_loopback", ctypes.c_bool), ("enable_emu", ctypes.c_bool),
        ("outbound_addr", ctypes.POINTER(_SocketAddress)), ("outbound_addr6", ctypes.c_void_p),
        ("disable_dns", ctypes.c_bool), ("disable_dhcp", ctypes.c_bool),
    )  # fmt: skip


def _number(address: IPv4Address) -> int:
    """An address as it lies in memory."""
    return int.from_bytes(address.packed, sys.byteorder)


class UserNetwork:
    """The network: a context. It follows the virtual clock.

    Attributes:
        frames: Frames for the guest that have arrived.
        now: Returns virtual nanoseconds.

    Raises:
        MissingError: libslirp is not installed.
    """

    def __init__(self) -> None:
        self.frames: deque[bytes] = deque()
        self.now: Callable[[], int] = lambda: 0
        self._polled: list[tuple[int, int]] = []
        self._events: list[int] = []
        self._library = _library()
        self._outbound = _SocketAddress(AF_INET, 0, _number(_LOOPBACK), b"")
        configuration = _Configuration(
            version=_VERSION,
            in_enabled=True,
            vnetwork=_number(_NETWORK),
            vnetmask=_number(_MASK),
            vhost=_number(GATEWAY),
            vdhcp_start=_number(_FIRST_GUEST),
            vnameserver=_number(_NAME_SERVER),
            outbound_addr=ctypes.pointer(self._outbound),
            disable_dns=True,
        )
        self._callbacks = _Callbacks(
            send_packet=_WRITE(self._arrived),
            guest_error=_ERROR(lambda text, opaque: None),
            clock_get_ns=_CLOCK(lambda opaque: self.now()),
            timer_new=_NEW_TIMER(lambda callback, data, opaque: 1),  # of IPv6 alone, which is off
            timer_free=_FREE_TIMER(lambda timer, opaque: None),
            timer_mod=_SET_TIMER(lambda timer, expires, opaque: None),
            register_poll_fd=_DESCRIPTOR(lambda fd, opaque: None),
            unregister_poll_fd=_DESCRIPTOR(lambda fd, opaque: None),
            notify=_NOTIFY(lambda opaque: None),
        )
        self._add_poll = _ADD_POLL(self._add)
        self._get_events = _GET_EVENTS(lambda index, opaque: self._events[index])
        self._slirp: Any = self._library.slirp_new(ctypes.byref(configuration), ctypes.byref(self._callbacks), None)
        if not self._slirp:
            raise HostError("--net user: libslirp refuses to start")

    def __enter__(self) -> UserNetwork:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._library.slirp_cleanup(self._slirp)

    def send(self, frame: bytes) -> None:
        """A frame of the guest's."""
        self._library.slirp_input(self._slirp, frame, len(frame))

    def poll(self, seconds: float) -> bool:
        """Wait for the host, at most so long; returns whether any connection is open."""
        self._polled.clear()
        timeout = ctypes.c_uint32(_FOR_EVER)
        self._library.slirp_pollfds_fill(self._slirp, ctypes.byref(timeout), self._add_poll, None)
        poll = select.poll()
        for fd, events in self._polled:
            poll.register(fd, sum(theirs for ours, theirs in _EVENTS if events & ours))
        wait = min(int(seconds * 1000), timeout.value) if self._polled and not self.frames else 0
        found = dict(poll.poll(wait)) if self._polled else {}
        self._events = [sum(ours for ours, theirs in _EVENTS if found.get(fd, 0) & theirs) for fd, _ in self._polled]
        self._library.slirp_pollfds_poll(self._slirp, 0, self._get_events, None)
        return bool(self._polled)

    # ---- called by the library: nothing here may raise ------------------------------------------------------------

    def _arrived(self, data: int, size: int, opaque: object) -> int:
        if len(self.frames) < _MOST_FRAMES:
            self.frames.append(ctypes.string_at(data, size))
        return size

    def _add(self, fd: int, events: int, opaque: object) -> int:
        self._polled.append((fd, events))
        return len(self._polled) - 1


def _library() -> Any:
    """libslirp; raises MissingError."""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise MissingError("--net user: libslirp is not installed (Debian's package libslirp0)") from None
    library.slirp_new.restype = ctypes.c_void_p
    library.slirp_new.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    library.slirp_cleanup.argtypes = [ctypes.c_void_p]
    library.slirp_input.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int]
    library.slirp_pollfds_fill.argtypes = [ctypes.c_void_p, ctypes.c_void_p, _ADD_POLL, ctypes.c_void_p]
    library.slirp_pollfds_poll.argtypes = [ctypes.c_void_p, ctypes.c_int, _GET_EVENTS, ctypes.c_void_p]
    return library
