"""The expressions of ``assert``: a parser of their own, and their values.

::

    either      = both { "or" both }
    both        = denied { "and" denied }
    denied      = "not" denied | compared
    compared    = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=" | eq | ne | lt | le | gt | ge) sum ]
    sum         = value { ("+" | "-") value }
    value       = number | 'text' | name [ "(" argument ")" ] | "(" either ")"
    argument    = sum, or a word where the name wants one

Numbers are decimal, ``0x`` hex, or sizes such as ``3G`` and ``1.5M``.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Final, NamedTuple, Protocol
from tdvfsh.units import human_size, parse_size

Value = int | str | bool | None
"""None stands for what is not there."""

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>0[xX][0-9A-Fa-f]+|\d+(?:\.\d+)?[KkMmGgTt]?(?![\w.]))|(?P<text>'[^']*')"
    r"|(?P<word>[A-Za-z_][\w.:\\-]*)|(?P<sign>==|!=|<=|>=|[<>()+,-]))"
)
_WORD_SIGNS: Final = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_COMPARE: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}
_DEEPEST: Final = 64
_SHOWN_AS_SIZE: Final = 1 << 10


class Facts(Protocol):
    """Values of names."""

    def takes(self, name: str) -> str | None:
        """``none``, ``number`` or ``word``: what a name wants after it; None where there is no such name."""

    def fact(self, name: str, argument: Value) -> Value:
        """The value of a name; raises UsageError where it has none."""
        ...

    def constant(self, word: str) -> Value:
        """The value of a word that is not a name: a memory type, a status; raises UsageError for anything else."""
        ...

    def alike(self, one: Value, other: Value) -> bool:
        """Whether two values of different types are equal, as a status and its number are."""
        ...


class Comparison(NamedTuple):
    """A comparison that is false: as written, and both values."""

    text: str
    left: Value
    right: Value

    def __str__(self) -> str:
        return f"{self.text} does not hold: {shown(self.left)}, {shown(self.right)}"


class Outcome(NamedTuple):
    """Value of an expression, and the comparisons in it that are false."""

    holds: bool
    failed: tuple[Comparison, ...]


def evaluate(text: str, facts: Facts) -> Outcome:
    """Whether an expression holds now.

    Raises:
        UsageError: It cannot be read, names what there is not, or compares what cannot be compared.
    """
    parser = _Parser(text, facts)
    holds = parser.truth()
    parser.expect_end()
    return Outcome(holds, tuple(parser.failed))


def shown(value: Value) -> str:
    """A value as a failure shows it: numbers in decimal and hex, large ones as a size too."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    size = f", {human_size(value)}" if value >= _SHOWN_AS_SIZE else ""
    return f"{value} (0x{value:X}{size})" if value >= 10 else str(value)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int
    end: int


class _Parser:
    def __init__(self, text: str, facts: Facts) -> None:
        self._text = text
        self._facts = facts
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0
        self.failed: list[Comparison] = []

    def truth(self) -> bool:
        """either"""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UsageError(f"more than {_DEEPEST} parentheses and denials inside each other")
        holds = self._both()
        while self._take("word", "or"):
            holds = self._both() or holds
        self._depth -= 1
        return holds

    def expect_end(self) -> None:
        token = self._peek()
        if token is not None:
            raise UsageError(f"'{token.text}' is unexpected in '{self._text}'")

    def _both(self) -> bool:
        holds = self._denied()
        while self._take("word", "and"):
            holds = self._denied() and holds
        return holds

    def _denied(self) -> bool:
        if not self._take("word", "not"):
            return self._compared()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise UsageError(f"more than {_DEEPEST} parentheses and denials inside each other")
        kept, start = self.failed, self._start()
        self.failed = []
        holds = not self._denied()
        self.failed = kept
        if not holds:
            self.failed.append(Comparison(f"not {self._written(start)}", True, False))
        self._depth -= 1
        return holds

    def _compared(self) -> bool:
        start = self._start()
        left = self._sum()
        sign = self._sign()
        if sign is None:
            if not isinstance(left, bool):
                raise UsageError(f"'{self._written(start)}' is {shown(left)}: compare it with something")
            if not left:
                self.failed.append(Comparison(self._written(start), left, True))
            return left
        right = self._sum()
        holds = self._holds(sign, left, right)
        if not holds:
            self.failed.append(Comparison(self._written(start), left, right))
        return holds

    def _holds(self, sign: str, left: Value, right: Value) -> bool:
        if sign in ("==", "!="):
            equal = left == right if type(left) is type(right) else self._facts.alike(left, right)
            return equal is (sign == "==")
        if not (type(left) is int and type(right) is int):
            raise UsageError(f"{shown(left)} {sign} {shown(right)}: only numbers have an order")
        return _COMPARE[sign](left, right)

    def _sign(self) -> str | None:
        token = self._peek()
        if token is None:
            return None
        sign = _WORD_SIGNS.get(token.text.lower(), token.text)
        if sign not in ("==", "!=", *_COMPARE):
            return None
        self._at += 1
        return sign

    def _sum(self) -> Value:
        value = self._value()
        while (token := self._peek()) is not None and token.text in ("+", "-"):
            self._at += 1
            other = self._value()
            if not (type(value) is int and type(other) is int):
                raise UsageError(f"{shown(value)} {token.text} {shown(other)}: only numbers can be added")
            value = value + other if token.text == "+" else value - other
        return value

    def _value(self) -> Value:
        token = self._peek()
        if token is None:
            raise UsageError(f"'{self._text}' ends too early" if self._text else "nothing to check")
        self._at += 1
        if token.kind == "number":
            return int(token.text, 16) if token.text[:2].lower() == "0x" else parse_size(token.text.upper())
        if token.kind == "text":
            return token.text[1:-1]
        if token.text == "(":
            holds = self.truth()
            self._close()
            return holds
        if token.kind != "word":
            raise UsageError(f"'{token.text}' is not valid there in '{self._text}'")
        return self._named(token.text)

    def _named(self, word: str) -> Value:
        takes = self._facts.takes(word)
        if takes is None:
            return self._facts.constant(word)
        if takes == "none":
            return self._facts.fact(word, None)
        if not self._take("sign", "("):
            raise UsageError(f"{word} wants its {'address' if takes == 'number' else 'name'} in parentheses")
        argument: Value
        token = self._peek()
        if takes == "word" and token is not None and token.kind in ("word", "text"):
            self._at += 1
            argument = token.text.strip("'")
        else:
            argument = self._sum()
        if takes == "number" and type(argument) is not int:
            raise UsageError(f"{word}({shown(argument)}): not a number")
        self._close()
        return self._facts.fact(word, argument)

    def _close(self) -> None:
        if not self._take("sign", ")"):
            raise UsageError(f"a ')' is missing in '{self._text}'")

    def _peek(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self, kind: str, text: str) -> bool:
        token = self._peek()
        if token is None or token.kind != kind or token.text.lower() != text:
            return False
        self._at += 1
        return True

    def _start(self) -> int:
        token = self._peek()
        return token.start if token is not None else len(self._text)

    def _written(self, start: int) -> str:
        """What was read since ``start``, as it was written."""
        return self._text[start : self._tokens[self._at - 1].end] if self._at else ""


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise UsageError(f"'{text[at:].split()[0]}' is not valid in an expression")
        found.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup), match.end()))
        at = match.end()
    return found
