"""EFI_UNICODE_COLLATION2_PROTOCOL for English.

Source: UEFI 2.10 13.10; edk2 MdeModulePkg/Universal/Disk/UnicodeCollation/EnglishDxe.
"""

from __future__ import annotations

from collections.abc import Callable

from tdvfsh.engine.abi.context import GuestContext
from tdvfsh.engine.abi.interfaces import Field
from tdvfsh.engine.abi.service_table import service
from tdvfsh.lazy_typing import Final
from tdvfsh.uefi.guids import EFI_UNICODE_COLLATION_PROTOCOL2_GUID
from tdvfsh.uefi.patterns import matches

_LANGUAGES: Final = b"en\0"
_FAT_FORBIDDEN: Final = frozenset('"*+,./:;<=>?[\\]|')
_WORD: Final = 1 << 64


class UnicodeCollation:
    """Comparing, matching and changing case."""

    def __init__(self, context: GuestContext) -> None:
        self._context = context
        self._ram = context.ram

    def install(self) -> None:
        """Make the handle."""
        structure = self._context.interfaces.structure
        fields: list[Field] = [
            self.stri_coll, self.metai_match, self.str_lwr, self.str_upr, self.fat_to_str, self.str_to_fat,
            structure([_LANGUAGES]),
        ]  # fmt: skip
        self._context.offer({EFI_UNICODE_COLLATION_PROTOCOL2_GUID: structure(fields)})

    @service("EFI_UNICODE_COLLATION_PROTOCOL.StriColl", "qqq")
    def stri_coll(self, this: int, s1: int, s2: int) -> int:
        """Difference of the first characters that differ in upper case."""
        first, second = self._ram.utf16(s1).upper(), self._ram.utf16(s2).upper()
        for one, other in zip(first, second, strict=False):
            if one != other:
                return (ord(one) - ord(other)) % _WORD
        if len(first) == len(second):
            return 0
        longer = first if len(first) > len(second) else second
        difference = ord(longer[min(len(first), len(second))])
        return (difference if longer is first else -difference) % _WORD

    @service("EFI_UNICODE_COLLATION_PROTOCOL.MetaiMatch", "qqq")
    def metai_match(self, this: int, string: int, pattern: int) -> int:
        """Whether a string matches a pattern of ``*``, ``?`` and ``[...]``, without regard to case."""
        return int(matches(self._ram.utf16(string), self._ram.utf16(pattern)))

    @service("EFI_UNICODE_COLLATION_PROTOCOL.StrLwr", "qq")
    def str_lwr(self, this: int, string: int) -> None:
        """To lower case, in place."""
        self._replace(string, self._ram.utf16(string), str.lower)

    @service("EFI_UNICODE_COLLATION_PROTOCOL.StrUpr", "qq")
    def str_upr(self, this: int, string: int) -> None:
        """To upper case, in place."""
        self._replace(string, self._ram.utf16(string), str.upper)

    def _replace(self, address: int, text: str, change: Callable[[str], str]) -> None:
        changed = "".join(new if len(new := change(character)) == 1 else character for character in text)
        self._ram.write(address, changed.encode("utf-16-le"))

    @service("EFI_UNICODE_COLLATION_PROTOCOL.FatToStr", "qqqq")
    def fat_to_str(self, this: int, fat_size: int, fat: int, string: int) -> None:
        """An 8-bit name as CHAR16."""
        text = self._ram.read(fat, fat_size).split(b"\0")[0].decode("latin-1")
        self._ram.write(string, (text + "\0").encode("utf-16-le"))

    @service("EFI_UNICODE_COLLATION_PROTOCOL.StrToFat", "qqqq")
    def str_to_fat(self, this: int, string: int, fat_size: int, fat: int) -> int:
        """A name as 8-bit upper case; TRUE where characters had to be replaced."""
        if fat_size:
            self._ram.check(fat, fat_size, write=True)
        text = [character for character in self._ram.utf16(string).upper() if character not in ". "]
        replaced = [character if 0x20 < ord(character) < 0x7F and character not in _FAT_FORBIDDEN else "_"
                    for character in text]  # fmt: skip
        self._ram.write(fat, "".join(replaced)[:fat_size].encode("latin-1").ljust(fat_size, b" "))
        return int(text != replaced)
