"""JSON and TOML that others wrote, read within bounds.

A small text can ask for much: a list of empty lists takes sixty times its size, and a deep one ends in a
RecursionError. What is read here is bounded before any object is made.
"""

from __future__ import annotations

import json

from tdvfsh.errors import FormatError
from tdvfsh.lazy_typing import Any, Final

MAXIMUM_VALUES: Final = 1_000_000
"""Values of one document: about 100 MB of objects."""


def read_json(text: str | bytes, path: str, what: str) -> Any:
    """One JSON value.

    Args:
        text: The document.
        path: The file, as the user named it.
        what: What the text should be, for the message: ``its options``, ``this snapshot``.

    Raises:
        FormatError: It is not JSON, too deep, or has more than :data:`MAXIMUM_VALUES` values.
    """
    if isinstance(text, bytes):
        many = text.count(b"[") + text.count(b"{") + text.count(b",")
    else:
        many = text.count("[") + text.count("{") + text.count(",")
    if many > MAXIMUM_VALUES:
        raise FormatError(path, f"{what}: more than {MAXIMUM_VALUES} values")
    try:
        return json.loads(text)
    except RecursionError:
        raise FormatError(path, f"{what}: nested too deeply") from None
    except ValueError:
        raise FormatError(path, f"{what}: not JSON") from None


def read_toml(text: str, path: str) -> dict[str, Any]:
    """One TOML document.

    Raises:
        FormatError: It is not TOML, too deep, or has more than :data:`MAXIMUM_VALUES` values; the message names the
            place.
    """
    import tomllib

    if text.count("[") + text.count("{") + text.count(",") + text.count("=") > MAXIMUM_VALUES:
        raise FormatError(path, f"more than {MAXIMUM_VALUES} values")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise FormatError(path, "nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise FormatError(path, f"not TOML: {error}") from None
    except ValueError:  # what Python says then is of no use to the user
        raise FormatError(path, "not TOML: an integer of thousands of digits") from None
