"""Results on disk: JSON Lines that survive being killed, and a table at the end.

Lines are appended a batch at a time and synced, so whatever is whole in the file has happened; a last line without its
end is the one thing that a kill can leave, and is dropped. A lock keeps two sweeps out of one folder; it goes with the
process that held it, however that ended.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import TracebackType

from tdvfsh import host
from tdvfsh.documents import read_json
from tdvfsh.errors import FormatError, HostError, UsageError, host_error
from tdvfsh.lazy_typing import Any, Final
from tdvfsh.sweep.axes import AXIS_NAMES
from tdvfsh.sweep.counted import counted
from tdvfsh.sweep.index import SweepIndex
from tdvfsh.sweep.row import COLUMNS, SECONDS, TEXTS, Cell, Row, checked_row
from tdvfsh.whole_file import whole_file

RESULTS: Final = "results.jsonl"
TABLE: Final = "results.csv"
PARQUET: Final = "results.parquet"
_CHUNK: Final = 1 << 20
_ROW_GROUP: Final = 1 << 12  # 65 MB while one is put together; four times as many rows took 200, for 7 % of the file
_FORMULA: Final = ("=", "+", "-", "@")


class ResultStore:
    """A folder of results; use it in a ``with`` statement.

    Args:
        folder: Made where it is not there.

    Attributes:
        folder: Where it is.

    Raises:
        HostError: It cannot be made or written to, or another sweep is at work in it.
        FormatError: A line in it, other than an incomplete last one, is not a result.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        with ExitStack() as opened:
            self._index = SweepIndex()
            opened.callback(self._index.close)
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | host.O_CLOEXEC
                self._descriptor = os.open(self.folder / RESULTS, flags, 0o666)
            except OSError as error:
                raise host_error(folder, error) from None
            opened.callback(os.close, self._descriptor)
            try:
                host.lock(self._descriptor, wait=False)
            except BlockingIOError:
                raise HostError(f"{folder}: another sweep is at work in this folder") from None
            self._end = self._take_stock()
            self._opened = opened.pop_all()

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._opened.close()

    def __contains__(self, key: str) -> bool:
        """Whether there is a result of this scenario."""
        return key in self._index

    def __len__(self) -> int:
        """How many results there are."""
        return len(self._index)

    def asked_for(self, keys: Iterable[str]) -> StoredRows:
        """The rows of some scenarios in the order of their keys, one that is named twice once; those that are done."""
        return StoredRows(self._descriptor, self._index, self._index.ask(keys))

    def strangers(self) -> int:
        """How many results are of scenarios that :meth:`asked_for` was not called with."""
        return self._index.strangers()

    def append(self, keys: Sequence[str], lines: Sequence[str]) -> None:
        """Add the results of some scenarios; when this returns they are on disk.

        Raises:
            HostError: The disk is full, or refuses otherwise. What was written in part is dropped by the next run.
        """
        encoded = [line.encode() + b"\n" for line in lines]
        data = memoryview(b"".join(encoded))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise host_error(self.folder / RESULTS, error) from None
        places = []
        for line in encoded:
            places.append((self._end, len(line)))
            self._end += len(line)
        self._index.add_all(keys, places)

    def write_tables(self, rows: Iterable[Row], tell: Callable[[str, int], None] | None = None) -> list[Path]:
        """Write rows as CSV, and as Parquet where pyarrow is installed; returns the files.

        Args:
            rows: The rows.
            tell: Progress callback, called with the name of a file and how many rows have gone there.

        Raises:
            HostError: A file cannot be written; one of that name stays as it was.
        """

        def told(name: str) -> Iterable[Row]:
            return counted(rows, None if tell is None else partial(tell, name))

        table = self.folder / TABLE
        with whole_file(table) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="")
            writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: _cell_text(value) for name, value in row.items()} for row in told(TABLE))
            text.detach()
        return [table, *self._write_parquet(told(PARQUET))]

    def _write_parquet(self, rows: Iterable[Row]) -> list[Path]:
        """Row groups as large as fit memory well; a column has one kind of value, which the first of its rows tells."""
        try:
            arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        except ImportError:
            return []
        path = self.folder / PARQUET
        remaining = iter(rows)
        with whole_file(path) as file:
            group = list(islice(remaining, _ROW_GROUP))
            schema = arrow.schema([(name, _arrow_type(arrow, name, group)) for name in COLUMNS])
            with parquet.ParquetWriter(file, schema) as writer:
                while group:
                    writer.write_table(arrow.Table.from_pylist(group, schema))
                    group = list(islice(remaining, _ROW_GROUP))
        return [path]

    def _take_stock(self) -> int:
        """Find where each result is in the file; cuts an incomplete last line off, and returns the file's end."""
        offset = 0
        for number, line in enumerate(_whole_lines(self._descriptor, str(self.folder / RESULTS)), 1):
            key = _key(line, self.folder / RESULTS, number)
            if not self._index.add(key, (offset, len(line))):
                raise FormatError(str(self.folder / RESULTS), f"line {number} repeats scenario {key}")
            offset += len(line)
        os.ftruncate(self._descriptor, offset)
        return offset


class StoredRows:
    """Rows of a store that is open, read from its file each time that they are walked through."""

    def __init__(self, descriptor: int, index: SweepIndex, count: int) -> None:
        self._descriptor = descriptor
        self._index = index
        self._count = count

    def __len__(self) -> int:
        """How many scenarios were asked for."""
        return self._count

    def __iter__(self) -> Iterator[Row]:
        for offset, size in self._index.asked():
            yield json.loads(host.pread(self._descriptor, size, offset))

    def __contains__(self, row: object) -> bool:
        return any(one == row for one in self)


def read_results(path: str | Path) -> list[Row]:
    """All rows of a results file, or of a folder that holds one; a torn last line is left out.

    Raises:
        HostError: It cannot be read.
        FormatError: A line is not a result.
        UsageError: No results in it.
    """
    file = Path(path) / RESULTS if Path(path).is_dir() else Path(path)
    try:
        descriptor = os.open(file, os.O_RDONLY | host.O_CLOEXEC)
    except OSError as error:
        raise host_error(file, error) from None
    rows: list[Row] = []
    try:
        for number, line in enumerate(_whole_lines(descriptor, str(file)), 1):
            rows.append(checked_row(read_json(line, str(file), f"line {number}"), f"line {number}", str(file)))
    finally:
        os.close(descriptor)
    if not rows:
        raise UsageError(f"{file}: no results in it")
    return rows


def _arrow_type(arrow: Any, name: str, rows: Sequence[Row]) -> Any:
    if name in SECONDS:
        return arrow.float64()
    if name in TEXTS or (name in AXIS_NAMES and any(isinstance(row[name], str) for row in rows)):
        return arrow.string()
    return arrow.int64()


def _cell_text(value: Cell) -> Cell:
    """A value as a spreadsheet may read it: a text that others chose never begins a formula, and holds no controls."""
    if not isinstance(value, str):
        return value
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _whole_lines(descriptor: int, name: str) -> Iterator[bytes]:
    offset, rest = 0, b""
    while data := host.pread(descriptor, _CHUNK, offset):
        offset += len(data)
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _CHUNK:
            raise FormatError(name, "a line longer than any result")
        for line in lines:
            yield line + b"\n"


def _key(line: bytes, path: Path, number: int) -> str:
    return str(checked_row(read_json(line, str(path), f"line {number}"), f"line {number}", str(path))["key"])
