"""SHELL_STATUS, what a command returns and ``%lasterror%`` shows.

Source: UEFI Shell 2.2 section 2.4 (SHELL_STATUS); edk2 MdePkg/Include/Protocol/Shell.h.
"""

from __future__ import annotations

from enum import IntEnum

from tdvfsh.uefi.status import EfiStatus

_ERROR_BIT = 1 << 63
_BY_VALUE = {status.value: status for status in EfiStatus}


class ShellStatus(IntEnum):
    """The status of a shell command: an EFI_STATUS without its error bit."""

    SUCCESS = 0
    LOAD_ERROR = 1
    INVALID_PARAMETER = 2
    UNSUPPORTED = 3
    BAD_BUFFER_SIZE = 4
    BUFFER_TOO_SMALL = 5
    NOT_READY = 6
    DEVICE_ERROR = 7
    WRITE_PROTECTED = 8
    OUT_OF_RESOURCES = 9
    VOLUME_CORRUPTED = 10
    VOLUME_FULL = 11
    NO_MEDIA = 12
    MEDIA_CHANGED = 13
    NOT_FOUND = 14
    ACCESS_DENIED = 15
    TIMEOUT = 18
    NOT_STARTED = 19
    ALREADY_STARTED = 20
    ABORTED = 21
    INCOMPATIBLE_VERSION = 25
    SECURITY_VIOLATION = 26
    NOT_EQUAL = 27


def to_efi(status: int) -> EfiStatus:
    """The EFI_STATUS that stands for a shell status: the same number with the error bit."""
    if status == 0:
        return EfiStatus.EFI_SUCCESS
    return _BY_VALUE.get(status | _ERROR_BIT, EfiStatus.EFI_ABORTED)


def hex_status(status: int) -> str:
    """``%lasterror%`` as firmware writes it: ``0xE``."""
    return f"0x{status & 0xFFFFFFFFFFFFFFFF:X}"
