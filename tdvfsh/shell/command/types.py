"""Types of command arguments.

An annotation of one of these on a command's parameter tells how the word is read, how it completes and what help calls
it. A keyword-only parameter is an option: ``sfo: Flag = False`` is ``-sfo``; one of another type takes a value, and
``Annotated[..., Option("-n")]`` sets another spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from tdvfsh.lazy_typing import Annotated
from tdvfsh.script.numbers import parse_number
from tdvfsh.units import parse_decimal


class BadArgument(Exception):
    """A word that is invalid for its type."""


class Kind:
    """Reader of one argument type.

    Args:
        name: What completion looks up: ``address``, ``file``, ``memory_type`` and so on.
        read: Makes the value; raises BadArgument.
    """

    __slots__ = ("name", "read")

    def __init__(self, name: str, read: Callable[[str], object]) -> None:
        self.name = name
        self.read = read


class Option:
    """Spelling of an option where it is not ``-`` and the parameter's name.

    Args:
        spelling: As typed.
        prefix: The value follows without a blank, as in ``-ad``.
        optional_value: The option may stand without its value, which then is the empty string.
        time: The value may be a time with a sign, as in ``-08:00``, where the command takes numbers.
        repeats: The option may be given repeatedly; the parameter is a tuple of the values.
    """

    __slots__ = ("optional_value", "prefix", "repeats", "spelling", "time")

    def __init__(
        self,
        spelling: str,
        *,
        prefix: bool = False,
        optional_value: bool = False,
        time: bool = False,
        repeats: bool = False,
    ) -> None:
        self.spelling = spelling
        self.prefix = prefix
        self.optional_value = optional_value
        self.time = time
        self.repeats = repeats


class TdTable:
    """Mark of the parameter that takes the TD options which were given, as text by their names."""


_SUFFIXES = {"k": 10, "m": 20, "g": 30, "t": 40}
_GUID_LENGTHS = [8, 4, 4, 4, 12]
_LIMIT = 1 << 64


def read_hex(word: str) -> int:
    """A number in hex with or without ``0x``, as the shell's addresses and sizes are."""
    value = parse_number(word, force_hex=True)
    if value is None or word.startswith("-"):
        raise BadArgument
    return value


def read_address(word: str) -> int:
    """A physical address: hex, or a size such as ``16M`` or ``4G`` from address 0."""
    suffix = _SUFFIXES.get(word[-1:].lower())
    number = parse_decimal(word[:-1]) if suffix is not None else None
    if suffix is not None and number is not None and number << suffix < _LIMIT:
        return number << suffix
    return read_hex(word)


def read_count(word: str) -> int:
    """A number, decimal unless ``0x`` says otherwise."""
    value = parse_number(word)
    if value is None or word.startswith("-"):
        raise BadArgument
    return value


def read_memory_type(word: str) -> int:
    """A memory type by name (specification's, ``memmap``'s or ``-sfo``'s) or by number."""
    from tdvfsh.uefi.memory import EfiMemoryType

    wanted = word.lower()
    for member in EfiMemoryType:
        names = (member.name, member.name.removeprefix("Efi"), member.label, member.sfo_name)
        if wanted in (name.lower() for name in names):
            return int(member)
    return read_count(word)


def read_guid(word: str) -> str:
    """A GUID in registry form, in capitals."""
    parts = word.split("-")
    if [len(part) for part in parts] != _GUID_LENGTHS or set(word) - set("0123456789abcdefABCDEF-"):
        raise BadArgument
    return word.upper()


def _text(word: str) -> object:
    return word


Flag = Annotated[bool, Kind("flag", _text)]
Text = Annotated[str, Kind("text", _text)]
Rest = Annotated[str, Kind("text", _text)]
CommandName = Annotated[str, Kind("command", _text)]
VariableName = Annotated[str, Kind("variable", _text)]
MappingName = Annotated[str, Kind("mapping", _text)]
FilePath = Annotated[str, Kind("file", _text)]
DirectoryPath = Annotated[str, Kind("directory", _text)]
Address = Annotated[int, Kind("address", read_address)]
Size = Annotated[int, Kind("size", read_address)]
Hex = Annotated[int, Kind("number", read_hex)]
Count = Annotated[int, Kind("number", read_count)]
MemoryTypeName = Annotated[int, Kind("memory_type", read_memory_type)]
GuidArgument = Annotated[str, Kind("guid", read_guid)]
HandleIndex = Annotated[int, Kind("handle", read_hex)]
TdValues = Annotated[Mapping[str, object], TdTable()]
NO_VALUES: Mapping[str, object] = MappingProxyType({})
