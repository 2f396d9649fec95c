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
from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Final

from tdvfsh import host
from tdvfsh.documents import read_json
from tdvfsh.errors import FormatError, HostError, UsageError, host_error
from tdvfsh.sweep.row import COLUMNS, Cell, Row, checked_row
from tdvfsh.whole_file import whole_file, write_whole

RESULTS: Final = "results.jsonl"
TABLE: Final = "results.csv"
PARQUET: Final = "results.parquet"
_CHUNK: Final = 1 << 20
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
        self._lines: dict[str, tuple[int, int]] = {}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | host.O_CLOEXEC
            self._descriptor = os.open(self.folder / RESULTS, flags, 0o666)
        except OSError as error:
            raise host_error(folder, error) from None
        try:
            host.lock(self._descriptor, wait=False)
            self._end = self._take_stock()
        except BlockingIOError:
            os.close(self._descriptor)
            raise HostError(f"{folder}: another sweep is at work in this folder") from None
        except BaseException:
            os.close(self._descriptor)
            raise

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def __contains__(self, key: str) -> bool:
        return key in self._lines

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def keys(self) -> Iterable[str]:
        """Keys of the scenarios that are done."""
        return self._lines.keys()

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
        for key, line in zip(keys, encoded, strict=True):
            self._lines[key] = (self._end, len(line))
            self._end += len(line)

    def rows(self, keys: Iterable[str]) -> Iterator[Row]:
        """The rows of scenarios that are done, in the order of ``keys``."""
        for key in keys:
            offset, size = self._lines[key]
            yield json.loads(host.pread(self._descriptor, size, offset))

    def write_tables(self, rows: Sequence[Row]) -> list[Path]:
        """Write rows as CSV, and as Parquet where pyarrow is installed; returns the files.

        Raises:
            HostError: A file cannot be written; one of that name stays as it was.
        """
        table = self.folder / TABLE
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell_text(value) for name, value in row.items()} for row in rows)
        write_whole(table, text.getvalue().encode())
        return [table, *self._write_parquet(rows)]

    def _write_parquet(self, rows: Sequence[Row]) -> list[Path]:
        try:
            arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
        except ImportError:
            return []
        path = self.folder / PARQUET
        with whole_file(path) as file:
            parquet.write_table(arrow.Table.from_pylist(rows), file)
        return [path]

    def _take_stock(self) -> int:
        """Find where each result is in the file; cuts an incomplete last line off, and returns the file's end."""
        offset = 0
        for number, line in enumerate(_whole_lines(self._descriptor, str(self.folder / RESULTS)), 1):
            key = _key(line, self.folder / RESULTS, number)
            if key in self._lines:
                raise FormatError(str(self.folder / RESULTS), f"line {number} repeats scenario {key}")
            self._lines[key] = (offset, len(line))
            offset += len(line)
        os.ftruncate(self._descriptor, offset)
        return offset


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
