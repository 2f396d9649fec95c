"""String primitives of the line processing: blanks, carets, search and replace.

A caret keeps the character after it from its meaning. The rules look only at the single character before a match, as
firmware does, so ``^^%`` counts as an escaped percent sign.

Source: edk2 ShellPkg/Application/Shell/Shell.c (TrimSpaces, FindNextInstance, FindFirstCharacter) and
ShellPkg/Library/UefiShellLib/UefiShellLib.c (ShellCopySearchAndReplace).
"""

from __future__ import annotations

BLANKS = " \t"


def trim(text: str) -> str:
    """The text without blanks and tabs at either end."""
    return text.strip(BLANKS)


def find_unescaped(text: str, what: str, start: int = 0) -> int:
    """Position of ``what`` at or after ``start`` that no caret precedes, or -1.

    A caret that stands before ``start`` does not count: the search sees only the text from there on.
    """
    at = text.find(what, start)
    while at > start and text[at - 1] == "^":
        at = text.find(what, at + 1)
    return at


def find_first(text: str, characters: str, start: int = 0) -> int:
    """Position of the first of ``characters`` outside a caret pair, or the length of the text."""
    at, length = start, len(text)
    while at < length:
        if text[at] == "^":
            at += 2
            continue
        if text[at] in characters:
            return at
        at += 1
    return length


def replace(text: str, target: str, replacement: str, *, guarded: bool) -> str:
    """Replace every ``target``, left to right, never looking into what was put in.

    Args:
        text: Where to search.
        target: What to find; nothing happens when it is empty.
        replacement: What to put there.
        guarded: Leave a target alone that a caret precedes.
    """
    if not target or target not in text:
        return text
    if not guarded:
        return text.replace(target, replacement)
    pieces: list[str] = []
    done = 0
    at = text.find(target)
    while at >= 0:
        if at and text[at - 1] == "^":
            at = text.find(target, at + 1)
            continue
        pieces += (text[done:at], replacement)
        done = at + len(target)
        at = text.find(target, done)
    pieces.append(text[done:])
    return "".join(pieces)


def cut_comment(text: str) -> str:
    """The text up to the first ``#`` that is not ``^#``; quotes do not protect (firmware's own rule)."""
    at = find_comment(text)
    return text if at < 0 else text[:at]


def find_comment(text: str) -> int:
    """Position of the ``#`` that starts the comment, or -1."""
    at, length = 0, len(text)
    while at < length:
        if text[at] == "^" and text[at + 1 : at + 2] == "#":
            at += 1
        elif text[at] == "#":
            return at
        at += 1
    return -1
