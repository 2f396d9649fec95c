"""Files as bounded bytes: mapped, never read whole, and safe when they are truncated during use.

A page of a mapping that lies past a file's new end raises SIGBUS and would kill the process. Therefore nothing in
``tdvfsh.formats`` touches mapped pages: a :class:`ByteSource` made from a :class:`MappedFile`'s view recognises the
mapping and reads with ``pread``, which cannot fault. What is guaranteed:

* every parser of this package may be given ``MappedFile.view``; a file that shrinks meanwhile raises a
  :class:`~tdvfsh.errors.FormatError` that says so, never a signal;
* a slice of that view is as good: where in the file it lies is found out once;
* :meth:`MappedFile.read_at` and :func:`copy_of` are as safe, for callers that need the bytes themselves;
* indexing ``MappedFile.view`` directly is as fast and as dangerous as any mapping: pass it on, do not look into it.

Source: mmap(2), "SIGBUS"; open(2) on FIFOs and O_NONBLOCK.
"""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType

from tdvfsh import host
from tdvfsh.errors import FormatError, HostError, host_error
from tdvfsh.lazy_typing import TYPE_CHECKING, Final
from tdvfsh.units import human_size

if TYPE_CHECKING:
    from pathlib import Path

Buffer = bytes | bytearray | memoryview
"""What parsers read: bytes in memory, or the view of a :class:`MappedFile`. They take a :class:`ByteSource` too."""

CHUNK_SIZE: Final = 1 << 20
"""Bytes that a streaming reader takes at a time."""

_KINDS: Final = (
    (stat.S_ISDIR, "is a folder"),
    (stat.S_ISFIFO, "is a FIFO, not a file"),
    (stat.S_ISCHR, "is a character device, not a file"),
    (stat.S_ISBLK, "is a block device, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
)


class _FileMapping(mmap.mmap):
    """A mapping that knows its file, so that views of it can be read without touching its pages."""

    descriptor: int = -1
    path: str

    def __del__(self) -> None:
        if self.descriptor >= 0:  # the file was closed while a slice was in use
            os.close(self.descriptor)

    def copy_of(self, view: memoryview) -> bytes:
        """The bytes of a view of this mapping, read from the file.

        Raises:
            FormatError: The file no longer has them.
        """
        return ByteSource(view).peek(0, view.nbytes)


def copy_of(view: memoryview) -> bytes:
    """The bytes of any view; never a signal where it is one of a file that shrank.

    Raises:
        FormatError: It is, and they are gone.
    """
    mapping = view.obj
    return mapping.copy_of(view) if isinstance(mapping, _FileMapping) else bytes(view)


def _address_of(view: memoryview) -> int:
    """Where in this process a contiguous view's bytes stand; they are not touched."""
    import ctypes

    names = (
        "buf",
        "obj",
        "len",
        "itemsize",
        "readonly",
        "ndim",
        "format",
        "shape",
        "strides",
        "suboffsets",
        "internal",
    )
    numbers = {"len": ctypes.c_ssize_t, "itemsize": ctypes.c_ssize_t, "readonly": ctypes.c_int, "ndim": ctypes.c_int}
    kinds = [(name, numbers.get(name, ctypes.c_void_p)) for name in names]
    py_buffer = type("Py_buffer", (ctypes.Structure,), {"_fields_": kinds})()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(py_buffer), 0)
    try:
        return int(py_buffer.buf)
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(py_buffer))


