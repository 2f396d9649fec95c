"""What the guest's numbers mean: files that it has looked up, and folders that it reads."""

from __future__ import annotations

import errno

from tdvfsh.engine.virtio.share.folder import FilePath, refuse
from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_typing import Final

ROOT: Final = 1
MOST_NODES: Final = 1 << 18
MOST_LISTINGS: Final = 256
MOST_LISTED: Final = 1 << 20
_MOST_LOOKUPS: Final = 1 << 63
_DEEPEST: Final = 1024  # folders that the host moves meanwhile could make a circle


@dataclass(slots=True)
class Node:
    """A file or folder.

    Attributes:
        parent: Number of the folder that it is in; 0 where it was removed.
        name: Its name there.
        lookups: How often it was returned, less what the guest has forgotten.
        children: How many nodes have it as their parent.
    """

    parent: int
    name: bytes
    lookups: int = 0
    children: int = 0


@dataclass(slots=True)
class Nodes:
    """The tables, of plain values only.

    Attributes:
        nodes: Files and folders by number.
        numbers: Numbers by folder's number and name.
        listings: What is in a folder that the guest has opened, by a number of its own.
        next_node: The number of the next one.
        next_listing: The same for folders that are read.
    """

    nodes: dict[int, Node] = field(default_factory=lambda: {ROOT: Node(0, b"", 1)})
    numbers: dict[tuple[int, bytes], int] = field(default_factory=dict)
    listings: dict[int, list[tuple[bytes, int]]] = field(default_factory=dict)
    next_node: int = ROOT + 1
    next_listing: int = 1

    def path(self, number: int) -> FilePath:
        """The path of a node; raises OSError for one that is not known or was removed."""
        names: list[bytes] = []
        while number != ROOT:
            node = self.nodes.get(number)
            if node is None or not node.parent or len(names) >= _DEEPEST:
                raise refuse(errno.ESTALE)
            names.append(node.name)
            number = node.parent
        return tuple(reversed(names))

    def look_up(self, parent: int, name: bytes) -> int:
        """The number of a file that is there."""
        number = self.numbers.get((parent, name))
        if number is None:
            if len(self.nodes) >= MOST_NODES:
                raise refuse(errno.ENFILE)
            number, self.next_node = self.next_node, self.next_node + 1
            self.nodes[number] = Node(parent, name)
            self._attach(number, parent, name)
        node = self.nodes[number]
        node.lookups = min(node.lookups + 1, _MOST_LOOKUPS)
        return number

    def forget(self, number: int, lookups: int) -> None:
        """The guest has forgotten a node; one in which others are known stays."""
        node = self.nodes.get(number)
        if node is None or number == ROOT:
            return
        node.lookups = max(0, node.lookups - lookups)
        while node is not None and number != ROOT and not node.lookups and not node.children:
            self._detach(number)
            parent = node.parent
            del self.nodes[number]
            number, node = parent, self.nodes.get(parent)

    def removed(self, parent: int, name: bytes) -> None:
        """A name is gone: the guest's number for it is stale."""
        number = self.numbers.get((parent, name))
        if number is not None:
            self._detach(number)
            self.nodes[number].parent = 0

    def renamed(self, parent: int, name: bytes, new_parent: int, new_name: bytes) -> None:
        """A file has another name, where another one may have been."""
        if (parent, name) == (new_parent, new_name):
            return
        self.removed(new_parent, new_name)
        number = self.numbers.get((parent, name))
        if number is not None:
            self._detach(number)
            self._attach(number, new_parent, new_name)

    def _attach(self, number: int, parent: int, name: bytes) -> None:
        node = self.nodes[number]
        node.parent, node.name = parent, name
        self.numbers[parent, name] = number
        self.nodes[parent].children += 1

    def _detach(self, number: int) -> None:
        node = self.nodes[number]
        if self.numbers.pop((node.parent, node.name), None) is not None:
            self.nodes[node.parent].children -= 1

    def open_listing(self, names: list[tuple[bytes, int]]) -> int:
        """Keep what is in a folder while it is read; returns its number."""
        listed = len(names) + sum(map(len, self.listings.values()))
        if len(self.listings) >= MOST_LISTINGS or listed > MOST_LISTED:
            raise refuse(errno.EMFILE)
        number, self.next_listing = self.next_listing, self.next_listing + 1
        self.listings[number] = names
        return number
