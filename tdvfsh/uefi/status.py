"""EFI_STATUS, as X64 firmware encodes it.

Source: UEFI 2.10 appendix D; edk2 MdePkg/Include/Uefi/UefiBaseType.h; phrases as edk2's ``%r`` prints them
(MdePkg/Library/BasePrintLib).
"""

from __future__ import annotations

from enum import IntEnum

from tdvfsh.lazy_typing import Final

_ERROR: Final = 1 << 63


class EfiStatus(IntEnum):
    """A status value.

    ``code`` is the number without the error bit, ``phrase`` what firmware prints for it, ``is_error`` whether the error
    bit is set (EFI_ERROR).
    """

    code: int
    phrase: str
    is_error: bool

    def __new__(cls, value: int, phrase: str) -> EfiStatus:
        member = int.__new__(cls, value)
        member._value_ = value
        member.code = value & ~_ERROR
        member.phrase = phrase
        member.is_error = bool(value & _ERROR)
        return member

    EFI_SUCCESS = 0, "Success"
    EFI_WARN_UNKNOWN_GLYPH = 1, "Warning Unknown Glyph"
    EFI_WARN_DELETE_FAILURE = 2, "Warning Delete Failure"
    EFI_WARN_WRITE_FAILURE = 3, "Warning Write Failure"
    EFI_WARN_BUFFER_TOO_SMALL = 4, "Warning Buffer Too Small"
    EFI_WARN_STALE_DATA = 5, "Warning Stale Data"
    EFI_WARN_FILE_SYSTEM = 6, "Warning File System"
    EFI_WARN_RESET_REQUIRED = 7, "Warning Reset Required"
    EFI_LOAD_ERROR = _ERROR | 1, "Load Error"
    EFI_INVALID_PARAMETER = _ERROR | 2, "Invalid Parameter"
    EFI_UNSUPPORTED = _ERROR | 3, "Unsupported"
    EFI_BAD_BUFFER_SIZE = _ERROR | 4, "Bad Buffer Size"
    EFI_BUFFER_TOO_SMALL = _ERROR | 5, "Buffer Too Small"
    EFI_NOT_READY = _ERROR | 6, "Not Ready"
    EFI_DEVICE_ERROR = _ERROR | 7, "Device Error"
    EFI_WRITE_PROTECTED = _ERROR | 8, "Write Protected"
    EFI_OUT_OF_RESOURCES = _ERROR | 9, "Out of Resources"
    EFI_VOLUME_CORRUPTED = _ERROR | 10, "Volume Corrupt"
    EFI_VOLUME_FULL = _ERROR | 11, "Volume Full"
    EFI_NO_MEDIA = _ERROR | 12, "No Media"
    EFI_MEDIA_CHANGED = _ERROR | 13, "Media changed"
    EFI_NOT_FOUND = _ERROR | 14, "Not Found"
    EFI_ACCESS_DENIED = _ERROR | 15, "Access Denied"
    EFI_NO_RESPONSE = _ERROR | 16, "No Response"
    EFI_NO_MAPPING = _ERROR | 17, "No mapping"
    EFI_TIMEOUT = _ERROR | 18, "Time out"
    EFI_NOT_STARTED = _ERROR | 19, "Not started"
    EFI_ALREADY_STARTED = _ERROR | 20, "Already started"
    EFI_ABORTED = _ERROR | 21, "Aborted"
    EFI_ICMP_ERROR = _ERROR | 22, "ICMP Error"
    EFI_TFTP_ERROR = _ERROR | 23, "TFTP Error"
    EFI_PROTOCOL_ERROR = _ERROR | 24, "Protocol Error"
    EFI_INCOMPATIBLE_VERSION = _ERROR | 25, "Incompatible Version"
    EFI_SECURITY_VIOLATION = _ERROR | 26, "Security Violation"
    EFI_CRC_ERROR = _ERROR | 27, "CRC Error"
    EFI_END_OF_MEDIA = _ERROR | 28, "End of Media"
    EFI_END_OF_FILE = _ERROR | 31, "End of File"
    EFI_INVALID_LANGUAGE = _ERROR | 32, "Invalid Language"
    EFI_COMPROMISED_DATA = _ERROR | 33, "Compromised Data"
    EFI_IP_ADDRESS_CONFLICT = _ERROR | 34, "IP Address Conflict"
    EFI_HTTP_ERROR = _ERROR | 35, "HTTP Error"

    @property
    def short_name(self) -> str:
        """The name without its prefix, as logs print it: ``OUT_OF_RESOURCES``."""
        return self.name.removeprefix("EFI_")

    @classmethod
    def from_name(cls, name: str) -> EfiStatus:
        """The status called ``name``, with or without ``EFI_``, in any case.

        Raises:
            KeyError: No status has that name.
        """
        upper = name.upper()
        return cls[upper if upper.startswith("EFI_") else f"EFI_{upper}"]

    def __str__(self) -> str:
        return self.name


SUCCESS: Final = EfiStatus.EFI_SUCCESS
