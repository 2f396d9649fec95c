"""Fast reading of the TOML files that are shipped: firmware models, costs, known faults.

To import :mod:`tomllib` takes 5 ms, and for the two thousand rows of a model, ``{ name = value, ... }``, a line each,
it takes up to four times as long as a boot. But for their notation such rows are JSON. What does not look exactly as
here is left to :mod:`tomllib`, with the whole text; a test holds the result against it for every file.
"""

from __future__ import annotations

import json

from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from re import Match

_LONG_TEXT: Final = pattern(r'(?m)^([^\n#"\']*)"""\n?((?:[^\\"]|"(?!"")|\\\n)*)"""(?!")')
_LINE_END: Final = pattern(r"\\\n\s*")
_HEXADECIMAL: Final = pattern(r'(?<=": )0x([0-9A-Fa-f]+)\b')
_HEADER: Final = pattern(r"(?a)\[(\[)?([\w-]+(?:\.[\w-]+)*)\](?(1)\])")
_VALUE: Final = pattern(r"(?a)([\w-]+) = (.+?)(?:  +#.*)?")
_TEXT: Final = pattern(r'"(?:[^"\\]|\\[\\"])*"')
_NUMBER: Final = pattern(r"0x[0-9A-Fa-f]+|0|[1-9][0-9]*")
_MARK: Final = "\x7f"
_TRUTHS: Final = {"true": True, "false": False}


class _NotPlain(ValueError):
    """What only tomllib reads."""


def read_shipped_toml(text: str) -> dict[str, Any]:
    """The document, as ``tomllib.loads`` returns it."""
    try:
        return _Reader(text).read()
    except ValueError:
        import tomllib

        return tomllib.loads(text)


class _Reader:
    def __init__(self, text: str) -> None:
        self._long_texts: list[str] = []
        if _MARK in text:
            raise _NotPlain
        self._lines = iter(_LONG_TEXT.sub(self._set_aside, text).split("\n"))

    def _set_aside(self, found: Match[str]) -> str:
        """A text of several lines, replaced by its number between quotation marks."""
        self._long_texts.append(_LINE_END.sub("", found[2]))
        return f'{found[1]}"{_MARK}{len(self._long_texts) - 1}"'

    def _put_back(self, text: str) -> str:
        return self._long_texts[int(text[1:])] if text[:1] == _MARK else text

    def read(self) -> dict[str, Any]:
        document: dict[str, Any] = {}
        table = document
        for line in self._lines:
            if not line or line[0] == "#":
                continue
            if line[0] == "[":
                table = _table(document, line)
                continue
            found = _VALUE.fullmatch(line)
            if found is None or found[1] in table:
                raise _NotPlain
            table[found[1]] = self._rows() if found[2] == "[" else self._value(found[2])
        return document

    def _rows(self) -> list[dict[str, Any]]:
        """Inline tables, a line each, up to the end of their array."""
        lines = []
        for line in self._lines:
            if line == "]":
                break
            if line[:4] != "  { " or line[-3:] != " },":
                raise _NotPlain
            lines.append(line)
        text = "\n".join(lines)
        as_json = text.replace("{ ", '{ "').replace(", ", ', "').replace(" = ", '": ')
        as_json = _HEXADECIMAL.sub(lambda number: str(int(number[1], 16)), as_json)
        rows: list[dict[str, Any]] = json.loads(f"[{as_json[:-1]}]")
        if _MARK in text:
            for row in rows:
                row.update((name, self._put_back(value)) for name, value in row.items() if isinstance(value, str))
        return rows

    def _value(self, text: str) -> Any:
        if _TEXT.fullmatch(text):
            return json.loads(text) if "\\" in text else self._put_back(text[1:-1])
        if text in _TRUTHS:
            return _TRUTHS[text]
        if _NUMBER.fullmatch(text):
            return int(text, 0)
        if text[0] == "[" and "\\" not in text:
            return json.loads(text)
        raise _NotPlain


def _table(document: dict[str, Any], header: str) -> dict[str, Any]:
    """The table, new or one more of several, that a header begins."""
    found = _HEADER.fullmatch(header)
    if found is None:
        raise _NotPlain
    *path, name = found[2].split(".")
    parent = document
    for word in path:
        parent = parent.setdefault(word, {})
        if not isinstance(parent, dict):
            raise _NotPlain
    table: dict[str, Any] = {}
    if found[1] and isinstance(parent.setdefault(name, []), list):
        parent[name].append(table)
    elif name in parent:
        raise _NotPlain
    else:
        parent[name] = table
    return table