class ByteSource:
    """Bounded random access to a buffer's bytes.

    Args:
        view: The bytes. A view of a :class:`MappedFile`, or a slice of one, is read with ``pread``. Another source: a
            window of it.
        path: The file's name for error messages.
        size: Bytes to use, where fewer than there are.
        offset: Where the window begins; offsets given to the methods count from there.
    """

    __slots__ = ("_base", "_descriptor", "_head", "_view", "path", "size")

    path: str
    size: int
    _base: int
    _descriptor: int
    _head: bytes
    _view: memoryview

    def __init__(
        self, view: Buffer | ByteSource, path: str | None = None, size: int | None = None, offset: int = 0
    ) -> None:
        self._base = offset
        self._head = b""
        if isinstance(view, ByteSource):
            if not offset:
                self._head = view._head
            self._base += view._base
            self._view = view._view
            self._descriptor = view._descriptor
            self.path = path or view.path
            there = view.size
        else:
            self._view = memoryview(view)
            self._descriptor = -1
            self.path = path or "<memory>"
            there = self._view.nbytes
            mapping = self._view.obj
            if isinstance(mapping, _FileMapping) and mapping.descriptor >= 0:
                self._descriptor = mapping.descriptor
                self.path = path or mapping.path
                if 0 < there < len(mapping):
                    self._base += _address_of(self._view) - _address_of(memoryview(mapping))
        there = max(there - offset, 0)
        self.size = there if size is None else max(min(size, there), 0)

    def peek(self, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes at ``offset``: fewer at the end, none past it."""
        size = min(size, self.size - offset)
        if size <= 0 or offset < 0:
            return b""
        if offset + size <= len(self._head):
            return self._head[offset : offset + size]
        offset += self._base
        if self._descriptor < 0:
            return bytes(self._view[offset : offset + size])
        data = host.pread(self._descriptor, size, offset)
        while len(data) < size:  # pread may stop early at 2 GiB; at the end of file it returns nothing
            more = host.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                raise FormatError(self.path, "the file became shorter while it was being read", offset + len(data))
            data += more
        return data

    def keep_head(self, size: int) -> None:
        """Read the first ``size`` bytes now, for a parser that looks at many small fields there.

        This source, and one that begins where it does, then returns them as they were, whatever becomes of the file.
        """
        if self._descriptor >= 0:
            self._head = self.peek(0, size)

    def read(self, offset: int, size: int, what: str = "data") -> bytes:
        """Exactly ``size`` bytes at ``offset``.

        Raises:
            FormatError: They are not all there; ``what`` names them.
        """
        if size < 0 or offset < 0 or offset + size > self.size:
            raise FormatError(self.path, f"{what} runs past the end of the file ({self.size} bytes)", offset)
        return self.peek(offset, size)

    def chunks(self, offset: int = 0, end: int | None = None, chunk_size: int = CHUNK_SIZE) -> Iterator[bytes]:
        """The bytes of ``[offset, end)`` in pieces of at most ``chunk_size``."""
        stop = self.size if end is None else min(end, self.size)
        while offset < stop:
            data = self.peek(offset, min(chunk_size, stop - offset))
            yield data
            offset += len(data)

    def overlapping_chunks(self, offset: int, end: int, overlap: int) -> Iterator[bytes]:
        """The bytes of ``[offset, end)`` in pieces; of each but the first, ``overlap`` bytes stood in the one before.

        Whatever is not longer than ``overlap`` stands whole in one of them.
        """
        while offset < end:
            data = self.peek(offset, min(CHUNK_SIZE + overlap, end - offset))
            yield data
            if len(data) <= CHUNK_SIZE:
                return
            offset += CHUNK_SIZE

    def find(self, needle: bytes, offset: int = 0, end: int | None = None) -> int:
        """Offset of the first ``needle`` in ``[offset, end)``, or -1; memory stays at one chunk."""
        stop = self.size if end is None else min(end, self.size)
        overlap = len(needle) - 1
        while offset + overlap < stop:
            data = self.peek(offset, min(CHUNK_SIZE + overlap, stop - offset))
            index = data.find(needle)
            if index >= 0:
                return offset + index
            offset += max(len(data) - overlap, 1)
        return -1

    def next_data(self, offset: int) -> int:
        """The first offset from ``offset`` on that may hold anything but zeros: holes of a sparse file are skipped."""
        if self._descriptor < 0 or not hasattr(os, "SEEK_DATA"):
            return offset
        try:
            return min(os.lseek(self._descriptor, self._base + offset, os.SEEK_DATA) - self._base, self.size)
        except OSError:  # ENXIO: only a hole is left; EINVAL: the file system knows no holes
            return self.size if self._is_hole_to_end(offset) else offset

    def _is_hole_to_end(self, offset: int) -> bool:
        try:
            return os.lseek(self._descriptor, self._base + offset, os.SEEK_HOLE) <= self._base + offset
        except OSError:
            return False

    def skip_zeros(self, offset: int) -> int:
        """Offset of the first byte from ``offset`` on that is not zero, or the size."""
        while offset < self.size:
            offset = self.next_data(offset)
            data = self.peek(offset, 4096)
            rest = data.lstrip(b"\0")
            offset += len(data) - len(rest)
            if rest:
                return offset
            if len(data) == 4096:  # a long run: larger bites
                data = self.peek(offset, CHUNK_SIZE)
                offset += len(data) - len(data.lstrip(b"\0"))
        return self.size


class MappedFile:
    """A regular file, mapped read-only; use it in a ``with`` statement.

    Attributes:
        path: The name as given.
        size: Bytes, as they were when it was opened.
        view: Read-only view of all bytes, for the parsers; see this module's docstring for which callers may read it.
    """

    __slots__ = ("_descriptor", "_mapping", "path", "size", "view")

    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self._descriptor = descriptor
        self._mapping: _FileMapping | None = None
        self.view = memoryview(b"")
        if size:
            self._mapping = _FileMapping(descriptor, size, access=mmap.ACCESS_READ)
            self._mapping.descriptor = descriptor
            self._mapping.path = path
            self.view = memoryview(self._mapping)

    @property
    def source(self) -> ByteSource:
        """Bounded access to the bytes, without touching mapped pages."""
        return ByteSource(self.view, self.path)

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``; never a signal, whatever happens to the file.

        Raises:
            FormatError: The file does not have that many bytes, or no longer.
        """
        return self.source.read(offset, size)

    def close(self) -> None:
        """Let go of the file; afterwards its view is empty."""
        if self._descriptor < 0:
            return
        self.view = memoryview(b"")
        mapping, self._mapping = self._mapping, None
        descriptor, self._descriptor = self._descriptor, -1
        try:
            if mapping is not None:
                mapping.close()
                mapping.descriptor = -1
        except BufferError:  # the view or a slice is still in use: mapping and file live until it is released
            return
        os.close(descriptor)

    def __enter__(self) -> MappedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_mapped(path: str | Path) -> MappedFile:
    """Open a regular file for the parsers.

    Neither a FIFO nor a device is ever opened, so this never blocks.

    Returns:
        The file; its ``view`` and ``read_at`` are for the parsers.

    Raises:
        MissingError: It does not exist.
        HostError: It may not be read, or the host refuses to map it.
        FormatError: It is a folder, a FIFO, a device or a socket.
    """
    name = str(path)
    try:
        _refuse_special(name, os.stat(name))
        descriptor = os.open(name, os.O_RDONLY | host.O_BINARY | host.O_NONBLOCK | host.O_CLOEXEC | host.O_NOCTTY)
    except OSError as error:
        raise host_error(name, error) from None
    except ValueError:  # a NUL in the name
        raise HostError(f"{name!r}: not a file name") from None
    try:
        status = os.fstat(descriptor)
        _refuse_special(name, status)
        return MappedFile(name, descriptor, status.st_size)
    except OSError as error:
        os.close(descriptor)
        raise host_error(name, error) from None
    except (ValueError, FormatError):
        os.close(descriptor)
        raise


def require_file(path: str | Path) -> None:
    """Refuse what would block or never end, for callers that then open the file themselves.

    Raises:
        FormatError: It is a folder, a FIFO, a device or a socket. Where nothing is there, opening it says so.
    """
    with suppress(OSError):
        _refuse_special(str(path), os.stat(path))


def read_text_file(path: str | Path, most: int = 64 << 20) -> str:
    """The text of a small file in UTF-8.

    Raises:
        HostError: It cannot be read.
        FormatError: It is not a file, not text, or larger than ``most`` bytes.
    """
    require_file(path)
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise host_error(path, error) from None
    if len(data) > most:
        raise FormatError(str(path), f"larger than {human_size(most)}")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(str(path), "not text", error.start) from None


def _refuse_special(name: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        return
    for matches, why in _KINDS:
        if matches(status.st_mode):
            raise FormatError(name, why)


def read_at(view: Buffer | ByteSource, offset: int, size: int, path: str) -> bytes:
    """Exactly ``size`` bytes of ``view`` at ``offset``.

    Raises:
        FormatError: They are not all there.
    """
    return ByteSource(view, path).read(offset, size)
