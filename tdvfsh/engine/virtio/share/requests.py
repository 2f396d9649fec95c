"""What each request of a file system's driver does. They raise OSError for what the guest gets as an error."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping

from tdvfsh.engine.virtio.share import messages
from tdvfsh.engine.virtio.share.folder import MOST_WRITTEN, FilePath, SharedFolder, refuse
from tdvfsh.engine.virtio.share.messages import BLOCK, LARGEST_DATA, Operation, fields, names
from tdvfsh.engine.virtio.share.nodes import Nodes
from tdvfsh.lazy_typing import Final

_SECOND_NS: Final = 1_000_000_000
_LONGEST_NAME: Final = 255
_PAGE: Final = 4096
_NUMBERS: Final = 1 << 20


class ShareRequests:
    """A folder as its guest sees it.

    Args:
        folder: The folder.

    Attributes:
        nodes: What the guest's numbers mean. Files are opened anew for each request: none stays open.
    """

    def __init__(self, folder: SharedFolder) -> None:
        self.folder = folder
        self.nodes = Nodes()

    def _entry(self, parent: int, name: bytes) -> bytes:
        path = (*self.nodes.path(parent), name)
        status = self.folder.status(path)
        return messages.entry_reply(self.nodes.look_up(parent, name), path, status)

    def _child(self, node: int, body: bytes, at: int) -> tuple[FilePath, bytes]:
        """The path of a name that follows the fixed part of a request, and the name."""
        (name,) = names(body, at, 1)
        return (*self.nodes.path(node), name), name

    # ---- the file system ----------------------------------------------------------------------------------------

    def initialize(self, node: int, body: bytes, room: int) -> bytes:
        """INIT: the guest knows nothing yet."""
        major, _, read_ahead, flags = fields(messages.INIT_IN, body)
        if major < messages.MAJOR:
            raise refuse(errno.EPROTO)
        self.nodes = Nodes()
        flags &= messages.BIG_WRITES | messages.MAX_PAGES
        pages = LARGEST_DATA // _PAGE
        more = (read_ahead, flags, 0, 0, LARGEST_DATA, 1, pages, 0, 0)
        return messages.INIT_OUT.pack(messages.MAJOR, messages.MINOR, *more)

    def destroy(self, node: int, body: bytes, room: int) -> bytes:
        """DESTROY: it is unmounted."""
        self.nodes = Nodes()
        return b""

    def statistics(self, node: int, body: bytes, room: int) -> bytes:
        """STATFS: what a guest may write yet, the same in every run."""
        left = (MOST_WRITTEN - self.folder.written) // BLOCK if self.folder.writable else 0
        sizes = (MOST_WRITTEN // BLOCK, left, left, _NUMBERS, _NUMBERS if self.folder.writable else 0)
        return messages.STATISTICS_OUT.pack(*sizes, BLOCK, _LONGEST_NAME, BLOCK)

    def accepted(self, node: int, body: bytes, room: int) -> bytes:
        """What needs nothing done: nothing is kept back from the host."""
        return b""

    # ---- files --------------------------------------------------------------------------------------------------

    def look_up(self, node: int, body: bytes, room: int) -> bytes:
        """LOOKUP."""
        return self._entry(node, self._child(node, body, 0)[1])

    def forget(self, node: int, body: bytes, room: int) -> bytes:
        """FORGET."""
        self.nodes.forget(node, fields(messages.FORGET_IN, body)[0])
        return b""

    def forget_several(self, node: int, body: bytes, room: int) -> bytes:
        """BATCH_FORGET."""
        count, _ = fields(messages.BATCH_FORGET_IN, body)
        entries = body[messages.BATCH_FORGET_IN.size :]
        count = min(count, len(entries) // messages.FORGET_ONE.size)
        for number, lookups in messages.FORGET_ONE.iter_unpack(entries[: count * messages.FORGET_ONE.size]):
            self.nodes.forget(number, lookups)
        return b""

    def attributes(self, node: int, body: bytes, room: int) -> bytes:
        """GETATTR."""
        path = self.nodes.path(node)
        return messages.attributes_reply(path, self.folder.status(path))

    def set_attributes(self, node: int, body: bytes, room: int) -> bytes:
        """SETATTR: size, permissions and the time of the last change; root owns all."""
        values = fields(messages.SET_ATTRIBUTES_IN, body)
        valid, size, seconds, nanoseconds, mode, owner, group = (values[i] for i in (0, 3, 6, 9, 11, 13, 14))
        path = self.nodes.path(node)
        if (valid & messages.VALID_OWNER and owner) or (valid & messages.VALID_GROUP and group):
            raise refuse(errno.EPERM)
        if valid & messages.VALID_SIZE:
            self.folder.truncate(path, size)
        if valid & messages.VALID_MODE:
            self.folder.set_mode(path, mode)
        if valid & messages.VALID_CHANGED:
            now = valid & messages.VALID_CHANGED_NOW
            self.folder.set_time(path, None if now else seconds * _SECOND_NS + nanoseconds)
        return messages.attributes_reply(path, self.folder.status(path))

    def read_link(self, node: int, body: bytes, room: int) -> bytes:
        """READLINK: the guest follows it among its own files."""
        return self.folder.link_text(self.nodes.path(node))

    def open_file(self, node: int, body: bytes, room: int) -> bytes:
        """OPEN."""
        self.folder.check_open(self.nodes.path(node), fields(messages.OPEN_IN, body)[0])
        return messages.OPEN_OUT.pack(0, 0, 0)

    def read(self, node: int, body: bytes, room: int) -> bytes:
        """READ."""
        _, offset, size, *_ = fields(messages.READ_IN, body)
        _check_offset(offset)
        return self.folder.read(self.nodes.path(node), offset, min(size, room, LARGEST_DATA))

    def write(self, node: int, body: bytes, room: int) -> bytes:
        """WRITE."""
        _, offset, size, *_ = fields(messages.WRITE_IN, body)
        _check_offset(offset)
        data = body[messages.WRITE_IN.size :]
        if len(data) < size:
            raise refuse(errno.EINVAL)
        return messages.WRITE_OUT.pack(self.folder.write(self.nodes.path(node), offset, data[:size]), 0)

    # ---- folders ------------------------------------------------------------------------------------------------

    def open_folder(self, node: int, body: bytes, room: int) -> bytes:
        """OPENDIR: what is in it now is what will be read."""
        return messages.OPEN_OUT.pack(self.nodes.open_listing(self._listed(node)), 0, 0)

    def _listed(self, node: int) -> list[tuple[bytes, int]]:
        dots = [(b".", stat.S_IFDIR), (b"..", stat.S_IFDIR)]
        return dots + self.folder.names(self.nodes.path(node))

    def read_folder(self, node: int, body: bytes, room: int) -> bytes:
        """READDIR: from an entry on, as many as there is room for."""
        listing, at, size, *_ = fields(messages.READ_IN, body)
        listed, path = self.nodes.listings.get(listing), self.nodes.path(node)
        if listed is None:
            raise refuse(errno.EBADF)
        reply = bytearray()
        for number in range(at, len(listed)):
            name, kind = listed[number]
            entry = messages.directory_entry(path, name, kind, number + 1)
            if len(reply) + len(entry) > min(size, room, LARGEST_DATA):
                break
            reply += entry
        return bytes(reply)

    def release_folder(self, node: int, body: bytes, room: int) -> bytes:
        """RELEASEDIR."""
        self.nodes.listings.pop(fields(messages.RELEASE_IN, body)[0], None)
        return b""

    # ---- changes ------------------------------------------------------------------------------------------------

    def create(self, node: int, body: bytes, room: int) -> bytes:
        """CREATE: a regular file, opened."""
        flags, mode, *_ = fields(messages.CREATE_IN, body)
        path, name = self._child(node, body, messages.CREATE_IN.size)
        self.folder.create(path, mode, bool(flags & os.O_EXCL))
        if flags & os.O_TRUNC:
            self.folder.truncate(path, 0)
        return self._entry(node, name) + messages.OPEN_OUT.pack(0, 0, 0)

    def make_node(self, node: int, body: bytes, room: int) -> bytes:
        """MKNOD: regular files only."""
        mode, *_ = fields(messages.MAKE_NODE_IN, body)
        path, name = self._child(node, body, messages.MAKE_NODE_IN.size)
        if not stat.S_ISREG(mode):
            raise refuse(errno.EPERM)
        self.folder.create(path, mode, True)
        return self._entry(node, name)

    def make_folder(self, node: int, body: bytes, room: int) -> bytes:
        """MKDIR."""
        mode, _ = fields(messages.MAKE_FOLDER_IN, body)
        path, name = self._child(node, body, messages.MAKE_FOLDER_IN.size)
        self.folder.make_folder(path, mode)
        return self._entry(node, name)

    def not_allowed(self, node: int, body: bytes, room: int) -> bytes:
        """SYMLINK and LINK: what would lead programs of the host elsewhere."""
        raise refuse(errno.EPERM if self.folder.writable else errno.EROFS)

    def unlink(self, node: int, body: bytes, room: int) -> bytes:
        """UNLINK."""
        return self._remove(node, body, False)

    def remove_folder(self, node: int, body: bytes, room: int) -> bytes:
        """RMDIR."""
        return self._remove(node, body, True)

    def _remove(self, node: int, body: bytes, is_folder: bool) -> bytes:
        path, name = self._child(node, body, 0)
        self.folder.remove(path, is_folder)
        self.nodes.removed(node, name)
        return b""

    def rename(self, node: int, body: bytes, room: int) -> bytes:
        """RENAME."""
        (target,) = fields(messages.RENAME_IN, body)
        return self._rename(node, target, names(body, messages.RENAME_IN.size, 2), True)

    def rename_with_flags(self, node: int, body: bytes, room: int) -> bytes:
        """RENAME2: without flags, or so that nothing is replaced."""
        target, flags, _ = fields(messages.RENAME2_IN, body)
        if flags & ~messages.NO_REPLACE:
            raise refuse(errno.EINVAL)
        return self._rename(node, target, names(body, messages.RENAME2_IN.size, 2), not flags)

    def _rename(self, node: int, target: int, both: list[bytes], replace: bool) -> bytes:
        old, new = both
        self.folder.rename((*self.nodes.path(node), old), (*self.nodes.path(target), new), replace)
        self.nodes.renamed(node, old, target, new)
        return b""


def _check_offset(offset: int) -> None:
    if offset >= 1 << 63:
        raise refuse(errno.EINVAL)


Handler = Callable[[ShareRequests, int, bytes, int], bytes]
"""Called with the node's number, what follows the header, and the room for an answer; returns the answer."""

