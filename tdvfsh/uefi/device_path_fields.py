"""Fields of device path nodes: bytes to words of text, and back.

Text is read as leniently as edk2 reads it: a word that is missing or of no known form is 0.

Source: UEFI 2.10 10.6.1.6; edk2 MdePkg/Library/UefiDevicePathLib for what the specification leaves open.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from ipaddress import IPv6Address

from tdvfsh.lazy_dataclass import dataclass, field
from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import Guid

_NUMBER: Final = pattern(r"\s*(?:0[xX](?P<hexadecimal>[0-9A-Fa-f]*)|(?P<decimal>[0-9]+))")
_GUID: Final = pattern(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")
_PNP: Final = 0x41D0  # "PNP" as the low half of an EISA identifier


def number(word: str) -> int:
    """The number that a word begins with; 0 where it begins with none."""
    match = _NUMBER.match(word)
    if match is None:
        return 0
    return int(match["hexadecimal"] or "0", 16) if match["decimal"] is None else int(match["decimal"])


def hex_bytes(word: str) -> bytes:
    """Bytes of two digits each, as far as the word has them."""
    digits = re.match(r"[0-9A-Fa-f]*", word)
    text = digits[0] if digits is not None else ""
    return bytes.fromhex(text[: len(text) & ~1])


class Field(ABC):
    """One field, or several that are read together.

    Attributes:
        size: Bytes; None for all up to the node's end.
        words: Words of text; None for all that are left.
    """

    size: int | None = None
    words: int | None = 1

    @abstractmethod
    def to_words(self, data: bytes) -> list[str]:
        """The words that stand for ``data``."""

    @abstractmethod
    def from_words(self, words: Sequence[str]) -> bytes:
        """The bytes that ``words``, as many as :attr:`words` says, stand for."""


@dataclass(frozen=True)
class Number(Field):
    """A number.

    Attributes:
        size: Bytes.
        names: Words that numbers are printed as.
        form: How any other is printed.
        read: Numbers that words stand for, where they differ from those that are printed so.
        assumed: What a word stands for that is neither a name nor a number.
        big_endian: Whether its first byte is the highest.
        base: Of digits without a prefix.
    """

    size: int
    names: Mapping[int, str] = field(default_factory=dict)
    form: str = "0x{:X}"
    read: Mapping[str, int] = field(default_factory=dict)
    assumed: int = 0
    big_endian: bool = False
    base: int = 10

    def to_words(self, data: bytes) -> list[str]:
        value = int.from_bytes(data, "big" if self.big_endian else "little")
        return [self.names.get(value) or self.form.format(value)]

    def from_words(self, words: Sequence[str]) -> bytes:
        word = words[0]
        value = self.read.get(word)
        if value is None:
            value = next((value for value, name in self.names.items() if name == word), None)
        if value is None and self.base == 16:
            value = number("0x" + word.removeprefix("0x"))
        if value is None:
            value = number(word) if _NUMBER.match(word) else self.assumed
        return (value & (1 << 8 * self.size) - 1).to_bytes(self.size, "big" if self.big_endian else "little")


@dataclass(frozen=True)
class Hidden(Field):
    """Bytes that text leaves out: zeros, or those given."""

    size: int
    data: bytes = b""
    words = 0

    def to_words(self, data: bytes) -> list[str]:
        return []

    def from_words(self, words: Sequence[str]) -> bytes:
        return self.data.ljust(self.size, b"\0")


class GuidField(Field):
    """A GUID."""

    size = 16

    def to_words(self, data: bytes) -> list[str]:
        return [str(Guid(bytes_le=data)).upper()]

    def from_words(self, words: Sequence[str]) -> bytes:
        return Guid(words[0]).bytes_le if _GUID.match(words[0]) else bytes(16)


@dataclass(frozen=True)
class Bytes(Field):
    """Bytes in hex.

    Attributes:
        size: How many; None for all that are left.
        prefix: What is printed before them.
        between: What is printed between two.
        backwards: Whether the last byte is printed first.
    """

    size: int | None = None
    prefix: str = ""
    between: str = ""
    backwards: bool = False

    def to_words(self, data: bytes) -> list[str]:
        shown = data[::-1] if self.backwards else data
        if self.size is None and not data:
            return []
        return [self.prefix + self.between.join(f"{byte:02X}" for byte in shown)]

    def from_words(self, words: Sequence[str]) -> bytes:
        word = words[0] if words else ""
        data = hex_bytes(word.removeprefix("0x").replace("-", ""))
        if self.size is not None:
            data = data[: self.size].ljust(self.size, b"\0")
        return data[::-1] if self.backwards else data


@dataclass(frozen=True)
class Ascii(Field):
    """8-bit text.

    Attributes:
        size: Bytes, zeros after the text; None for all up to the end, or up to a zero.
        terminated: Whether a zero ends it.
        commas: Whether commas belong to it: it is all the rest.
    """

    size: int | None = None
    terminated: bool = False
    commas: bool = False

    @property
    def words(self) -> int | None:  # type: ignore[override]
        """All that is left where commas belong to it."""
        return None if self.commas else 1

    def to_words(self, data: bytes) -> list[str]:
        return [data.split(b"\0")[0].decode("latin-1")]

    def from_words(self, words: Sequence[str]) -> bytes:
        data = ",".join(words).encode("latin-1", "replace")
        if self.size is not None:
            return data[: self.size].ljust(self.size, b"\0")
        return data + b"\0" if self.terminated else data


class Quoted(Field):
    """16-bit text up to the end, in quotes."""

    words = None

    def to_words(self, data: bytes) -> list[str]:
        text = data[: len(data) & ~1].decode("utf-16-le", "replace").split("\0")[0]
        return [f'"{text}"']

    def from_words(self, words: Sequence[str]) -> bytes:
        text = ",".join(words)
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = text[1:-1]
        return text.encode("utf-16-le", "surrogatepass")


@dataclass(frozen=True)
class EisaId(Field):
    """An EISA identifier: three letters and four digits, or its number.

    Attributes:
        only_pnp: Whether identifiers that do not begin with PNP are printed as numbers.
        may_be_none: Whether none at all is printed as 0.
    """

    only_pnp: bool = False
    may_be_none: bool = False
    size = 4

    def to_words(self, data: bytes) -> list[str]:
        value = int.from_bytes(data, "little")
        if self.only_pnp and value & 0xFFFF != _PNP:
            return [f"0x{value:08X}"]
        if self.may_be_none and not value:
            return ["0"]
        letters = "".join(chr((value >> shift & 0x1F) + 0x40) for shift in (10, 5, 0))
        return [f"{letters}{value >> 16:04X}"]

    def from_words(self, words: Sequence[str]) -> bytes:
        word = words[0]
        if len(word) < 3 or word[:2] == "0x":
            return (number(word) & 0xFFFFFFFF).to_bytes(4, "little")
        letters = 0
        for character in word[:3]:
            letters = letters << 5 | (ord(character) - 0x40) & 0x1F
        return (letters | (number("0x" + word[3:]) & 0xFFFF) << 16).to_bytes(4, "little")


class Ipv4(Field):
    """An IPv4 address."""

    size = 4

    def to_words(self, data: bytes) -> list[str]:
        return [".".join(str(byte) for byte in data)]

    def from_words(self, words: Sequence[str]) -> bytes:
        return bytes(number(part) & 0xFF for part in words[0].split(".")[:4]).ljust(4, b"\0")


class Ipv6(Field):
    """An IPv6 address, all digits written."""

    size = 16

    def to_words(self, data: bytes) -> list[str]:
        return [":".join(data[at : at + 2].hex().upper() for at in range(0, 16, 2))]

    def from_words(self, words: Sequence[str]) -> bytes:
        try:
            return IPv6Address(words[0]).packed
        except ValueError:
            return bytes(16)


class Addresses(Field):
    """Which kind of addresses follow, and the addresses: name servers."""

    words = None
    _room: Final = 16

    def to_words(self, data: bytes) -> list[str]:
        kind: Field = Ipv6() if data[:1] != b"\0" else Ipv4()
        entries = [data[at : at + self._room] for at in range(1, len(data) - self._room + 1, self._room)]
        return [word for entry in entries for word in kind.to_words(entry[: kind.size])]

    def from_words(self, words: Sequence[str]) -> bytes:
        marks = [character for word in words for character in word if character in ".:"]
        kind: Field = Ipv6() if marks[:1] == [":"] else Ipv4()
        entries = [kind.from_words([word]).ljust(self._room, b"\0") for word in words if word]
        return bytes((isinstance(kind, Ipv6),)) + b"".join(entries)


@dataclass(frozen=True)
class Numbers(Field):
    """32-bit numbers up to the end, at least one."""

    words = None

    def to_words(self, data: bytes) -> list[str]:
        return [f"0x{int.from_bytes(data[at : at + 4], 'little'):X}" for at in range(0, len(data) & ~3, 4)]

    def from_words(self, words: Sequence[str]) -> bytes:
        values = [number(word) & 0xFFFFFFFF for word in words if word] or [0]
        return b"".join(value.to_bytes(4, "little") for value in values)


class MacAddress(Field):
    """A hardware address in 32 bytes, and its interface type: six bytes count of Ethernet's."""

    size = 33
    words = 2
    _ethernet: Final = (0, 1)

    def to_words(self, data: bytes) -> list[str]:
        length = 6 if data[32] in self._ethernet else 32
        return [data[:length].hex().upper(), f"0x{data[32]:X}"]

    def from_words(self, words: Sequence[str]) -> bytes:
        kind = number(words[1]) & 0xFF
        length = 6 if kind in self._ethernet else 32
        return hex_bytes(words[0])[:length].ljust(32, b"\0") + bytes((kind,))


