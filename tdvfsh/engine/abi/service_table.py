"""How a method becomes a firmware service that guest code can call."""

from __future__ import annotations

import struct
from collections.abc import Callable

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Any, Final, TypeVar
from tdvfsh.uefi.status import SUCCESS, EfiStatus

Answer = EfiStatus | int | None
"""What a service returns in RAX: a status, a number, or nothing (VOID)."""

Argument = Callable[[int], int]
"""A variadic service's way to its arguments: 64 bits by position, from 0."""

_ERROR: Final = 1 << 63
_STATUSES: Final = {int(status): status for status in EfiStatus}
_ALL: Final = (1 << 64) - 1
_MASKS: Final = {"b": 0xFF, "w": 0xFFFF, "d": 0xFFFFFFFF, "q": _ALL, "g": _ALL, "s": _ALL}
_VARIADIC: Final = "*"
_NO_ARGUMENTS: Final = struct.Struct("<")

Method = TypeVar("Method", bound=Callable[..., Answer])
_SIGNATURES: dict[Callable[..., Answer], tuple[str, str, bool]] = {}


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of a table.

    Attributes:
        name: As the specification has it, protocols with their name before it.
        function: The implementation.
        form: All arguments, as they stand on the stack.
        masks: Which bits of each argument count: callers leave rubbish above a UINT32.
        names: Names of the arguments, for the journal.
        widths: What each argument is, by letter.
        own_record: The implementation writes the journal itself.
        variadic: The implementation takes one :data:`Argument`.
    """

    name: str
    function: Callable[..., Answer]
    form: struct.Struct = _NO_ARGUMENTS
    masks: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    widths: str = ""
    own_record: bool = False
    variadic: bool = False


def service(name: str, widths: str = "", *, own_record: bool = False) -> Callable[[Method], Method]:
    """Mark a method as a service.

    Args:
        name: As the specification has it.
        widths: One letter per argument: ``b`` BOOLEAN or UINT8, ``w`` UINT16, ``d`` UINT32 or an enumeration, ``q``
            UINTN, UINT64 or a pointer, ``g`` a pointer to a GUID and ``s`` one to a CHAR16 string, which the journal
            shows; ``*`` alone for a variadic service.
        own_record: The method writes the journal itself.
    """

    def mark(method: Method) -> Method:
        _SIGNATURES[method] = (name, widths, own_record)
        return method

    return mark


def service_of(method: Callable[..., Answer]) -> Service:
    """The table entry of a marked, bound method."""
    function: Any = method
    function = getattr(function, "__func__", function)
    name, widths, own_record = _SIGNATURES[function]
    code = function.__code__
    names = code.co_varnames[1 : code.co_argcount]
    if widths == _VARIADIC:
        return Service(name, method, own_record=own_record, variadic=True)
    return Service(
        name=name,
        function=method,
        form=struct.Struct(f"<{len(widths)}Q"),
        masks=tuple(_MASKS[letter] for letter in widths),
        names=names,
        widths=widths,
        own_record=own_record,
    )


def services_of(*adapters: object) -> dict[str, Service]:
    """All marked methods of some objects, by the specification's name."""
    found: dict[str, Service] = {}
    for adapter in adapters:
        for attribute in vars(type(adapter)).values():
            if callable(attribute) and attribute in _SIGNATURES:
                bound = attribute.__get__(adapter)
                entry = service_of(bound)
                found[entry.name] = entry
    return found


def unsupported(name: str) -> Service:
    """A service that is not there: it answers EFI_UNSUPPORTED, and the journal names it."""
    return Service(name, lambda: EfiStatus.EFI_UNSUPPORTED)


def status_of(value: int) -> EfiStatus:
    """A program's return value as a status: any other value becomes EFI_ABORTED or EFI_SUCCESS, by its error bit."""
    return _STATUSES[value] if value in _STATUSES else (EfiStatus.EFI_ABORTED if value & _ERROR else SUCCESS)
