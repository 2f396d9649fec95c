"""Fields of journal records: how each is written as a plain value, and read back with its type checked."""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import EfiAllocateType, EfiMemoryType, memory_type_name

Value = int | str | bool | None
"""What stands in a journal file."""

_MOST: Final = 1 << 64
_MEMORY_TYPES: Final = {kind.name: int(kind) for kind in EfiMemoryType}
_ALLOCATE_TYPES: Final = {kind.name: int(kind) for kind in EfiAllocateType}
_ALLOCATE_NAMES: Final = tuple(kind.name for kind in EfiAllocateType)


class Form(NamedTuple):
    """Type of a field.

    Attributes:
        what: What a reader expects, in words.
        plain: The value as it stands in a file.
        read: The value of what stands in a file; raises ValueError where that is something else.
    """

    what: str
    plain: Callable[[Value], Value]
    read: Callable[[object], Value]


class Field(NamedTuple):
    """One field of a record kind.

    Attributes:
        name: The specification's name, as files and lists have it.
        attribute: The record's attribute.
        form: What it holds.
        optional: Whether a record may lack it: None then, and left out of files.
        nullable: Whether it may be null, which stands for a NULL pointer.
    """

    name: str
    attribute: str
    form: Form
    optional: bool = False
    nullable: bool = False


def allocate_type_name(allocate_type: int) -> str:
    """The specification's name of an EFI_ALLOCATE_TYPE, or the number where it is not one."""
    return _ALLOCATE_NAMES[allocate_type] if 0 <= allocate_type < len(_ALLOCATE_NAMES) else str(allocate_type)


def memory_type_of(name: str) -> int:
    """The number of a memory type as :func:`memory_type_name` names it.

    Raises:
        ValueError: It is neither a name nor a number in hex.
    """
    known = _MEMORY_TYPES.get(name)
    return int(name, 16) if known is None else known


def _as_it_is(value: Value) -> Value:
    return value


def _read_number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise ValueError
    return value


def _read_text(value: object) -> str:
    if type(value) is not str:
        raise ValueError
    return value


def _read_memory_type(value: object) -> int:
    return _read_number(memory_type_of(_read_text(value)))


def _read_allocate_type(value: object) -> int:
    known = _ALLOCATE_TYPES.get(_read_text(value))
    return _read_number(int(_read_text(value))) if known is None else known


def _name_memory_type(value: Value) -> Value:
    assert isinstance(value, int)
    return memory_type_name(value)


def _name_allocate_type(value: Value) -> Value:
    assert isinstance(value, int)
    return allocate_type_name(value)


NUMBER: Final = Form("a number from 0 to 2^64", _as_it_is, _read_number)
TEXT: Final = Form("a text", _as_it_is, _read_text)
MEMORY_TYPE: Final = Form("a memory type", _name_memory_type, _read_memory_type)
ALLOCATE_TYPE: Final = Form("an allocate type", _name_allocate_type, _read_allocate_type)


def number(name: str, attribute: str = "", *, optional: bool = False, nullable: bool = False) -> Field:
    """A field for an address, a size or a count."""
    return Field(name, attribute or name, NUMBER, optional, nullable)


def text(name: str, *, nullable: bool = False) -> Field:
    """A field for text."""
    return Field(name, name, TEXT, nullable=nullable)


def memory_type(name: str, *, optional: bool = False) -> Field:
    """A field for an EFI_MEMORY_TYPE."""
    return Field(name, name, MEMORY_TYPE, optional)
