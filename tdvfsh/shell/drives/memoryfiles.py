"""A file system in memory: tests, synthetic images, results."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.shell.drives.filesystem import FileInfo, FileSystemError, Parts, directory_size
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.uefi.volume import FileWriter


class _Node:
    __slots__ = ("attributes", "children", "created", "data", "grown", "modified", "name")

    def __init__(self, name: str, children: dict[str, _Node] | None, now: int) -> None:
        self.name = name
        self.children = children
        self.data = bytearray()
        self.modified = self.created = now
        self.attributes = "" if children is not None else "a"
        self.grown = 0  # a directory's size when it was largest

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Node):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    __hash__ = None  # type: ignore[assignment]  # mutable: not a key

    def copy(self) -> _Node:
        children = self.children
        twin = _Node(self.name, None if children is None else {key: one.copy() for key, one in children.items()}, 0)
        twin.data = bytearray(self.data)
        twin.modified, twin.created, twin.attributes = self.modified, self.created, self.attributes
        twin.grown = self.grown
        return twin


class _NodeWriter:
    def __init__(self, node: _Node) -> None:
        self._node = node

    def write(self, data: bytes) -> None:
        self._node.data += data

    def close(self) -> None:
        """Nothing is held back."""


class MemoryFileSystem:
    """A file system in memory: tests, synthetic images, results.

    Args:
        label: Volume label.
        now: Returns the seconds since 1970 for new files.
        capacity: Bytes of the volume.
    """

    def __init__(self, label: str = "MEMORY", now: Callable[[], int] = lambda: 0, capacity: int = 64 << 20) -> None:
        self.label = label
        self.writable = True
        self._now = now
        self._capacity = capacity
        self._root = _Node("", {}, now())

    def state(self) -> object:
        """Every file as it is now."""
        return self._root.copy()

    def restore(self, state: object) -> None:
        """Restore what :meth:`state` returned."""
        assert isinstance(state, _Node)
        self._root = state.copy()

    def _find(self, parts: Parts) -> _Node | None:
        node = self._root
        for part in parts:
            child = node.children.get(part.upper()) if node.children is not None else None
            if child is None:
                return None
            node = child
        return node

    def _need(self, parts: Parts) -> _Node:
        node = self._find(parts)
        if node is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        return node

    def _info(self, node: _Node) -> FileInfo:
        if node.children is None:
            return FileInfo(
                name=node.name,
                is_directory=False,
                size=len(node.data),
                modified=node.modified,
                created=node.created,
                attributes=node.attributes,
            )
        return FileInfo(
            name=node.name,
            is_directory=True,
            size=self._size(node),
            modified=node.modified,
            created=node.created,
            attributes="d" + node.attributes,
        )

    def _size(self, node: _Node) -> int:
        names = [child.name for child in (node.children or {}).values()]
        return max(node.grown, directory_size(names, root=node is self._root))

    def _written_in(self, parts: Parts) -> None:
        """An entry of a directory was written: it and all above it are changed, as on FAT."""
        node = self._root
        for part in parts:
            node = (node.children or {})[part.upper()]
            if "a" not in node.attributes:
                node.attributes += "a"

    def info(self, parts: Parts) -> FileInfo | None:
        """See :class:`FileSystem`."""
        node = self._find(parts)
        return None if node is None else self._info(node)

    def entries(self, parts: Parts) -> list[FileInfo]:
        """See :class:`FileSystem`."""
        node = self._need(parts)
        if node.children is None:
            raise FileSystemError(EfiStatus.EFI_NOT_FOUND)
        return [self._info(child) for child in node.children.values()]

    def read(self, parts: Parts, size: int = -1, offset: int = 0) -> bytes:
        """See :class:`FileSystem`."""
        node = self._need(parts)
        if node.children is not None:
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        return bytes(node.data[offset:] if size < 0 else node.data[offset : offset + size])

    def write_file(self, path: str, data: bytes) -> None:
        """Put a file at ``folder\\name``, for tests and synthetic images."""
        writer = self.open_writer([part for part in path.split("\\") if part], append=False)
        writer.write(data)
        writer.close()

    def open_writer(self, parts: Parts, *, append: bool) -> FileWriter:
        """See :class:`FileSystem`."""
        self.make_directory(parts[:-1])
        folder = self._need(parts[:-1])
        assert folder.children is not None
        node = folder.children.get(parts[-1].upper())
        if node is not None and (node.children is not None or "r" in node.attributes):
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        if node is None:
            node = folder.children[parts[-1].upper()] = _Node(parts[-1], None, self._now())
        elif not append:
            node.data.clear()
        node.modified = self._now()
        self._written_in(parts[:-1])
        return _NodeWriter(node)

    def save(self, parts: Parts, pieces: Iterable[bytes | int]) -> None:
        """See :class:`~tdvfsh.uefi.volume.Volume`."""
        data = b"".join(bytes(piece) if isinstance(piece, int) else piece for piece in pieces)
        self.open_writer(parts, append=False).write(data)

    def make_directory(self, parts: Parts) -> None:
        """See :class:`FileSystem`."""
        node = self._root
        for depth, part in enumerate(parts, 1):
            if node.children is None:
                raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
            if part.upper() not in node.children:
                node.children[part.upper()] = _Node(part, {}, self._now())
                self._written_in(parts[:depth])  # its own two entries
            node = node.children[part.upper()]
        if node.children is None:
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)

    def remove(self, parts: Parts) -> None:
        """See :class:`FileSystem`."""
        node = self._need(parts)
        if not parts or node.children:
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        folder = self._need(parts[:-1])
        assert folder.children is not None
        folder.grown = self._size(folder)
        del folder.children[parts[-1].upper()]
        self._written_in(parts[:-1])

    def rename(self, old: Parts, new: Parts) -> None:
        """See :class:`FileSystem`."""
        node = self._need(old)
        if not old or not new:
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        folder = self._find(new[:-1])
        if folder is None or folder.children is None or new[-1].upper() in folder.children:
            raise FileSystemError(EfiStatus.EFI_ACCESS_DENIED)
        source = self._need(old[:-1])
        assert source.children is not None
        source.grown = self._size(source)
        del source.children[old[-1].upper()]
        node.name = new[-1]
        folder.children[new[-1].upper()] = node
        self._written_in(old[:-1])
        self._written_in(new[:-1])

    def set_attributes(self, parts: Parts, attributes: str) -> None:
        """See :class:`FileSystem`."""
        self._need(parts).attributes = attributes
        self._written_in(parts[:-1])

    def set_modified(self, parts: Parts, seconds: int) -> None:
        """See :class:`FileSystem`."""
        self._need(parts).modified = seconds

    def space(self) -> tuple[int, int]:
        """See :class:`FileSystem`."""
        return self._capacity, max(0, self._capacity - self._used(self._root))

    def _used(self, node: _Node) -> int:
        if node.children is None:
            return len(node.data)
        return sum(self._used(child) for child in node.children.values())
