"""Opening what redirections name: files, variables, nothing.

Source: edk2 ShellPkg/Application/Shell/ShellParametersProtocol.c (UpdateStdInStdOutStdErr), FileHandleWrappers.c.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.lazy_typing import TYPE_CHECKING
from tdvfsh.script.program import BOM, decode_text
from tdvfsh.script.redirection import RedirectionError, Target
from tdvfsh.script.streams import (
    CapturedSink,
    FileSink,
    NullSink,
    RedirectedSink,
    StreamError,
    TextSource,
    normalize,
)
from tdvfsh.shell.drives.filesystem import FileSystemError
from tdvfsh.uefi.status import EfiStatus

if TYPE_CHECKING:
    from tdvfsh.script.host import TextSink
    from tdvfsh.shell.shell import Shell

_NULL_NAMES = frozenset(("NUL", "NULL"))


class _GuardedSink(RedirectedSink):
    """A file stream whose failures reach the language as StreamError."""

    def __init__(self, sink: FileSink, close: Callable[[], None]) -> None:
        self._sink = sink
        self._close = close

    def write(self, text: str) -> None:
        try:
            self._sink.write(text)
        except FileSystemError as error:
            raise StreamError(error.status) from None

    def close(self) -> None:
        self._close()


def open_output(shell: Shell, target: Target) -> TextSink:
    """A stream into a file or variable.

    Raises:
        RedirectionError: The target cannot be written, or holds the other kind of text: INVALID_PARAMETER. Quirk of
            edk2: a directory is opened first and refused later, so only that returns ACCESS_DENIED.
    """
    if target.kind == "variable":
        return _open_variable(shell, target)
    if target.name.upper() in _NULL_NAMES:
        return NullSink()
    located = shell.named(target.name)
    if located is None or not located[1]:
        raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
    mapping, parts = located
    filesystem = mapping.drive.filesystem
    try:
        info = filesystem.info(parts)
        if info is not None and info.is_directory:
            raise RedirectionError(EfiStatus.EFI_ACCESS_DENIED)
        append = target.append and info is not None and info.size > 0
        if append and (filesystem.read(parts, 2) == BOM) != target.unicode:
            raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
        writer = filesystem.open_writer(parts, append=append)
        if target.unicode and not append:
            writer.write(BOM)
    except FileSystemError:
        raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER) from None
    return _GuardedSink(FileSink(writer.write, unicode=target.unicode), writer.close)


def _open_variable(shell: Shell, target: Target) -> TextSink:
    name = target.name
    before = (shell.environment.get(name) or "") if target.append else ""

    def store(text: str) -> None:
        shell.environment.set_internal(name, before + text.removesuffix("\n").replace("\n", "\r\n"))

    return CapturedSink(store)


def open_input(shell: Shell, target: Target) -> TextSource:
    """The text of a file or variable.

    Raises:
        RedirectionError: No such file or variable.
    """
    if target.kind == "variable":
        value = shell.environment.get(target.name)
        if value is None:
            raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
        return TextSource(normalize(value), readable=False)  # edk2's variable files cannot be read back
    data = shell.read_file(target.name)
    if data is None:
        raise RedirectionError(EfiStatus.EFI_NOT_FOUND)
    return TextSource(normalize(decode_text(data)), readable=target.unicode)
