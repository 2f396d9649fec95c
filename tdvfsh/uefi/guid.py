"""EFI_GUID. The standard library's ``uuid`` takes 2 ms to be imported.

Source: UEFI 2.10 appendix A; CPython 3.11, ``Lib/uuid.py``, for the spellings that are read.
"""

from __future__ import annotations

_LENGTH = 16


class Guid:
    """A GUID, which is compared, ordered and written as the standard library's UUID is.

    Args:
        text: In registry form, ``5b1b31a1-9562-11d2-8e3f-00a0c969723b``; braces, capitals or no dashes will do.
        bytes_le: Its form in memory, instead: the first three fields are little-endian.

    Attributes:
        number: Its digits as one number.

    Raises:
        ValueError: Neither.
    """

    __slots__ = ("number",)

    def __init__(self, text: str | None = None, *, bytes_le: bytes | None = None) -> None:
        if text is not None:
            digits = text.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "")
            if len(digits) != 2 * _LENGTH:
                raise ValueError(f"badly formed GUID: {text!r}")
            self.number = int(digits, 16)
        elif bytes_le is not None and len(bytes_le) == _LENGTH:
            self.number = int.from_bytes(_swapped(bytes_le), "big")
        else:
            raise ValueError("a GUID is text or 16 bytes")

    @property
    def bytes_le(self) -> bytes:
        """Its 16 bytes in memory."""
        return _swapped(self.number.to_bytes(_LENGTH, "big"))

    def __str__(self) -> str:
        digits = f"{self.number:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def __repr__(self) -> str:
        return f"Guid('{self}')"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Guid):
            return self.number == other.number
        number = getattr(other, "int", None)  # a UUID of the standard library is as good
        return NotImplemented if number is None else bool(self.number == number)

    def __hash__(self) -> int:
        return hash(self.number)

    def __lt__(self, other: Guid) -> bool:
        return self.number < other.number if isinstance(other, Guid) else NotImplemented

    def __copy__(self) -> Guid:
        return self

    def __deepcopy__(self, memo: object) -> Guid:
        return self


def _swapped(data: bytes) -> bytes:
    """Its bytes with the first three fields the other way round."""
    data = bytes(data)
    return data[3::-1] + data[5:3:-1] + data[7:5:-1] + data[8:]
