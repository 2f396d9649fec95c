"""Kinds of options: numbers, sizes, words, switches, files and what is accepted at boot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final, Unpack
from tdvfsh.options.option import Option, Plain, shown
from tdvfsh.units import format_size, parse_size

if TYPE_CHECKING:
    from tdvfsh.accept.boot_time import BootAccept
    from tdvfsh.options.option import More


class Number(Option[int, "int | str"]):
    """A whole number from ``least`` to ``most``, or one of ``values``."""

    what = "number"
    given_as = "int | str"

    def __init__(
        self, summary: str, *, default: str, least: int = 0, most: int = 0, values: tuple[int, ...] = (),
        form: str = "N", **more: Unpack[More],
    ) -> None:  # fmt: skip
        super().__init__(summary, default=default, form=form, **more)
        self.least = least
        self.most = most
        self.values = values

    def read(self, value: object) -> int:
        """See :meth:`Option.read`."""
        if isinstance(value, str):
            try:
                number = self._parse(value)
            except (ValueError, UsageError):
                raise UsageError(f"{shown(value)}: not a {self.what}") from None
        elif isinstance(value, int) and not isinstance(value, bool):
            number = value
        else:
            raise UsageError(f"{shown(value)}: not a {self.what}")
        if self.values and number not in self.values:
            raise UsageError(f"{shown(value)}: give {' or '.join(self.choices())}")
        if not self.values and not self.least <= number <= self.most:
            raise UsageError(f"{shown(value)}: give {self._text(self.least)} to {self._text(self.most)}")
        return number

    def plain(self, value: int) -> Plain:
        """See :meth:`Option.plain`."""
        return value

    def choices(self) -> tuple[str, ...]:
        """See :meth:`Option.choices`."""
        return tuple(map(self._text, self.values))

    def line(self) -> str:
        """See :meth:`Option.line`."""
        if self.values or self.is_size:
            return super().line()
        return f"{self.summary}, {self._text(self.least)} to {self._text(self.most)} (default {self.default})"

    def _parse(self, text: str) -> int:
        return int(text, 0)

    def _text(self, number: int) -> str:
        return str(number)


class Size(Number):
    """A number of bytes."""

    what = "size (examples: 512M, 4G, 0x80000000)"
    is_size = True

    def __init__(
        self, summary: str, *, default: str, least: int = 0, most: int = 0, values: tuple[int, ...] = (),
        **more: Unpack[More],
    ) -> None:  # fmt: skip
        super().__init__(summary, default=default, least=least, most=most, values=values, form="SIZE", **more)

    def _parse(self, text: str) -> int:
        return parse_size(text)

    def _text(self, number: int) -> str:
        return format_size(number)


class HostPage(Size):
    """A size of pages, or ``auto``, held as 0: what goes with the host that ``--cost`` names."""

    AUTOMATIC: Final = "auto"

    def read(self, value: object) -> int:
        """See :meth:`Option.read`."""
        return 0 if value in (self.AUTOMATIC, 0) and not isinstance(value, bool) else super().read(value)

    def plain(self, value: int) -> Plain:
        """See :meth:`Option.plain`."""
        return value or self.AUTOMATIC

    def choices(self) -> tuple[str, ...]:
        """See :meth:`Option.choices`."""
        return (self.AUTOMATIC, *super().choices())


class Word(Option[str, str]):
    """One of ``names``, each with its meaning, or with ``or_file`` a file whose name ends so."""

    def __init__(
        self,
        summary: str,
        *,
        default: str,
        form: str,
        names: Mapping[str, str],
        or_file: str = "",
        **more: Unpack[More],
    ) -> None:
        super().__init__(summary, default=default, form=form, **more)
        self._names = names
        self.suffix = or_file

    def read(self, value: object) -> str:
        """See :meth:`Option.read`."""
        if not isinstance(value, str):
            raise UsageError(f"{shown(value)}: not a word")
        if value not in self._names and not self.names_file(value):
            names = ", ".join(self._names) + (f", or FILE{self.suffix}" if self.suffix else "")
            raise UsageError(f"{shown(value)}: unknown; choose one of {names}")
        return value

    def plain(self, value: str) -> Plain:
        """See :meth:`Option.plain`."""
        return value

    def choices(self) -> tuple[str, ...]:
        """See :meth:`Option.choices`."""
        return tuple(self._names)

    def meaning(self, value: str) -> str:
        """See :meth:`Option.meaning`."""
        return self._names.get(value, self.summary)


class Keys(Word):
    """Keys of Secure Boot: one of ``names``, a firmware file, or a folder whose name ends with a slash."""

    def names_file(self, value: object) -> bool:
        """See :meth:`Option.names_file`."""
        return isinstance(value, str) and (value.endswith(".fd") or "/" in value or "\\" in value)


class Policy(Option["BootAccept", "BootAccept | str | int"]):
    """What is accepted at boot; a number is a size in bytes. ``examples`` are values with their meaning."""

    given_as = "str | int"
    is_size = True

    def __init__(self, summary: str, *, default: str, form: str, examples: Mapping[str, str], sweep: bool) -> None:
        super().__init__(summary, default=default, form=form, samples=tuple(examples), sweep=sweep)
        self._examples = examples

    def meaning(self, value: str) -> str:
        """See :meth:`Option.meaning`."""
        return self._examples.get(value, self.summary)

    def read(self, value: object) -> BootAccept:
        """See :meth:`Option.read`."""
        from tdvfsh.accept.boot_time import BootAccept, parse_boot_accept

        if isinstance(value, BootAccept):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return parse_boot_accept(format_size(value))
        if not isinstance(value, str):
            raise UsageError(f"{shown(value)}: not a word and not a size")
        return parse_boot_accept(value)

    def plain(self, value: BootAccept) -> Plain:
        """See :meth:`Option.plain`: ``0.5G`` and ``512M`` are the same policy."""
        if value.size is None:
            return value.name
        size = format_size(value.size)
        return f"{value.name.partition(':')[0]}:{size}" if value.add_images else size


class OnOff(Option[bool, "bool | str"]):
    """``on`` or ``off``."""

    given_as = "bool | str"

    def __init__(self, summary: str, *, default: str, **more: Unpack[More]) -> None:
        super().__init__(summary, default=default, form="on|off", **more)

    def read(self, value: object) -> bool:
        """See :meth:`Option.read`."""
        if isinstance(value, bool):
            return value
        if value not in ("on", "off"):
            raise UsageError(f"{shown(value)}: give on or off")
        return value == "on"

    def plain(self, value: bool) -> Plain:
        """See :meth:`Option.plain`."""
        return value

    def choices(self) -> tuple[str, ...]:
        """See :meth:`Option.choices`."""
        return ("on", "off")

    def words(self, value: Any) -> list[str]:
        """See :meth:`Option.words`."""
        return [f"--{self.spelling}", "on" if self.read(value) else "off"]


class Switch(OnOff):
    """On unless ``no-NAME`` is given: an option without a value on the command line and at the prompt.

    Args:
        summary: What NAME means.
        off: What ``no-NAME`` means.
        default: ``on`` or ``off``.
    """

    takes_value = False

    def __init__(self, summary: str, *, off: str, default: str, **more: Unpack[More]) -> None:
        super().__init__(summary, default=default, **more)
        self.off = off

    def line(self) -> str:
        """See :meth:`Option.line`."""
        return f"{self.summary} (default {self.default})"

    def words(self, value: Any) -> list[str]:
        """See :meth:`Option.words`."""
        return [f"--{self.spelling}" if self.read(value) else f"--no-{self.spelling}"]


class File(Option["str | None", "str | None"]):
    """A file of the host, or none; with ``image`` an image's name will do."""

    given_as = "str | None"
    is_file = True

    def __init__(self, summary: str, *, image: str = "", **more: Unpack[More]) -> None:
        super().__init__(summary, form="FILE", **more)
        self.image = image

    def read(self, value: object) -> str | None:
        """See :meth:`Option.read`."""
        if value is not None and (not isinstance(value, str) or not value):
            raise UsageError(f"{shown(value)}: not the name of a file")
        return value

    def plain(self, value: str | None) -> Plain:
        """See :meth:`Option.plain`; empty where there is none."""
        return value or ""