class SasTopology(Field):
    """Device and topology information of a SAS device: kind, place, connection, drive bay."""

    size = 2
    words = 4

    def to_words(self, data: bytes) -> list[str]:
        info = int.from_bytes(data, "little")
        if not info & 0x8F:
            return ["NoTopology", "0", "0", "0"]
        if info & 0x80 or info & 0x0F > 2:
            return [f"0x{info:X}", "0", "0", "0"]
        return [
            "SATA" if info & 0x10 else "SAS",
            "External" if info & 0x20 else "Internal",
            "Expanded" if info & 0x40 else "Direct",
            "0" if info & 0x0F == 1 else f"0x{(info >> 8) + 1:X}",
        ]

    def from_words(self, words: Sequence[str]) -> bytes:
        kind, place, connection, bay = words
        info = number(kind)
        if kind in ("SATA", "SAS"):
            drive = number(bay)
            info = 2 | (drive - 1 & 0xFF) << 8 if drive else 1
            info |= (kind == "SATA") << 4 | (place == "External") << 5 | (connection == "Expanded") << 6
        return (info & 0xFFFF).to_bytes(2, "little")


class LoginOptions(Field):
    """Login options of an iSCSI target: header digest, data digest, authentication."""

    size = 2
    words = 3

    def to_words(self, data: bytes) -> list[str]:
        options = int.from_bytes(data, "little")
        method = "None" if options & 0x800 else "CHAP_UNI" if options & 0x1000 else "CHAP_BI"
        return [*("CRC32C" if options & bit else "None" for bit in (0x02, 0x08)), method]

    def from_words(self, words: Sequence[str]) -> bytes:
        header, data, method = words
        options = (header == "CRC32C") << 1 | (data == "CRC32C") << 3
        options |= {"None": 0x800, "CHAP_UNI": 0x1000}.get(method, 0)
        return options.to_bytes(2, "little")


class PartitionSignature(Field):
    """Signature of a disk or partition with its format: ``MBR``, ``GPT`` or a number, and the signature."""

    size = 18
    words = 2

    def to_words(self, data: bytes) -> list[str]:
        if data[17] == 1:
            return ["MBR", f"0x{int.from_bytes(data[:4], 'little'):08X}"]
        if data[17] == 2:
            return ["GPT", str(Guid(bytes_le=data[:16])).upper()]
        return [str(data[17]), "0"]

    def from_words(self, words: Sequence[str]) -> bytes:
        if words[0] == "MBR":
            return (number(words[1]) & 0xFFFFFFFF).to_bytes(4, "little").ljust(16, b"\0") + b"\x01\x01"
        if words[0] == "GPT":
            return GuidField().from_words(words[1:]) + b"\x02\x02"
        return bytes(17) + bytes((number(words[0]) & 0xFF,))
