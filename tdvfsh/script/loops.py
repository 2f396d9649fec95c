"""``for``: the values it runs through.

Source: edk2 ShellPkg/Library/UefiShellLevel1CommandsLib/For.c.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tdvfsh.script.numbers import to_uintn

_WILDCARDS = frozenset("*?[]")
_LONGEST_NUMBER = 6  # digits; edk2 refuses seven
_TWO_63 = 1 << 63


class LoopError(Exception):
    """An invalid ``for`` statement; ``str()`` is the message that firmware prints."""


class Loop:
    """A running ``for``: its variable (``%a``), and its values as a list or as a counter.

    ``owns_variable`` is False where an outer loop, or one left by ``goto``, already had the variable; then the
    variable outlives this loop.
    """

    __slots__ = ("current", "end", "index", "owns_variable", "step", "values", "variable")

    def __init__(self, variable: str, values: list[str] | None, bounds: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.variable = variable
        self.values = values
        self.current, self.end, self.step = bounds
        self.index = 0
        self.owns_variable = True

    def next_value(self, *, first: bool) -> tuple[str | None, bool]:
        """The next value for the variable, and whether the loop is over.

        Quirk of edk2: a counting loop sets its variable once more past its end.
        """
        if self.values is not None:
            if first:
                self.index = 0
            if self.index >= len(self.values):
                return None, True
            value = self.values[self.index]
            self.index += 1
            return value, False
        if not first:
            self.current += self.step
        over = self.current > self.end if self.step > 0 else self.current < self.end
        return str(self.current), over


def is_loop_variable(word: str) -> bool:
    """Whether a word is ``%`` and one letter."""
    return len(word) == 2 and word[0] == "%" and word[1].isascii() and word[1].isalpha()


def set_values(words: Iterable[str], expand: Callable[[str], list[str]]) -> list[str]:
    """Values of ``for %a in``: wildcards that match become file names, all other words stay.

    Args:
        words: The words of the set.
        expand: File names for a pattern, empty where none matches.
    """
    values: list[str] = []
    for word in words:
        names = expand(word) if _WILDCARDS & set(word) else []
        values += names or [word]
    return values


def run_bounds(words: list[str]) -> tuple[int, int, int]:
    """Start, end and step of ``for %a run (start end [step])``.

    Raises:
        LoopError: The argument to name in firmware's message; empty where the bracket is never closed.
    """
    text = " ".join(words)
    closing = text.find(")")
    if text[:1] != "(":
        raise LoopError(text)
    if closing < 0 or text[closing + 1 :].strip(" "):
        raise LoopError("")
    shown = text[:closing]
    rest = shown[1:].lstrip(" ")
    numbers: list[int] = []
    while len(numbers) < 3:
        if not _is_loop_number(rest):
            raise LoopError(shown)
        numbers.append(_signed(rest))
        _, blank, rest = rest.partition(" ")
        rest = rest.lstrip(" ")
        if not rest and len(numbers) >= 2:
            break
        if len(numbers) == 3 and blank:
            raise LoopError(shown)
    start, end = numbers[0], numbers[1]
    step = numbers[2] if len(numbers) == 3 else (1 if start < end else -1)
    return start, end, step


def _is_loop_number(text: str) -> bool:
    body = text[1:] if text.startswith("-") else text
    word = body.partition(" ")[0]
    return bool(word) and len(word) <= _LONGEST_NUMBER and word[0] in "0123456789"


def _signed(text: str) -> int:
    word = text.partition(" ")[0]
    value = -to_uintn(word[1:]) if word.startswith("-") else to_uintn(word)
    return (value + _TWO_63) % (2 * _TWO_63) - _TWO_63
