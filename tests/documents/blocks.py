"""Fenced blocks of a Markdown page, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

_MARK = re.compile(r"<!-- test: (.*?) -->")
_FENCE = re.compile(r"^(`{3,})(\w*)\s*$")
PROMPT = re.compile(r"^FS\d:\\> ")
ELLIPSIS = "..."


@dataclass(frozen=True)
class Command:
    """A command and what it prints.

    Attributes:
        text: The command as a shell of the host reads it.
        output: Lines that stand below it.
        line: Number of its first line in the page, from 0.
        end: Number of the line after its output.
    """

    text: str
    output: list[str]
    line: int
    end: int


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, lines, place in the page, and what the comment in front of it says."""

    language: str
    lines: list[str]
    first: int
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def slow(self) -> bool:
        return "slow" in self.marks

    @property
    def needs(self) -> list[str]:
        return self.marks["needs"].split(",") if "needs" in self.marks else []

    @property
    def masked(self) -> bool:
        return self.slow or bool(self.needs) or "masked" in self.marks

    @property
    def status(self) -> int:
        return int(self.marks.get("status", "0"))

    def commands(self) -> list[Command]:
        """The commands of a ``console`` block."""
        found: list[Command] = []
        number = 0
        while number < len(self.lines):
            line = self.lines[number]
            start = number
            number += 1
            if not line.startswith("$ "):
                continue
            text = line[2:]
            while text.endswith("\\") and number < len(self.lines):
                text += "\n" + self.lines[number]
                number += 1
            until = number
            while until < len(self.lines) and not self.lines[until].startswith("$ "):
                until += 1
            output = self.lines[number:until]
            found.append(Command(text, output, self.first + start, self.first + until))
            number = until
        return found


def blocks_of(text: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    lines = text.splitlines()
    number = 0
    marks: dict[str, str] = {}
    while number < len(lines):
        mark = _MARK.search(lines[number])
        fence = _FENCE.match(lines[number])
        if mark is not None:
            words = shlex.split(mark[1])
            marks = {key: value for key, _, value in (word.partition("=") for word in words)}
        elif fence is not None:
            end = next(
                (n for n in range(number + 1, len(lines)) if lines[n].rstrip() == fence[1]),
                len(lines),
            )
            yield Block(fence[2], lines[number + 1 : end], number + 1, marks)
            number, marks = end, {}
        elif lines[number].strip():
            marks = {}
        number += 1
