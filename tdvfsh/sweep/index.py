"""The index of a sweep: which scenarios are asked for, in which order, and where in the file the result of each lies.

It is a temporary database of SQLite's, which keeps what does not fit its cache in a file of its own: a sweep of
millions of scenarios takes no more memory than one of a thousand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tdvfsh.errors import HostError
from tdvfsh.lazy_typing import Final

_CACHE_KIB: Final = 16384
_TABLES: Final = f"""
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA cache_size = -{_CACHE_KIB};
    CREATE TABLE results (key TEXT PRIMARY KEY, offset INTEGER, size INTEGER) WITHOUT ROWID;
    CREATE TABLE asked (number INTEGER PRIMARY KEY, key TEXT UNIQUE);
"""

Place = tuple[int, int]
"""Offset and size of a line, in bytes."""


class SweepIndex:
    """Scenarios by their keys.

    Raises:
        HostError: From any method: the host has no room for the temporary file.
    """

    def __init__(self) -> None:
        self._count = 0
        with _host_errors():
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.executescript(_TABLES)

    def __len__(self) -> int:
        """How many results there are."""
        return self._count

    def __contains__(self, key: str) -> bool:
        """Whether there is a result of this scenario."""
        with _host_errors():
            return self._database.execute("SELECT 1 FROM results WHERE key = ?", (key,)).fetchone() is not None

    def add(self, key: str, place: Place) -> bool:
        """Note where a result lies; False where the scenario has one already."""
        with _host_errors():
            added = self._database.execute("INSERT OR IGNORE INTO results VALUES (?, ?, ?)", (key, *place)).rowcount
        self._count += added
        return added == 1

    def add_all(self, keys: Sequence[str], places: Sequence[Place]) -> None:
        """Note where the results of scenarios that have none lie."""
        with _host_errors():
            rows = [(key, *place) for key, place in zip(keys, places, strict=True)]
            self._database.executemany("INSERT INTO results VALUES (?, ?, ?)", rows)
        self._count += len(keys)

    def ask(self, keys: Iterable[str]) -> int:
        """These scenarios are asked for, in this order, one that is named twice once; returns how many they are."""
        with _host_errors():
            self._database.execute("DELETE FROM asked")
            self._database.executemany("INSERT OR IGNORE INTO asked (key) VALUES (?)", ((key,) for key in keys))
            return self._number("SELECT COUNT(*) FROM asked")

    def strangers(self) -> int:
        """How many results are of scenarios that nobody asks for."""
        with _host_errors():
            return self._number("SELECT COUNT(*) FROM results WHERE key NOT IN (SELECT key FROM asked)")

    def asked(self) -> Iterator[Place]:
        """Where the results of what is asked for lie, in that order."""
        query = "SELECT offset, size FROM asked JOIN results USING (key) ORDER BY number"
        with _host_errors():
            yield from self._database.execute(query)

    def close(self) -> None:
        """Remove the temporary file."""
        self._database.close()

    def _number(self, query: str) -> int:
        return int(self._database.execute(query).fetchone()[0])


@contextmanager
def _host_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise HostError(f"the temporary index of results: {error}") from None
