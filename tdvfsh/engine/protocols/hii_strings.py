"""String packages of the human interface infrastructure: bytes to texts.

Source: UEFI 2.10 33.3.6 (string package, SIBT blocks).
"""

from __future__ import annotations

import struct

from tdvfsh.lazy_dataclass import dataclass
from tdvfsh.lazy_typing import Final

PACKAGE_STRINGS: Final = 0x04
PACKAGE_END: Final = 0xDF
PACKAGE_LIST_HEADER: Final = 20
_PACKAGE_HEADER: Final = 4
_LANGUAGE_OFFSET: Final = 46

_END, _DUPLICATE, _SKIP2, _SKIP1 = 0x00, 0x20, 0x21, 0x22
_STRING_UCS2: Final = 0x14
_EXTENSION_HEADER: Final = 2  # BlockType and BlockType2; the length follows, and counts them and itself
_EXTENSIONS: Final = {0x30: "<B", 0x31: "<H", 0x32: "<I"}
_STRINGS: Final = {  # wide, font byte, count
    0x10: (False, 0, False), 0x11: (False, 1, False), 0x12: (False, 0, True), 0x13: (False, 1, True),
    0x14: (True, 0, False), 0x15: (True, 1, False), 0x16: (True, 0, True), 0x17: (True, 1, True),
}  # fmt: skip


@dataclass(slots=True)
class StringPackage:
    """The texts of one language by their number.

    Attributes:
        languages: The language, and after semicolons its secondary ones.
        texts: The texts.
        name: Number of the text that is the language's name.
        data: The package's bytes as they came; None once a text has changed.
    """

    languages: str
    texts: dict[int, str]
    name: int = 1
    data: bytes | None = None

    @property
    def language(self) -> str:
        """The language."""
        return self.languages.split(";")[0]

    def set(self, number: int, text: str) -> None:
        """Add or replace a text."""
        self.texts[number] = text
        self.data = None

    def pack(self) -> bytes:
        """The package's bytes: texts of 16 bits, and blocks that skip the numbers between."""
        if self.data is not None:
            return self.data
        blocks, following = bytearray(), 1
        for number, text in sorted(self.texts.items()):
            if number > following:
                blocks += struct.pack("<BH", _SKIP2, number - following)
            blocks += bytes((_STRING_UCS2,)) + (text + "\0").encode("utf-16-le", "surrogatepass")
            following = number + 1
        language = self.languages.encode("ascii", "replace") + b"\0"
        offset = _LANGUAGE_OFFSET + len(language)
        body = struct.pack("<II32xH", offset, offset, self.name) + language + bytes(blocks) + bytes((_END,))
        return struct.pack("<I", _PACKAGE_HEADER + len(body) | PACKAGE_STRINGS << 24) + body


def packages_of(package_list: bytes) -> list[tuple[int, bytes]]:
    """``(type, bytes with header)`` of the packages of a list, up to the end package."""
    found: list[tuple[int, bytes]] = []
    at = PACKAGE_LIST_HEADER
    while at + _PACKAGE_HEADER <= len(package_list):
        word = struct.unpack_from("<I", package_list, at)[0]
        length, kind = word & 0xFFFFFF, word >> 24
        if kind == PACKAGE_END or length < _PACKAGE_HEADER:
            break
        found.append((kind, package_list[at : at + length]))
        at += length
    return found


def parse_string_package(package: bytes) -> StringPackage | None:
    """A string package's texts; None where it is malformed."""
    try:
        offset = struct.unpack_from("<I", package, 8)[0]
        language = package[_LANGUAGE_OFFSET : package.index(b"\0", _LANGUAGE_OFFSET)].decode("ascii", "replace")
        (name,) = struct.unpack_from("<H", package, _LANGUAGE_OFFSET - 2)
        return StringPackage(language, _texts(package, offset), name, package)
    except (struct.error, ValueError, IndexError):
        return None


def _texts(package: bytes, at: int) -> dict[int, str]:
    texts: dict[int, str] = {}
    number = 1
    while True:
        block = package[at]
        at += 1
        if block == _END:
            return texts
        if block in _STRINGS:
            wide, font, counted = _STRINGS[block]
            at += font
            count = 1
            if counted:
                count = struct.unpack_from("<H", package, at)[0]
                at += 2
            for _ in range(count):
                texts[number], at = _text(package, at, wide)
                number += 1
        elif block == _DUPLICATE:
            texts[number] = texts.get(struct.unpack_from("<H", package, at)[0], "")
            number += 1
            at += 2
        elif block == _SKIP2:
            number += struct.unpack_from("<H", package, at)[0]
            at += 2
        elif block == _SKIP1:
            number += package[at]
            at += 1
        elif block in _EXTENSIONS:
            form = _EXTENSIONS[block]
            length = struct.unpack_from(form, package, at + 1)[0]
            if length < _EXTENSION_HEADER + struct.calcsize(form):
                raise ValueError(f"a string block of {length} bytes")
            at += length - 1
        else:
            raise ValueError(f"string block {block:#x}")


def _text(package: bytes, at: int, wide: bool) -> tuple[str, int]:
    """A text and where the next block begins; 8-bit texts are taken for plain ones."""
    if not wide:
        end = package.index(b"\0", at)
        return package[at:end].decode("latin-1"), end + 1
    end = at
    while package[end] or package[end + 1]:
        end += 2
    return package[at:end].decode("utf-16-le", "replace"), end + 2
