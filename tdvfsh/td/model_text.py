"""Fast reading of the firmware models that are shipped.

A model is a few values and up to two thousand rows, ``{ name = value, ... }``, a line each, for which :mod:`tomllib`
takes up to four times as long as a boot. But for their notation such rows are JSON; what does not look exactly so is
left to :mod:`tomllib`. A test holds the result against it for every model.
"""

from __future__ import annotations

import re

from tdvfsh.lazy_pattern import pattern
from tdvfsh.lazy_typing import Any, Final

_ROWS: Final = pattern(r"(?m)^(\w+) = \[\n((?:  \{ .* \},\n)+)\]$")
_HEXADECIMAL: Final = pattern(r"\b0x([0-9A-Fa-f]+)\b")


def read_model_text(text: str) -> dict[str, Any]:
    """The model, as ``tomllib.loads`` returns it."""
    import json
    import tomllib

    rows: dict[str, Any] = {}

    def set_aside(block: re.Match[str]) -> str:
        as_json = block[2].replace("{ ", '{ "').replace(", ", ', "').replace(" = ", '": ')
        as_json = _HEXADECIMAL.sub(lambda number: str(int(number[1], 16)), as_json)
        mark = f"rows {len(rows)}"
        try:
            rows[mark] = json.loads(f"[{as_json.rstrip()[:-1]}]")
        except ValueError:
            return block[0]
        return f'{block[1]} = "{mark}"'

    data = tomllib.loads(_ROWS.sub(set_aside, text))
    _put_back(data, rows)
    return data


def _put_back(value: Any, rows: dict[str, Any]) -> None:
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, str):
            if inner in rows:
                value[key] = rows[inner]
        elif isinstance(inner, dict | list):
            _put_back(inner, rows)