class Words(Option["tuple[str, ...]", "Sequence[str]"]):
    """Any number of words: text has commas between them, and the option may be given repeatedly."""

    given_as = "Sequence[str]"
    repeats = True

    @property
    def unset(self) -> Sequence[str]:
        """See :attr:`Option.unset`."""
        return ()

    def read(self, value: object) -> tuple[str, ...]:
        """See :meth:`Option.read`."""
        if isinstance(value, str):
            return tuple(value.split(","))
        if not isinstance(value, Sequence) or not all(isinstance(word, str) for word in value):
            raise UsageError(f"{shown(value)}: not words")
        return tuple(word for words in value for word in words.split(","))

    def plain(self, value: tuple[str, ...]) -> Plain:
        """See :meth:`Option.plain`."""
        return ",".join(value)


class Cost(Words):
    """What accepting costs: ``names``, each with its meaning, files, and single constants; held in one order."""

    def __init__(
        self, summary: str, *, default: str, names: Mapping[str, str], example: str, **more: Unpack[More]
    ) -> None:
        super().__init__(summary, default=default, form="PRESET|FILE|NAME=VALUE", **more)
        self.suffix = ".toml"
        self.samples = (*names, example)
        self._names = {**names, example: "one constant: 'tdvfsh cost' lists them"}

    @property
    def unset(self) -> Sequence[str]:
        """See :attr:`Option.unset`."""
        return () if self.default is None else (self.default,)

    def read(self, value: object) -> tuple[str, ...]:
        """See :meth:`Option.read`."""
        from tdvfsh.td.cost import checked_words

        return checked_words(super().read(value))

    def with_files(self, value: object, locate: Callable[[str], str]) -> object:
        """See :meth:`Option.with_files`."""
        return tuple(locate(word) if self.names_file(word) else word for word in super().read(value))

    def meaning(self, value: str) -> str:
        """See :meth:`Option.meaning`."""
        return self._names.get(value, self.summary)

    def line(self) -> str:
        """See :meth:`Option.line`."""
        return f"{self.summary}: {', '.join(self.samples)}, FILE{self.suffix}; repeatable (default {self.default})"
