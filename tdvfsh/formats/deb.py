"""Debian packages: an ``ar`` archive that holds two tar archives, read as a stream.

Nothing is unpacked but what is asked for, and no name inside a package is ever used as a path on the host.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from tdvfsh.errors import FormatError, HostError, MissingError, host_error
from tdvfsh.formats.text import printable
from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import IO, Final, cast
from tdvfsh.units import GIB, KIB, MIB, human_size

AR_MAGIC: Final = b"!<arch>\n"
AR_HEADER_SIZE: Final = 60
AR_HEADER_END: Final = b"`\n"
COPY_SIZE: Final = 256 * KIB
HEADER_BUDGET: Final = MIB
"""Bytes of tar headers accepted between two members; real packages need a few KiB at most."""

Progress = Callable[[int, int], None]
"""Called with (bytes of the package read so far, bytes of the package)."""


@dataclass(frozen=True, slots=True)
class DebMember:
    """A regular file in a package.

    Attributes:
        name: Path inside the package without a leading ``./``.
        size: Bytes.
        read: Returns up to that many bytes of the content, in order; valid until the next member is requested.
    """

    name: str
    size: int
    read: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class ExtractedFile:
    """What :func:`extract_members` wrote: name inside the package, size in bytes, SHA-256 in hex."""

    name: str
    size: int
    sha256: str


class _Slice(io.RawIOBase):
    """A window of an open file that reports how far it was read."""

    def __init__(self, file: IO[bytes], start: int, size: int, progress: Progress | None, total: int) -> None:
        self._file = file
        self._position = start
        self._end = start + size
        self._progress = progress
        self._total = total

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = min(len(buffer), self._end - self._position)
        self._file.seek(self._position)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._position += len(data)
        if self._progress is not None:
            self._progress(self._position, self._total)
        return len(data)


class _Budgeted:
    """A stream with an upper limit on its output, so that a hostile header cannot fill memory."""

    def __init__(self, path: Path, stream: IO[bytes]) -> None:
        self._path = path
        self._stream = stream
        self.left = HEADER_BUDGET

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise FormatError(str(self._path), "a tar header in the package is larger than any real one")
        return data


def iter_deb_members(path: Path, part: str = "data", progress: Progress | None = None) -> Iterator[DebMember]:
    """The regular files of a package, in archive order.

    Args:
        path: The ``.deb``.
        part: ``data`` for the files it installs, ``control`` for its metadata.
        progress: Progress callback: bytes of the package read so far.

    Raises:
        FormatError: Not a Debian package, truncated, or packed in a way no package is.
        HostError: The file cannot be read.

    Source: deb(5), ar(5), POSIX ustar.
    """
    import tarfile

    with _opened(path) as (file, size):
        name, start, length = _find_part(path, file, size, part)
        raw: IO[bytes] = io.BufferedReader(_Slice(file, start, length, progress, size), COPY_SIZE)
        with _format_errors(path, name):
            budget = _Budgeted(path, _decompressed(path, name, raw))
            archive = tarfile.open(fileobj=budget, mode="r|")  # type: ignore[call-overload]  # noqa: SIM115
        while True:
            with _format_errors(path, name):
                member = archive.next()
                if member is None:
                    return
                archive.members = []  # tarfile keeps every header it ever read
                budget.left = member.size + HEADER_BUDGET
                content = archive.extractfile(member) if member.isreg() else None
            if content is not None:
                yield DebMember(member.name.removeprefix("./"), member.size, _guarded(path, name, content))


def _guarded(path: Path, name: str, content: IO[bytes]) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        with _format_errors(path, name):
            return content.read(size)

    return read


@contextmanager
def _format_errors(path: Path, name: str) -> Iterator[None]:
    import lzma
    import tarfile
    import zlib

    import zstandard

    try:
        yield
    except (tarfile.TarError, lzma.LZMAError, zlib.error, zstandard.ZstdError, EOFError, OSError, ValueError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FormatError(str(path), f"{name} in the package is damaged ({reason})") from error


def read_control(path: Path) -> dict[str, str]:
    """The fields of a package's ``control`` file, such as ``Package`` and ``Version``.

    Raises:
        FormatError: Not a Debian package, or one without control file.
    """
    for member in iter_deb_members(path, "control"):
        if member.name == "control":
            text = _read_bounded(path, member).decode("utf-8", "replace")
            return dict(re.findall(r"^([!-9;-~]+):[ \t]*(.*)$", text, re.MULTILINE))
    raise FormatError(str(path), "the package has no control file")


def extract_members(
    path: Path, wanted: Mapping[str, Path], progress: Progress | None = None, most: int = GIB
) -> dict[str, ExtractedFile]:
    """Write some files of a package, reading no further than the last of them.

    Args:
        path: The ``.deb``.
        wanted: From a glob over names inside the package to the file to write; the first match in archive order counts.
        progress: Called with how much of the package has been read.
        most: Bytes that all files together may have.

    Returns:
        What was written, by glob.

    Raises:
        FormatError: The package is damaged, has no file for one of the globs, or unpacks to more than ``most``.
        HostError: A file cannot be read or written.
    """
    found: dict[str, ExtractedFile] = {}
    for member in iter_deb_members(path, "data", progress):
        pattern = next((p for p in wanted if p not in found and fnmatchcase(member.name, p)), None)
        if pattern is not None:
            left = most - sum(file.size for file in found.values())
            if member.size > left:
                raise FormatError(str(path), f"{_shown(member)}: more than {human_size(most)} in total, the limit")
            found[pattern] = _write(path, member, wanted[pattern])
            if len(found) == len(wanted):
                break
    missing = [pattern for pattern in wanted if pattern not in found]
    if missing:
        raise FormatError(str(path), f"the package has no file {missing[0]}")
    return found


def _read_bounded(path: Path, member: DebMember) -> bytes:
    if member.size > HEADER_BUDGET:
        raise FormatError(str(path), f"{_shown(member)} is larger than any real one")
    return member.read(member.size)


def _write(path: Path, member: DebMember, target: Path) -> ExtractedFile:
    digest = hashlib.sha256()
    written = 0
    with _host_errors(target), target.open("wb") as output:
        while data := member.read(COPY_SIZE):
            digest.update(data)
            output.write(data)
            written += len(data)
    if written != member.size:
        raise FormatError(str(path), f"{_shown(member)} in the package is cut short")
    return ExtractedFile(member.name, written, digest.hexdigest())


def _shown(member: DebMember) -> str:
    """A member's name for a message: an archive may hold any bytes."""
    return printable(member.name.encode("utf-8", "surrogateescape"))


