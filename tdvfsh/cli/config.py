"""The user's file of defaults, ``~/.config/tdvfsh/config.toml``: TD options and colours.

It stands below the command line: what is given there goes first. Only the command line reads it; the library, replays
and everything below :mod:`tdvfsh.machine` do not know that there is one."""

from __future__ import annotations

from collections.abc import Mapping

from tdvfsh.cli.arguments import config_path
from tdvfsh.documents import read_toml
from tdvfsh.errors import FormatError, UsageError, host_error
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from tdvfsh.options.option import Option

NO_CONFIG: Final = "--no-config"
COLOR: Final = "color"
TD: Final = "td"
_MOST_BYTES: Final = 1 << 20


class Config:
    """What the file says.

    Args:
        td: TD options by name, as the option table reads them.
        color: When results have colours; None where the file does not say.
    """

    __slots__ = ("color", "td")

    def __init__(self, td: Mapping[str, Any], color: str | None) -> None:
        self.td = td
        self.color = color


def read_config() -> Config:
    """The file, checked whole; nothing where there is none.

    Raises:
        UsageError: It is not TOML, or has a key or a value that there is not; the message has file, line and key.
        HostError: It is there and cannot be read.
    """
    path = config_path()
    if path is None:
        return Config({}, None)
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(_MOST_BYTES)
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    except OSError as error:
        raise host_error(path, error) from None
    return _Reader(path, text).config()


class _Reader:
    """One file.

    Args:
        path: As messages name it.
        text: Its text.
    """

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def config(self) -> Config:
        """See :func:`read_config`."""
        try:
            found = read_toml(self._text, self._path)
        except FormatError as error:
            raise UsageError(str(error)) from None
        for key in found:
            if key not in (COLOR, TD):
                self._refuse(key, f"unknown{_meant(key, (COLOR, TD))}; there are {COLOR} and [{TD}]")
        return Config(self._td(found.get(TD, {})), self._color(found.get(COLOR)))

    def _td(self, table: object) -> dict[str, Any]:
        from tdvfsh.options.td import OPTIONS

        if not isinstance(table, dict):
            self._refuse(TD, f"not a table: write [{TD}]")
        names = {option.spelling: option for option in OPTIONS.values()}
        given: dict[str, Any] = {}
        for key, value in table.items():
            option = names.get(key.replace("_", "-"))
            if option is None:
                self._refuse(f"{TD}.{key}", f"unknown option{_meant(key, names)}")
            given[option.name] = self._value(f"{TD}.{key}", option, value)
        return given

    def _value(self, key: str, option: Option[Any, Any], value: object) -> Any:
        """A value as the command line would have it, which the option has read once."""
        if isinstance(value, int | float) and not isinstance(value, bool) and option.is_size:
            self._refuse(key, f'{value}: a size has a unit, and is text: "2G"')
        try:
            option.read(value)
        except UsageError as error:
            self._refuse(key, str(error))
        return value

    def _color(self, value: object) -> str | None:
        from tdvfsh.ui.colour import COLOUR_CHOICES

        if value is not None and value not in COLOUR_CHOICES:
            self._refuse(COLOR, f"{value!r}: give one of {', '.join(COLOUR_CHOICES)}")
        return None if value is None else str(value)

    def _refuse(self, key: str, why: str) -> NoReturn:
        """Name the file, the line where it can be found, and the key."""
        import re

        table, _, name = key.rpartition(".")
        heading = "" if table else rf"\[\s*{re.escape(name)}\s*\]|"
        pattern = rf"""^\s*(?:{heading}(?:{TD}\.)?["']?{re.escape(name)}["']?\s*=)"""
        found = re.search(pattern, self._text, re.MULTILINE)
        line = f":{self._text.count(chr(10), 0, found.end()) + 1}" if found else ""
        raise UsageError(f"{self._path}{line}: {key}: {why}")


def _meant(word: str, names: Any) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word.replace("_", "-"), list(names), n=1)
    return f"; did you mean {close[0]}?" if close else ""
