"""A command's parameters, read from its annotations when it is first used, and its words, matched against them.

Messages and their order are firmware's: an unknown flag first, then the number of arguments, then their values.

Source: edk2 ShellPkg/Library/UefiShellLib/UefiShellLib.c (InternalCommandLineParse, InternalIsFlag).
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import TYPE_CHECKING, Any
from tdvfsh.script.numbers import looks_like_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.types import BadArgument, Flag, Kind, Option, TdTable

if TYPE_CHECKING:
    from tdvfsh.options.option import Option as TableOption

_VARIADIC = 0x04  # CO_VARARGS


class Parameter:
    """One positional argument. ``kind`` is None for a plain word."""

    __slots__ = ("kind", "name", "required")

    def __init__(self, name: str, kind: Kind, *, required: bool) -> None:
        self.name = name
        self.kind = kind
        self.required = required


class Switch:
    """One option of a command.

    Args:
        keyword: The parameter that takes its value.
        spelling: As typed.
        kind: How the value is read; None where it takes none.
        option: More of how it is typed.
        table_option: The TD option that it stands for, whose value goes to ``keyword`` by its name.
        stands_for: Its value where it takes none.
    """

    __slots__ = (
        "keyword", "kind", "optional_value", "prefix", "repeats", "spelling", "stands_for", "table_option", "time",
    )  # fmt: skip

    def __init__(
        self,
        keyword: str,
        spelling: str,
        kind: Kind | None,
        option: Option | None,
        *,
        table_option: TableOption[Any, Any] | None = None,
        stands_for: bool = True,
    ) -> None:
        self.keyword = keyword
        self.spelling = spelling
        self.kind = kind
        self.prefix = option is not None and option.prefix
        self.optional_value = option is not None and option.optional_value
        self.time = option is not None and option.time
        self.repeats = option is not None and option.repeats
        self.table_option = table_option
        self.stands_for = stands_for

    def put(self, keywords: dict[str, object], value: object) -> None:
        """Hand a value to the parameter; the last one counts, or all where it repeats."""
        values, name = keywords, self.keyword
        if self.table_option is not None:
            values = keywords.setdefault(self.keyword, {})  # type: ignore[assignment]  # only put() makes it
            name = self.table_option.name
        values[name] = (*values.get(name, ()), value) if self.repeats else value  # type: ignore[misc]


class ArgumentError(Exception):
    """Words that do not fit the signature; ``str()`` is firmware's message without a newline."""

    status = ShellStatus.INVALID_PARAMETER


class UnknownFlag(ArgumentError):
    """A word that begins like an option but is not an option of the command."""