HANDLERS: Final[Mapping[int, Handler]] = {
    Operation.LOOKUP: ShareRequests.look_up,
    Operation.FORGET: ShareRequests.forget,
    Operation.GETATTR: ShareRequests.attributes,
    Operation.SETATTR: ShareRequests.set_attributes,
    Operation.READLINK: ShareRequests.read_link,
    Operation.SYMLINK: ShareRequests.not_allowed,
    Operation.MKNOD: ShareRequests.make_node,
    Operation.MKDIR: ShareRequests.make_folder,
    Operation.UNLINK: ShareRequests.unlink,
    Operation.RMDIR: ShareRequests.remove_folder,
    Operation.RENAME: ShareRequests.rename,
    Operation.LINK: ShareRequests.not_allowed,
    Operation.OPEN: ShareRequests.open_file,
    Operation.READ: ShareRequests.read,
    Operation.WRITE: ShareRequests.write,
    Operation.STATFS: ShareRequests.statistics,
    Operation.RELEASE: ShareRequests.accepted,
    Operation.FSYNC: ShareRequests.accepted,
    Operation.FLUSH: ShareRequests.accepted,
    Operation.INIT: ShareRequests.initialize,
    Operation.OPENDIR: ShareRequests.open_folder,
    Operation.READDIR: ShareRequests.read_folder,
    Operation.RELEASEDIR: ShareRequests.release_folder,
    Operation.FSYNCDIR: ShareRequests.accepted,
    Operation.ACCESS: ShareRequests.accepted,
    Operation.CREATE: ShareRequests.create,
    Operation.INTERRUPT: ShareRequests.accepted,
    Operation.DESTROY: ShareRequests.destroy,
    Operation.BATCH_FORGET: ShareRequests.forget_several,
    Operation.RENAME2: ShareRequests.rename_with_flags,
    Operation.SYNCFS: ShareRequests.accepted,
}
