"""TD options as plain values, for snapshot files and transcripts."""

from __future__ import annotations

from tdvfsh.errors import FormatError, UsageError
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.machine.options import TdOptions
from tdvfsh.options.td import OPTIONS

_ACCEPT: Final = "accept"
_NAMES_OF_OLD: Final = {"map_file": "map", "faults": "fault"}
"""What files written before the options had one name each call them."""


def options_to_dict(options: TdOptions, *, whole: bool = False) -> dict[str, object]:
    """Options that differ from their defaults, or all, by name; the policy as its name."""
    plain = TdOptions()
    found: dict[str, object] = {}
    for name in OPTIONS:
        value = getattr(options, name)
        if whole or value != getattr(plain, name):
            found[name] = value.name if name == _ACCEPT else list(value) if type(value) is tuple else value
    return found


def options_from_dict(values: object, path: str) -> TdOptions:
    """The options that :func:`options_to_dict` wrote.

    Raises:
        FormatError: An option that this version does not know, or an invalid value.
        UsageError: Values that do not go together.
    """
    if not isinstance(values, dict):
        raise FormatError(path, "its TD options are not an object")
    given: dict[str, Any] = {}
    for written, value in values.items():
        name = _NAMES_OF_OLD.get(written, written)
        if name not in OPTIONS:
            raise FormatError(path, f"it has a TD option '{name}' that this version does not know")
        try:
            given[name] = OPTIONS[name].read(value)
        except UsageError as error:
            raise FormatError(path, f"its TD option '{name}': {error}") from None
    return TdOptions(**given)
