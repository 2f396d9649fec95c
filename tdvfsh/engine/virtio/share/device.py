"""The file system device: Linux mounts it as virtiofs by its tag.

Source: Virtual I/O Device (VIRTIO) 1.2, 5.11; Linux fs/fuse/virtio_fs.c and fs/fuse/dev.c.
"""

from __future__ import annotations

import errno
import struct
from collections import Counter

from tdvfsh.engine.virtio.memory import Refused, Scattered
from tdvfsh.engine.virtio.share.folder import SharedFolder, refuse
from tdvfsh.engine.virtio.share.messages import IN_HEADER, LARGEST_MESSAGE, OPTIONAL, OUT_HEADER, Operation
from tdvfsh.engine.virtio.share.requests import HANDLERS, ShareRequests
from tdvfsh.lazy_typing import Final

TAG: Final = "share"
_TAG_SIZE: Final = 36
_UNANSWERED: Final = (Operation.FORGET, Operation.BATCH_FORGET, Operation.INTERRUPT)


class ShareDevice:
    """The device. Its state is in the tables of its requests, and in the folder's bounds and times.

    Args:
        folder: The folder.
        missing: Counts requests that were refused.
        tag: By which the guest mounts it.
    """

    kind = 26
    class_code = 0x018000
    name = "virtio file system"
    queues = 2  # urgent requests, and all others
    features = 0

    def __init__(self, folder: SharedFolder, missing: Counter[str], tag: str = TAG) -> None:
        self._missing = missing
        self._tag = tag.encode()
        self.requests = ShareRequests(folder)

    def configuration(self) -> bytes:
        """The tag, and how many queues there are for requests that are not urgent."""
        return struct.pack(f"<{_TAG_SIZE}sI", self._tag, self.queues - 1)

    def waits(self, queue: int) -> bool:
        """Never."""
        return False

    def serve(self, queue: int, readable: Scattered, writable: Scattered) -> int:
        """One request, and its answer unless it is one that has none."""
        header = readable.read(IN_HEADER.size)
        if len(header) < IN_HEADER.size:
            raise Refused("a request without a header")
        size, number, unique, node, *_ = IN_HEADER.unpack(header)
        answered = number not in _UNANSWERED
        if answered and writable.size < OUT_HEADER.size:
            raise Refused("a request without room for its answer")
        failure, reply = 0, b""
        try:
            if not IN_HEADER.size <= size <= LARGEST_MESSAGE or size > readable.size:
                raise refuse(errno.EINVAL)
            body = readable.read(size - IN_HEADER.size)
            reply = self._perform(number, node, body, writable.size - OUT_HEADER.size)
            if len(reply) > writable.size - OUT_HEADER.size and answered:
                failure, reply = errno.EINVAL, b""
        except OSError as error:
            failure = error.errno or errno.EIO
        if failure in _COUNTED:
            self._missing[f"{self.name}: {_COUNTED[failure]}"] += 1
        if not answered:
            return 0
        writable.write(OUT_HEADER.pack(OUT_HEADER.size + len(reply), -failure, unique) + reply)
        return OUT_HEADER.size + len(reply)

    def _perform(self, number: int, node: int, body: bytes, room: int) -> bytes:
        if number in OPTIONAL:
            raise refuse(errno.ENOSYS)
        handler = HANDLERS.get(number)
        if handler is None:
            self._missing[f"{self.name}: a request of kind {number if number < 64 else 'above 63'}"] += 1
            raise refuse(errno.ENOSYS)
        return handler(self.requests, node, body, room)


_COUNTED: Final = {
    errno.EINVAL: "an invalid request",
    errno.EROFS: "a change in a folder that is read-only",
    errno.EPERM: "a change that a shared folder does not allow",
    errno.ENOSPC: "more written than a guest may",
    errno.ENFILE: "more files looked up than are kept",
    errno.EMFILE: "more folders open than are kept",
}
