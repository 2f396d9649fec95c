"""File name patterns, as EFI_UNICODE_COLLATION_PROTOCOL.MetaiMatch and the shell have them.

Source: UEFI 2.10 13.3.1; edk2 MdeModulePkg/Universal/Disk/UnicodeCollation/EnglishDxe, whose sets end with the pattern
where no bracket closes them.
"""

from __future__ import annotations


def matches(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern: ``*``, ``?``, ``[a-z]``, without regard to case.

    Only the last ``*`` is ever tried again, so long patterns cost little.
    """
    return _matches(name.upper(), pattern.upper())


def _matches(name: str, pattern: str) -> bool:
    at = place = 0
    star, resume = -1, 0
    while at < len(name):
        if place < len(pattern) and pattern[place] == "*":
            star, resume = place, at
            place += 1
        elif consumed := _match_one(name[at], pattern, place):
            place += consumed
            at += 1
        elif star >= 0:
            place = star + 1
            resume += 1
            at = resume
        else:
            return False
    return pattern[place:].strip("*") == ""


def _match_one(character: str, pattern: str, place: int) -> int:
    """How much of the pattern one character uses up; 0 where it does not match."""
    if place >= len(pattern):
        return 0
    if pattern[place] == "[":
        end = pattern.find("]", place + 1)
        end = len(pattern) if end < 0 else end
        return end + 1 - place if _in_set(character, pattern[place + 1 : end]) else 0
    return int(pattern[place] in ("?", character))


def _in_set(character: str, members: str) -> bool:
    at = 0
    while at < len(members):
        if members[at + 1 : at + 2] == "-" and at + 2 < len(members):
            if members[at] <= character <= members[at + 2]:
                return True
            at += 3
        elif members[at] == character:
            return True
        else:
            at += 1
    return False
