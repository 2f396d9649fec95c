"""``comp``.

Source: edk2 ShellPkg/Library/UefiShellDebug1CommandsLib/Comp.c.
"""

from __future__ import annotations

from collections.abc import Iterator

from tdvfsh.formats.mapped import copy_of
from tdvfsh.lazy_typing import TYPE_CHECKING, Annotated
from tdvfsh.script.numbers import MAX_UINTN, parse_number
from tdvfsh.script.status import ShellStatus
from tdvfsh.shell.command.registry import command
from tdvfsh.shell.command.types import FilePath, Option, Text
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.shell.images_on_drives import file_views

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell

_DEFAULT_DIFFERENCES = 10
_DEFAULT_BYTES = 4
_PIECE = 1 << 17


@command("comp", profile="Debug1")
def comp(
    shell: Shell,
    first: FilePath,
    second: FilePath,
    *,
    n: Annotated[Text | None, Option("-n")] = None,
    s: Annotated[Text | None, Option("-s")] = None,
) -> ShellStatus:
    """Compare two files byte by byte.

    SYNOPSIS:
        comp [-n count|all] [-s size] file1 file2

    OPTIONS:
        -n count: Stop after this many differences; 10 without it.
        -s size: Bytes to show of each difference; 4 without it.

    EXAMPLES:
        Compare two files:
        comp bios.inf bios2.inf
        Show every difference, 16 bytes at a time:
        comp -n all -s 16 a.bin b.bin

    RETURNVALUES:
        SUCCESS: The files are the same.
        NOT_EQUAL: They differ.
        NOT_FOUND: There is no such file.
        INVALID_PARAMETER: A word is not a number.
    """
    contents: list[_Contents] = []
    for path in (first, second):
        data = _open(shell, path)
        if data is None:
            shell.print(f"comp: File not found - '{path}'\n")
        else:
            contents.append(data)
    if len(contents) < 2:
        return ShellStatus.NOT_FOUND
    numbers = [_DEFAULT_DIFFERENCES, _DEFAULT_BYTES]
    for index, (spelling, word) in enumerate((("-n", n), ("-s", s))):
        if word is None:
            continue
        value = MAX_UINTN if spelling == "-n" and word.lower() == "all" else parse_number(word)
        if not value:
            shell.print(f"comp: Bad value - '{word}' for flag - '{spelling}'\n")
            return ShellStatus.INVALID_PARAMETER
        numbers[index] = value
    width = min(numbers[1], max(len(contents[0]), len(contents[1]), 1)) if s is not None else numbers[1]
    count = 0
    for start, length in _differences(contents[0], contents[1], width):
        shell.checkpoint()
        count += 1
        shell.print(f"Difference #{count:2}:\n")
        for tag, path, data in zip(("File1", "File2"), (first, second), contents, strict=True):
            _print(shell, tag, path, data.read(start, length), start + 1, width)
        if count >= numbers[0]:
            break
    if count:
        shell.print("[difference(s) encountered] \n")
        return ShellStatus.NOT_EQUAL
    shell.print("[no differences encountered]\n")
    return ShellStatus.SUCCESS


class _Contents:
    """A file's bytes, held a piece at a time."""

    def __init__(self, view: memoryview) -> None:
        self._view = view
        self._start = 0
        self._piece = b""

    def __len__(self) -> int:
        return self._view.nbytes

    def read(self, start: int, size: int) -> bytes:
        """At most ``size`` bytes from ``start``."""
        at = start - self._start
        if at < 0 or at + size > len(self._piece):
            self._start, at = start, 0
            self._piece = copy_of(self._view[start : start + max(size, _PIECE)])
        return self._piece[at : at + size]


def _open(shell: Shell, path: str) -> _Contents | None:
    found = shell.find_in_path(path)
    located = shell.locate(found) if found is not None else None
    if located is None:
        return None
    try:
        return _Contents(file_views(shell).view(located[0].drive.filesystem, located[1]))
    except FileSystemError:
        return None


def _differences(first: _Contents, second: _Contents, width: int) -> Iterator[tuple[int, int]]:
    """Where the files differ: offset and bytes to show; a run of differing bytes is shown once."""
    at = 0
    longest = max(len(first), len(second))
    while at < longest:
        if first.read(at, 1) == second.read(at, 1):
            at = _next_difference(first, second, at)
            continue
        yield at, width
        if at >= min(len(first), len(second)):
            break
        at += 1
        while at < longest and first.read(at, 1) != second.read(at, 1):
            at += 1


def _next_difference(first: _Contents, second: _Contents, at: int) -> int:
    step = 1 << 16
    while at < max(len(first), len(second)):
        if first.read(at, step) == second.read(at, step):
            at += step
        elif step > 1:
            step = max(1, step // 16)
        else:
            return at
    return at


def _print(shell: Shell, tag: str, path: str, data: bytes, address: int, width: int) -> None:
    shown = "".join(f" {byte:02X}" for byte in data)
    text = "".join(chr(byte) if 0x20 <= byte <= 0x7E else "." for byte in data)
    end = " <EOF>" if len(data) < width else ""
    shell.print(f"{tag}: {path}\n  {address:08X}:{shown}{end}    *{text}*\n")
