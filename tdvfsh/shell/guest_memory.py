"""Reading and writing guest memory for a command: what the guest itself could not touch is refused, with the reason."""

from __future__ import annotations

import os

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.status import ShellStatus
from tdvfsh.td.access import AccessKind, access

if TYPE_CHECKING:
    from tdvfsh.td.trust_domain import TrustDomain


class MemoryFault(Exception):
    """Memory that cannot be accessed; ``str()`` says where and why in one line, ``status`` is the command's."""

    def __init__(self, why: str, status: ShellStatus) -> None:
        super().__init__(why)
        self.status = status


def touch(td: TrustDomain, start: int, end: int) -> None:
    """Touch every byte of ``[start, end)`` as the guest would.

    Raises:
        MemoryFault: ACCESS_DENIED where it is RAM that was not accepted, NOT_FOUND where it is not RAM.
    """
    at = start
    while at < end:
        span = td.ram.span_at(at)
        if span is None:
            raise MemoryFault(f"{at:#x} is not RAM", ShellStatus.NOT_FOUND)
        stop = min(end, span.end)
        _touch_span(td, at, stop)
        at = stop


def _touch_span(td: TrustDomain, start: int, end: int) -> None:
    result = access(td, start, end)
    if result.kind is AccessKind.OK or result.gpa is None:
        return
    what = (
        "the TD leaves and does not come back"
        if result.kind is AccessKind.TD_TERMINATED
        else "the guest takes a #VE exception"
    )
    raise MemoryFault(f"{result.gpa:#x} is unaccepted memory: on touching it {what}", ShellStatus.ACCESS_DENIED)


def read(td: TrustDomain, start: int, size: int) -> bytes:
    """``size`` bytes at ``start``, which :func:`touch` has allowed.

    Raises:
        MemoryFault: VOLUME_CORRUPTED where they are those of a file that was truncated meanwhile.
    """
    for low, _, view in td.contents.views(start, start + size):
        if view is not None and not _is_whole(view):
            raise MemoryFault(f"{low:#x} holds a file that became shorter on the host", ShellStatus.VOLUME_CORRUPTED)
    return td.contents.read(start, size)


def _is_whole(view: memoryview) -> bool:
    """Whether the mapped file of a view still has its size: touching pages past its end would kill the process."""
    mapping = view.obj
    descriptor = getattr(mapping, "descriptor", -1)
    return descriptor < 0 or os.fstat(descriptor).st_size >= len(mapping)  # type: ignore[arg-type]
