"""Recordings of a boot-service test application and of a tracer, read into events.

A recording is text: one call and its answer a line, memory maps as blocks of ``D`` lines. What a line says is kept as
numbers and words; what it means is :mod:`tests.conformance.replay`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tdvfsh.uefi.memory import MemoryDescriptor

_FIELD: Final = re.compile(r"(\w+)~?=(0x[0-9A-Fa-f]+|\S+)")
_LEADING_NUMBER: Final = re.compile(r"0x[0-9A-Fa-f]+\Z")


@dataclass(slots=True)
class Event:
    """One line, or one map block.

    Attributes:
        line: Line number, from 1.
        text: The line as recorded, stripped.
        verb: Its first word: ``AllocatePages``, ``AT``, ``KEY``, ``MAP`` …
        words: The other words before ``->`` that are no ``name=value``.
        given: ``name=value`` before ``->``, as text.
        status: The word after ``->``, or None.
        results: ``name=value`` after ``->``, as text.
        descriptors: A map block's descriptors.
    """

    line: int
    text: str
    verb: str
    words: tuple[str, ...]
    given: dict[str, str]
    status: str | None
    results: dict[str, str]
    descriptors: list[MemoryDescriptor] = field(default_factory=list)

    def number(self, name: str) -> int:
        """An argument as a number."""
        return int(self.given[name], 0)

    def result(self, name: str) -> int:
        """A result as a number."""
        return int(self.results[name], 0)

    @property
    def label(self) -> str:
        """The words and arguments before ``->`` as one string, without the verb."""
        return self.text.split(" -> ")[0][len(self.verb) :].strip()


def read_events(path: Path) -> list[Event]:
    """All events of a recording, in order."""
    return list(_events(path.read_text(encoding="utf-8", errors="replace").splitlines()))


def first_map(events: list[Event]) -> Event | None:
    """The first map block, from which a replay starts."""
    return next((event for event in events if event.verb == "MAP" and event.descriptors), None)


def _events(lines: list[str]) -> Iterator[Event]:
    block: Event | None = None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if block is not None:
            if text.startswith("D "):
                block.descriptors.append(_descriptor(text))
                continue
            yield block
            block = None
        if not text or text.startswith("#") or text == "ENDMAP":
            continue
        event = _event(number, text)
        if event.verb in ("MAP", "FINALMAP"):
            block = event
        else:
            yield event
    if block is not None:
        yield block


def _event(number: int, text: str) -> Event:
    before, arrow, after = text.partition(" -> ")
    verb, _, rest = before.partition(" ")
    if "=" in verb:
        verb, rest = "", before
    after_words = after.split()
    return Event(
        number,
        text,
        verb,
        tuple(word for word in rest.split() if "=" not in word),
        dict(_FIELD.findall(rest)),
        after_words[0] if arrow and after_words else None,
        dict(_FIELD.findall(after)),
    )


def _descriptor(text: str) -> MemoryDescriptor:
    fields = {name: int(value, 0) for name, value in _FIELD.findall(text)}
    return MemoryDescriptor(fields["type"], fields["start"], fields["pages"], fields["attr"], fields.get("virt", 0))