class Signature:
    """Arguments and options that a command takes.

    Args:
        function: The command.
        two_dashes: Options may be spelled as on the command line too: ``--name value`` and ``--name=value``. So it is
            with our own commands; firmware's do not know that.

    Attributes:
        parameters: Words that are not options.
        variadic: The type of further words, None where there are none.
        switches: Options.
    """

    __slots__ = ("parameters", "switches", "two_dashes", "variadic")

    def __init__(self, function: Callable[..., object], *, two_dashes: bool = False) -> None:
        self.two_dashes = two_dashes
        code = function.__code__
        hints = function.__annotations__
        scope = function.__globals__
        names = code.co_varnames
        positional = names[1 : code.co_argcount]
        keywords = names[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
        required = len(positional) - len(function.__defaults__ or ())
        self.parameters = [
            Parameter(name, _kind_of(_resolve(hints[name], scope)) or _plain(), required=index < required)
            for index, name in enumerate(positional)
        ]
        self.variadic: Parameter | None = None
        if code.co_flags & _VARIADIC:
            name = names[code.co_argcount + code.co_kwonlyargcount]
            self.variadic = Parameter(name, _kind_of(_resolve(hints[name], scope)) or _plain(), required=False)
        self.switches = [switch for name in keywords for switch in _switches(name, _resolve(hints[name], scope))]

    def find_switch(self, word: str) -> Switch | None:
        """The option a word spells, without regard to case."""
        folded = self.spelled(word)[0].lower()
        for switch in self.switches:
            spelling = switch.spelling.lower()
            if folded == spelling or (switch.prefix and folded.startswith(spelling)):
                return switch
        return None

    def spelled(self, word: str) -> tuple[str, str | None]:
        """An option as it is spelled with one dash, and the value after its ``=`` where two dashes allow that."""
        if not self.two_dashes or not word.startswith("--"):
            return word, None
        head, equals, value = word[1:].partition("=")
        return head, value if equals else None

    def bind(self, name: str, words: list[str], *, stop: str, numbers: bool) -> tuple[list[object], dict[str, object]]:
        """Match words with parameters.

        Args:
            name: The command, for messages.
            words: The words after it.
            stop: ``.`` where this command's library ends its messages with one.
            numbers: Words like ``-5`` are arguments, not flags.

        Raises:
            ArgumentError: With firmware's message.
        """
        positional, given, lacking = self._sort(name, words, numbers)
        self._check_count(name, positional, stop)
        if lacking is not None:
            raise ArgumentError(f"{name}: Missing argument for flag - '{lacking}'")
        keywords: dict[str, object] = {}
        for switch, word in given:
            switch.put(keywords, _flag_value(name, switch, word))
        values: list[object] = []
        for index, word in enumerate(positional):
            parameter = self.parameters[index] if index < len(self.parameters) else self.variadic
            assert parameter is not None
            try:
                values.append(parameter.kind.read(word))
            except BadArgument:
                raise ArgumentError(f"{name}: Invalid argument - '{word}'") from None
        return values, keywords

    def _sort(
        self, name: str, words: list[str], numbers: bool
    ) -> tuple[list[str], list[tuple[Switch, str | None]], str | None]:
        positional: list[str] = []
        given: list[tuple[Switch, str | None]] = []
        lacking: str | None = None
        waiting: Switch | None = None
        for word in words:
            switch = self.find_switch(word)
            head, value = self.spelled(word)
            if switch is not None and switch.kind is None and value is not None:
                switch = None
            if switch is None and waiting is not None and not _is_flag(word, numbers, time=waiting.time):
                given.append((waiting, word))
                waiting = None
                continue
            if word in ("-b", "-?") and switch is None:
                continue
            if switch is None and _is_flag(word, numbers):
                raise UnknownFlag(f"{name}: Unknown flag - '{word}'{self._hint(word)}")
            if switch is None:
                positional.append(word)
                continue
            if waiting is not None:
                lacking = self._close(waiting, given) or lacking
                waiting = None
            if switch.prefix:
                given.append((switch, head[len(switch.spelling) :]))
            elif switch.kind is None or value is not None:
                given.append((switch, value))
            else:
                waiting = switch
        if waiting is not None:
            lacking = self._close(waiting, given) or lacking
        return positional, given, lacking

    def _hint(self, word: str) -> str:
        """Where an option has gone that had another name."""
        bare = word.lstrip("-").lower()
        for switch in self.switches:
            if switch.table_option is not None and bare in switch.table_option.formerly:
                return f" (now '{switch.spelling}')"
        return ""

    @staticmethod
    def _close(switch: Switch, given: list[tuple[Switch, str | None]]) -> str | None:
        if not switch.optional_value:
            return switch.spelling
        given.append((switch, ""))
        return None

    def _check_count(self, name: str, positional: list[str], stop: str) -> None:
        required = sum(parameter.required for parameter in self.parameters)
        if len(positional) < required:
            raise ArgumentError(f"{name}: Too few arguments{stop}")
        if self.variadic is None and len(positional) > len(self.parameters):
            raise ArgumentError(f"{name}: Too many arguments{stop}")


def _is_flag(word: str, numbers: bool, *, time: bool = False) -> bool:
    if not word.startswith(("-", "/", "+")):
        return False
    digits = word[1:].replace(":", "0") if time else word[1:]
    return not (numbers and word[0] in "-+" and looks_like_number(digits))


def _flag_value(name: str, switch: Switch, word: str | None) -> object:
    if word is None:
        return switch.stands_for
    assert switch.kind is not None
    if switch.optional_value and not word:
        return ""
    try:
        return switch.kind.read(word)
    except BadArgument:
        raise ArgumentError(f"{name}: Bad value - '{word}' for flag - '{switch.spelling}'") from None


def _resolve(hint: object, scope: dict[str, Any]) -> object:
    return eval(hint, scope) if isinstance(hint, str) else hint


def _metadata(hint: object) -> tuple[object, ...]:
    """Kinds and options of an annotation, also inside ``Annotated[...] | None``."""
    found: tuple[object, ...] = tuple(getattr(hint, "__metadata__", ()))
    for part in getattr(hint, "__args__", ()):
        found += _metadata(part)
    return found


def _kind_of(hint: object) -> Kind | None:
    return next((item for item in _metadata(hint) if isinstance(item, Kind)), None)


def _plain() -> Kind:
    return Kind("text", lambda word: word)


def _switches(keyword: str, hint: object) -> list[Switch]:
    metadata = _metadata(hint)
    if any(isinstance(item, TdTable) for item in metadata):
        from tdvfsh.shell.command.td_switches import td_switches

        return td_switches(keyword)
    kind = next((item for item in metadata if isinstance(item, Kind)), None)
    option = next((item for item in metadata if isinstance(item, Option)), None)
    spelling = option.spelling if option is not None else f"-{keyword.rstrip('_').replace('_', '-')}"
    flag_kind = _kind_of(Flag)
    return [Switch(keyword, spelling, None if kind is flag_kind else kind, option)]
