"""TD options as plain values, for snapshot files and transcripts."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from tdvfsh.accept.boot_time import parse_boot_accept
from tdvfsh.errors import FormatError
from tdvfsh.machine.options import TdOptions

_ACCEPT: Final = "accept"


def options_to_dict(options: TdOptions, *, whole: bool = False) -> dict[str, object]:
    """Options that differ from their defaults, or all, by the names of :class:`TdOptions`; the policy as its name."""
    plain = TdOptions()
    found: dict[str, object] = {}
    for field in fields(TdOptions):
        value = getattr(options, field.name)
        if whole or value != getattr(plain, field.name):
            found[field.name] = value.name if field.name == _ACCEPT else list(value) if type(value) is tuple else value
    return found


def options_from_dict(values: object, path: str) -> TdOptions:
    """The options that :func:`options_to_dict` wrote.

    Raises:
        FormatError: An option that this version does not know, or a value of another type.
        UsageError: A value that cannot be.
    """
    if not isinstance(values, dict):
        raise FormatError(path, "its TD options are no object")
    plain = TdOptions()
    known = {field.name for field in fields(TdOptions)}
    given: dict[str, object] = {}
    for name, value in values.items():
        if name not in known:
            raise FormatError(path, f"it has a TD option '{name}' that this version does not know")
        default = getattr(plain, name)
        if name == _ACCEPT and isinstance(value, str):
            given[name] = parse_boot_accept(value)
        elif isinstance(default, tuple) and isinstance(value, list) and all(isinstance(one, str) for one in value):
            given[name] = tuple(value)
        elif type(value) is type(default) or (default is None and (value is None or isinstance(value, str))):
            given[name] = value
        else:
            raise FormatError(path, f"its TD option '{name}' cannot be {value!r}")
    return TdOptions(**given)  # type: ignore[arg-type]  # each was compared with the default's type
