"""Names that a mistyped one may have meant."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 3
_LIKE = 0.6


def close_names(name: str, known: Iterable[str]) -> list[str]:
    """At most three of the names that are much like ``name``, the likest first; case does not count."""
    from difflib import get_close_matches

    by_folded = {one.lower(): one for one in known}
    return [by_folded[one] for one in get_close_matches(name.lower(), by_folded, _MOST, _LIKE)]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x' or 'y'?``; empty where nothing is like it."""
    found = [f"'{one}'" for one in close_names(name, known)]
    if not found:
        return ""
    listed = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"
    return f"did you mean {listed}?"
