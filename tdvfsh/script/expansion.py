"""What happens to a line before its words are split: arguments, aliases, variables.

Source: edk2 ShellPkg/Application/Shell/Shell.c (RunScriptFileHandle, ShellSubstituteAliases, ShellConvertVariables,
StripUnreplacedEnvironmentVariables).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tdvfsh.script.text import find_unescaped, replace

_NAME_START = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_NAME = _NAME_START | frozenset("0123456789")


LONGEST_LINE = 1 << 16  # characters; firmware keeps a quarter of that (PcdShellPrintBufferSize)


class LineTooLong(Exception):
    """A line that is, or would become, longer than the limit; ``length`` is in characters."""

    def __init__(self, length: int) -> None:
        self.length = length
        super().__init__(f"{length:,} characters, at most {LONGEST_LINE:,}")


def _put(text: str, target: str, value: str, *, guarded: bool) -> str:
    """Replace, but not beyond the longest line: variables that double themselves end here."""
    count = text.count(target)
    if not count:
        return text
    length = len(text) + count * (len(value) - len(target))
    if length > LONGEST_LINE:
        raise LineTooLong(length)
    return replace(text, target, value, guarded=guarded)


def is_variable_name(name: str) -> bool:
    """Whether an unknown ``%name%`` is removed: letters, digits and underscores, no digit first."""
    return bool(name) and name[0] in _NAME_START and all(character in _NAME for character in name)


def substitute_arguments(text: str, arguments: Sequence[str | None]) -> str:
    """Put a script's arguments for ``%9`` down to ``%0``; missing ``%1`` to ``%9`` become ``""``.

    A caret does not protect here, and ``%10`` is ``%1`` followed by ``0`` (both edk2 quirks).

    Args:
        text: The script's line.
        arguments: The script's path and its words, quotes included; None for words out of reach.

    Raises:
        LineTooLong: The line would become too long.
    """
    if "%" not in text:
        return text
    for index in range(min(len(arguments) - 1, 9), -1, -1):
        argument = arguments[index]
        if argument is not None:
            text = _put(text, f"%{index}", argument, guarded=False)
    for index in range(1, 10):
        text = replace(text, f"%{index}", '""', guarded=False)
    return text


def substitute_alias(text: str, is_command: Callable[[str], bool], alias_of: Callable[[str], str | None]) -> str:
    """Replace the first word, up to a blank, by what it is an alias of; a command's own name wins."""
    name, blank, rest = text.partition(" ")
    if is_command(name):
        return text
    command = alias_of(name)
    return text if command is None else command + blank + rest


def substitute_variables(
    text: str, variables: Iterable[tuple[str, str]], loop_values: Iterable[tuple[str, str]] = ()
) -> str:
    """Put values for ``%name%`` and for the loop variables ``%a``, drop unknown names, resolve ``^%``.

    The variables are replaced one after the other in their order, so a value that holds ``%name%`` of a later variable
    is replaced again, and one of an earlier variable is dropped as unknown.

    Raises:
        LineTooLong: The line would become too long.
    """
    if "%" not in text:
        return text
    for name, value in variables:
        text = _put(text, f"%{name}%", value, guarded=True)
    for name, value in loop_values:
        text = _put(text, name, value, guarded=True)
    text = drop_unknown_variables(text)
    return replace(text, "^%", "%", guarded=True)


def drop_unknown_variables(text: str) -> str:
    """Remove every ``%name%`` that is left outside quotes and has the form of a variable."""
    at = 0
    while True:
        percent = find_unescaped(text, "%", at)
        closing = find_unescaped(text, "%", percent + 1) if percent >= 0 else -1
        if closing < 0:
            return text
        quote = find_unescaped(text, '"', at)
        if 0 <= quote < percent:
            second = find_unescaped(text, '"', quote + 1)
            at = second + 1 if 0 <= second < percent else percent
        elif quote < 0 or closing < quote:
            if is_variable_name(text[percent + 1 : closing]):
                text = text[:percent] + text[closing + 1 :]
            else:
                at = closing + 1
        else:
            at = quote


def asks_for_help(words: Iterable[str]) -> bool:
    """Whether ``-?`` starts a word, which turns the line into ``help`` for it."""
    return any(word.startswith("-?") for word in words)
