"""The symbols of a 64-bit x86 Linux kernel, by the compressed table that it carries in itself (CONFIG_KALLSYMS).

What an address means: up to 6.19 symbols count from a relative base, a relocated number. In an image from a file it is
the address that the kernel was linked for; in the memory of a kernel that has relocated itself (KASLR), the address it
has moved to. From 7.0 on they count from the place of the table: in an ELF file the addresses are its segments', and
in a plain memory image they count from the image's start, unless the caller passes the base. Per-CPU symbols up to 6.14
are offsets from 0, which never move.

Source: Linux kernel/kallsyms.c (kallsyms_sym_address, get_symbol_pos, kallsyms_expand_symbol) of 6.1, 6.12 and 7.0.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from tdvfsh.formats.mapped import Buffer, ByteSource
from tdvfsh.formats.symbols.kallsyms_tables import PackedNames, find_tables
from tdvfsh.lazy_typing import Final, NamedTuple

_SEPARATOR: Final = "\u0100"


class Symbol(NamedTuple):
    """What an address belongs to.

    Attributes:
        name: The symbol's name.
        offset: Bytes from the symbol to the address.
        address: Where the symbol is.
    """

    name: str
    offset: int
    address: int

    def __str__(self) -> str:
        return f"{self.name}+{self.offset:#x}" if self.offset else self.name


class Kallsyms:
    """A kernel's symbols, in the order of their addresses.

    Made by :func:`find_kallsyms`. Names are unpacked when they are asked for.

    Attributes:
        base: Address of ``_text``, the image's first byte.
    """

    def __init__(
        self, tokens: list[str], names: PackedNames, addresses: array[int], first: int, base: int | None
    ) -> None:
        self._tokens = tokens
        self._names = names
        self._addresses = addresses
        self._first = first
        self._shift = 0 if base is None else base - addresses[first]
        self._text: str | None = None
        self.base = addresses[first] + self._shift

    def __len__(self) -> int:
        return len(self._addresses)

    def rebased(self, base: int) -> Kallsyms:
        """The same symbols for a kernel whose ``_text`` is at ``base``; per-CPU symbols do not move."""
        other = Kallsyms(self._tokens, self._names, self._addresses, self._first, base)
        other._text = self._text
        return other

    def _address(self, index: int) -> int:
        return self._addresses[index] + (self._shift if index >= self._first else 0)

    def _name(self, index: int) -> str:
        names = self._names
        return "".join(self._tokens[token] for token in names.stream[names.starts[index] : names.ends[index]])[1:]

    def at(self, address: int) -> Symbol | None:
        """The last symbol at or before ``address``; of several in one place the first, as the kernel has it.

        Returns:
            None below the image, past its last symbol, and between the per-CPU symbols and the image.
        """
        addresses, first = self._addresses, self._first
        low, high = (first, len(addresses)) if address >= self.base else (0, first)
        wanted = address - (self._shift if low == first else 0)
        index = bisect_right(addresses, wanted, low, high) - 1
        if index < low or (index == high - 1 and addresses[index] != wanted):
            return None
        index = bisect_left(addresses, addresses[index], low, high)
        found = self._address(index)
        return Symbol(self._name(index), address - found, found)

    def address_of(self, name: str) -> int | None:
        """Where a symbol is, or None; the first in the image where several have the name.

        The first call unpacks all names: some tenths of a second.
        """
        if self._text is None:
            self._text = self._unpacked()
        if "\n" in name:
            return None
        end = f"{name}\n"
        at = self._text.find(end)
        while at >= 0:
            if at >= 2 and self._text[at - 2] == "\n":
                return self._address(self._text.count("\n", 0, at) - 1)
            at = self._text.find(end, at + 1)
        return None

    def in_image(self) -> Iterator[tuple[str, int]]:
        """Name and address of each symbol of the image, per-CPU symbols left out."""
        if self._text is None:
            self._text = self._unpacked()
        names = self._text.split("\n")[1:-1]
        for index in range(self._first, len(self._addresses)):
            yield names[index][1:], self._address(index)

    def _unpacked(self) -> str:
        """Every name after its type letter, each between line ends."""
        stream = self._names.stream.decode("latin-1")
        spans = zip(self._names.starts, self._names.ends, strict=True)
        packed = _SEPARATOR.join(["", *(stream[start:end] for start, end in spans), ""])
        return packed.translate([*self._tokens, "\n"])

    @property
    def text(self) -> tuple[int, int]:
        """[start, end) of code that stays: ``_stext`` to ``_etext``; empty where it is not known."""
        return self._range("_stext", "_etext")

    @property
    def init_text(self) -> tuple[int, int]:
        """[start, end) of code that is freed after booting; empty where it is not known."""
        return self._range("_sinittext", "_einittext")

    def _range(self, first: str, last: str) -> tuple[int, int]:
        start, end = self.address_of(first), self.address_of(last)
        return (start, end) if start is not None and end is not None and start < end else (0, 0)


def find_kallsyms(view: Buffer | ByteSource, base: int | None = None) -> Kallsyms | None:
    """Find and check the symbol table of an unpacked kernel.

    Args:
        view: A vmlinux ELF file, as a bzImage's payload unpacks to, or the kernel as it lies in memory from ``_text``
            on, before or after it relocated itself.
        base: Address of ``_text``, where it is known better than by the image; see this module's text.

    Returns:
        The symbols; None where there is no table or it is inconsistent. Damage is not an error.
    """
    found = find_tables(ByteSource(view))
    return None if found is None else Kallsyms(found.tokens, found.names, found.addresses, found.first, base)
