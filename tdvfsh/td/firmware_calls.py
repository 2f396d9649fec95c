"""What firmware does by itself between two steps of a boot, and a list of it in few characters."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from itertools import groupby

from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Final, NamedTuple
from tdvfsh.uefi.memory import EfiMemoryType

_LETTERS: Final = {
    "D": EfiMemoryType.EfiBootServicesData,
    "C": EfiMemoryType.EfiBootServicesCode,
    "d": EfiMemoryType.EfiRuntimeServicesData,
    "c": EfiMemoryType.EfiRuntimeServicesCode,
    "N": EfiMemoryType.EfiACPIMemoryNVS,
    "A": EfiMemoryType.EfiACPIReclaimMemory,
    "R": EfiMemoryType.EfiReservedMemoryType,
}
_NAMES: Final = {kind: letter for letter, kind in _LETTERS.items()}
_ALLOCATION: Final = pattern(r"([DCdcNAR])(\d+)(?:x(\d+))?")
_MARK: Final = pattern(r"[a-z]{2,}(-[a-z]+)*")
_FREE: Final = pattern(r"-(\d+)(?:\+(\d+))?:(\d+)")


class FirmwareCall(NamedTuple):
    """An action of firmware between two steps of a boot.

    Exactly one is meant: a step mark ``do``, an allocation of ``memory_type``, a free of the pages of the call numbered
    ``frees`` from its page ``offset`` on, a free at ``address`` (in a model below 0, from the top of low RAM), or
    requests to a ``pool`` in the words of :mod:`tdvfsh.loaders.pool_requests`, made only for an ``initrd``, only where
    RAM ends as ``ram`` says (a value of :func:`tdvfsh.td.footprint.ram_end`), or always.
    """

    do: str | None = None
    memory_type: EfiMemoryType | None = None
    pages: int = 0
    maximum: int | None = None
    frees: int | None = None
    offset: int = 0
    address: int | None = None
    pool: str = ""
    initrd: bool = False
    ram: str = ""


class FirmwareCalls(tuple[FirmwareCall, ...]):
    """Calls in order, which find out what follows from them once only: every boot of a firmware asks the same."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def marks(self) -> dict[str, int]:
        """The last place of each step mark."""
        return {call.do: number for number, call in enumerate(self) if call.do is not None}

    @cached_property
    def has_addresses(self) -> bool:
        """Whether any of them frees at an address of its own."""
        return any(call.address is not None for call in self)

    @cached_property
    def _hash(self) -> int:
        return tuple.__hash__(self)


def parse_calls(text: str) -> tuple[FirmwareCall, ...]:
    """The calls that a text such as ``kernel-blob D1x3 C2 -4:2`` lists.

    A letter and a number allocate so many pages, of BootServicesData, BootServicesCode, RuntimeServicesData (d),
    RuntimeServicesCode (c), ACPI NVS, ACPI reclaim or Reserved memory, ``x3`` three times; ``-4:2`` frees two pages of
    call 4, counted from 0, and ``-4+1:2`` those from its page 1 on; a word is a step mark.

    Raises:
        ValueError: Something else.
    """
    calls: list[FirmwareCall] = []
    for word in text.split():
        if found := _ALLOCATION.fullmatch(word):
            call = FirmwareCall(memory_type=_LETTERS[found[1]], pages=int(found[2]))
            calls += [call] * int(found[3] or 1)
        elif found := _FREE.fullmatch(word):
            calls.append(FirmwareCall(frees=int(found[1]), offset=int(found[2] or 0), pages=int(found[3])))
        elif _MARK.fullmatch(word):
            calls.append(FirmwareCall(do=word))
        else:
            raise ValueError(f"calls: invalid word {word!r}")
    return tuple(calls)


def calls_text(calls: Iterable[FirmwareCall]) -> str:
    """The text that :func:`parse_calls` reads: plain calls only, without an address or a maximum."""
    words: list[str] = []
    for word, same in groupby(map(_word, calls)):
        times = len(list(same))
        words += [f"{word}x{times}"] if times > 1 and word[0] in _LETTERS and word[1:].isdigit() else [word] * times
    return " ".join(words)


def _word(call: FirmwareCall) -> str:
    if call.do is not None:
        return call.do
    if call.memory_type is not None and call.maximum is None and not call.ram:
        return f"{_NAMES[call.memory_type]}{call.pages}"
    if call.frees is not None:
        return f"-{call.frees}{f'+{call.offset}' if call.offset else ''}:{call.pages}"
    raise ValueError(f"{call} has no short form")
