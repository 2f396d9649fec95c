"""Regular expressions that are compiled when they are first used.

A process imports some fifty patterns and searches with a few of them; to compile one takes 0.1 ms, and to import
:mod:`re` 2 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, without importing it
if TYPE_CHECKING:
    from re import compile as pattern
else:

    class pattern:
        """As ``re.compile``: flags stand in the text, as ``(?m)``."""

        def __init__(self, text):
            self._text = text

        def __getattr__(self, name):
            import re

            found = getattr(re.compile(self._text), name)
            setattr(self, name, found)
            return found


__all__ = ["pattern"]
