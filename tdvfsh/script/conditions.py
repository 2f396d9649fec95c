"""``if``: statements, operators and functions.

Statements are joined from left to right; the first ``or`` after a true one and the first ``and`` after a false one
decide. Numbers compare as numbers where both sides are numbers (bare hex counts), else text compares by code units.

Source: edk2 ShellPkg/Library/UefiShellLevel1CommandsLib/If.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.numbers import is_number, parse_number, to_uintn

if TYPE_CHECKING:
    from tdvfsh.script.host import ConditionHost

_SIGN = 1 << 63
_MASK = (1 << 64) - 1
_JOINERS = {"or": "or", "and": "and", "then": "then"}
# In firmware's order of trial; each is matched as a prefix of its word, so "gtx" is "gt".
_OPERATORS = ("gt", "lt", "eq", "ne", "ge", "le", "==", "ugt", "ult", "uge", "ule")
_ERROR_BITS = {"efierror": _SIGN, "pierror": _SIGN | _SIGN >> 2, "oemerror": _SIGN | _SIGN >> 1}


class ConditionError(Exception):
    """An invalid statement whose message is already printed."""


def _signed(value: int) -> int:
    value &= _MASK
    return value - (1 << 64) if value & _SIGN else value


def _operand(word: str) -> int:
    return _signed(-to_uintn(word[1:]) if word.startswith("-") else to_uintn(word))


_SIGNED: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda a, b: a > b,
    "lt": lambda a, b: a < b,
    "eq": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "ge": lambda a, b: a >= b,
    "le": lambda a, b: a <= b,
}


def compare(left: str, operator: str, right: str, *, ignore_case: bool = False, as_text: bool = False) -> bool:
    """Apply one of the binary operators.

    Args:
        left: Left operand.
        operator: ``gt lt eq ne ge le == ugt ult uge ule``.
        right: Right operand.
        ignore_case: ``/i``; for text, either comparison may hold (edk2 tries both).
        as_text: ``/s``, never compare as numbers.
    """
    kind = operator.removeprefix("u")
    if as_text or not is_number(left) or not is_number(right):
        test = _SIGNED[kind]
        order = (left > right) - (left < right)
        folded = (left.upper() > right.upper()) - (left.upper() < right.upper())
        return test(order, 0) or (ignore_case and test(folded, 0))
    a, b = _operand(left), _operand(right)
    if operator != kind:
        a, b = a & _MASK, b & _MASK
    return _SIGNED[kind](a, b)


def _match(word: str, name: str) -> str | None:
    """The rest of ``word`` after ``name``, without blanks in front; None where it does not start with it."""
    if word[: len(name)].lower() != name:
        return None
    return word[len(name) :].lstrip(" ")


def _argument(rest: str) -> str | None:
    return rest[1:-1].lstrip(" ") if rest.startswith("(") and rest.endswith(")") and len(rest) > 1 else None


class Condition:
    """The words of an ``if`` line, evaluated one statement at a time.

    Args:
        words: All words of the line, ``if`` first.
        host: The shell.
    """

    def __init__(self, words: list[str], host: ConditionHost) -> None:
        self._words = words
        self._host = host
        leading = [word.lower() for word in words[1:4]]
        self._ignore_case = "/i" in leading
        self._as_text = "/s" in leading

    def evaluate(self) -> bool | None:
        """Whether the block runs; None where ``then`` is missing (its message is the caller's).

        Raises:
            ConditionError: A statement is wrong.
        """
        words = self._words
        at = 1 + self._ignore_case + self._as_text
        value = False
        joiner = ""
        while at < len(words):
            if words[at].lower() == "then":
                if at + 1 != len(words):
                    self._host.print("if: Then cannot be followed by anything\n")
                    raise ConditionError
                return value
            end = next((i for i in range(at, len(words)) if words[i].lower() in _JOINERS), None)
            if end is None:
                return None
            result = self._statement(at, end)
            value = {"or": value or result, "and": value and result}.get(joiner, result)
            joiner = words[end].lower()
            if (joiner == "or" and value) or (joiner == "and" and not value):
                return value
            at = end if joiner == "then" else end + 1
        return True  # the words ended after a joiner: firmware falls into the block

    def _fail(self, text: str) -> None:
        self._host.print(text)
        raise ConditionError

    def _statement(self, start: int, stop: int) -> bool:
        """One statement in ``words[start:stop]``; firmware looks at words after it too, which shows in messages."""
        words = self._words
        end = stop - 1
        rest = _match(words[start], "not")
        negated = rest is not None
        if negated:
            start += 1
        word = words[start]
        result = self._function(word, start, end)
        if result is None:
            if start + 1 >= end:
                self._fail(f"Syntax after analyzing {word}\n")
            result = self._comparison(start, end)
        return result != negated

    def _function(self, word: str, start: int, end: int) -> bool | None:
        host = self._host
        for name in ("isint", "exists", "exist", "available", "profile"):
            rest = _match(word, name)
            if rest is None:
                continue
            argument = _argument(rest)
            if name == "exist" or name == "exists":
                if argument is not None:
                    return host.file_exists(argument)
                if rest == "" and start + 1 == end:
                    return host.file_exists(self._words[start + 1])
                name = "exist(s)"
            elif argument is not None:
                if name == "isint":
                    return is_number(argument)
                return host.file_in_path(argument) if name == "available" else host.has_profile(argument)
            self._fail(f"Syntax after analyzing {name}\n")
        return None

    def _comparison(self, start: int, end: int) -> bool:
        """``left operator right``. Firmware continues after a first error, so two messages are possible."""
        failed = False
        left, wrong = self._mapped(self._words[start], on_right=False)
        if left is None and not wrong and end - start > 2:
            self._host.print(f"Syntax after {self._words[start + 2]}\n")
            failed = True
        word = self._words[start + 1]
        operator = next((name for name in _OPERATORS if _match(word, name) is not None), None)
        if operator is None:
            self._host.print(f"Binary operator not found first in '{word}'\n")
            failed = True
        right, also_wrong = self._mapped(self._words[start + 2], on_right=True)
        if failed or wrong or also_wrong or operator is None:
            raise ConditionError
        return compare(
            left or self._words[start],
            operator,
            right or self._words[start + 2],
            ignore_case=self._ignore_case,
            as_text=self._as_text,
        )

    def _mapped(self, word: str, *, on_right: bool) -> tuple[str | None, bool]:
        """``efierror(n)`` and its kin as a hex number, and whether the call is malformed.

        Quirks of edk2: on the right side, and for ``oemerror`` on either, the closing bracket is not cut off, so that
        the call never parses; and the number keeps only 32 bits, which loses the error bit.
        """
        for name, bits in _ERROR_BITS.items():
            rest = _match(word, name)
            if rest is None:
                continue
            inside, bracket, _ = rest[1:].partition(")")
            usable = rest.startswith("(") and bracket and not on_right and name != "oemerror"
            value = parse_number(inside.lstrip(" ")) if usable else None
            if value is None:
                self._host.print(f"Syntax after analyzing {name}\n")
                return None, True
            return f"0x{(value | bits) & 0xFFFFFFFF:X}", False
        return None, False