@contextmanager
def _host_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise host_error(path, error) from error


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    with _host_errors(path):
        if not path.is_file():
            raise HostError(f"{path}: not a regular file") if path.exists() else MissingError(f"{path}: no such file")
        file = path.open("rb")
        size = path.stat().st_size
    with file:
        yield file, size


def _find_part(path: Path, file: IO[bytes], size: int, part: str) -> tuple[str, int, int]:
    """Name, offset and size of the ``ar`` member ``part.tar*``."""
    if file.read(len(AR_MAGIC)) != AR_MAGIC:
        raise FormatError(str(path), "not a Debian package (no ar magic)", 0)
    offset = len(AR_MAGIC)
    while offset + AR_HEADER_SIZE <= size:
        file.seek(offset)
        header = file.read(AR_HEADER_SIZE)
        digits = header[48:58].strip()
        if header[58:60] != AR_HEADER_END or not digits.isdigit():
            raise FormatError(str(path), "damaged ar header", offset)
        name = printable(header[:16]).strip().rstrip("/")
        start, length = offset + AR_HEADER_SIZE, int(digits)
        if start + length > size:
            raise FormatError(str(path), f"ar member '{name}' goes past the end of the file", offset)
        if name == f"{part}.tar" or name.startswith(f"{part}.tar."):
            return name, start, length
        offset = start + length + length % 2
    raise FormatError(str(path), f"not a Debian package (no {part}.tar member)")


def _decompressed(path: Path, name: str, raw: IO[bytes]) -> IO[bytes]:
    suffix = name.rpartition(".tar")[2]
    if suffix == "":
        return raw
    if suffix == ".gz":
        import gzip

        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if suffix in (".xz", ".lzma"):
        import lzma

        return lzma.LZMAFile(raw)
    if suffix == ".zst":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    raise FormatError(str(path), f"{name} has an unknown compression")
