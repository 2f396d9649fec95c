"""The functions of EFI_FILE_PROTOCOL that take a token: the work is done at once, and the token's event is signaled.

Source: UEFI 2.10 13.5 (revision 2).
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final, Protocol
from tdvfsh.uefi.status import SUCCESS, EfiStatus

_STATUS, _BUFFER_SIZE, _BUFFER = 8, 16, 24
_INVALID: Final = EfiStatus.EFI_INVALID_PARAMETER


class Files(Protocol):
    """The functions that wait."""

    def open(self, this: int, new_handle: int, file_name: int, open_mode: int, attributes: int) -> EfiStatus:
        """Open()."""
        ...

    def read(self, this: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Read()."""
        ...

    def write(self, this: int, buffer_size: int, buffer: int) -> EfiStatus:
        """Write()."""
        ...

    def flush(self, this: int) -> EfiStatus:
        """Flush()."""
        ...


class FileTokens:
    """OpenEx, ReadEx, WriteEx and FlushEx.

    Args:
        context: Guest memory, and the events.
        files: What does the work.
    """

    def __init__(self, context: GuestContext, files: Files) -> None:
        self._context = context
        self._ram = context.ram
        self._files = files

    def _done(self, token: int, work: Callable[[], EfiStatus]) -> EfiStatus:
        if not token:
            return _INVALID
        status = work()
        event = self._ram.u64(token)
        if event and status is SUCCESS:
            self._ram.put_u64(token + _STATUS, status)
            self._context.core.events.signal_event(event)
        return status

    @service("EFI_FILE_PROTOCOL.OpenEx", "qqsqqq")
    def open_ex(
        self, this: int, new_handle: int, file_name: int, open_mode: int, attributes: int, token: int
    ) -> EfiStatus:
        """Open()."""
        return self._done(token, lambda: self._files.open(this, new_handle, file_name, open_mode, attributes))

    @service("EFI_FILE_PROTOCOL.ReadEx", "qq")
    def read_ex(self, this: int, token: int) -> EfiStatus:
        """Read(): size and buffer are the token's."""
        return self._done(token, lambda: self._files.read(this, token + _BUFFER_SIZE, self._ram.u64(token + _BUFFER)))

    @service("EFI_FILE_PROTOCOL.WriteEx", "qq")
    def write_ex(self, this: int, token: int) -> EfiStatus:
        """Write(): size and buffer are the token's."""
        return self._done(token, lambda: self._files.write(this, token + _BUFFER_SIZE, self._ram.u64(token + _BUFFER)))

    @service("EFI_FILE_PROTOCOL.FlushEx", "qq")
    def flush_ex(self, this: int, token: int) -> EfiStatus:
        """Flush()."""
        return self._done(token, lambda: self._files.flush(this))
