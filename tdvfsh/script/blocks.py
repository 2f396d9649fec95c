"""Finding the other end of a block and the target of a ``goto``.

Matching is by the first word of the unexpanded line, so a word that comes out of a variable opens no block, and a
``goto`` cannot enter a ``for`` it stands outside of.

Source: edk2 ShellPkg/Library/UefiShellLevel1CommandsLib/UefiShellLevel1CommandsLib.c (MoveToTag, TestNodeForMove),
If.c (MoveToTagSpecial).
"""

from __future__ import annotations

from itertools import chain

from tdvfsh.script.program import Program


def find_tag(program: Program, closing: str, opening: str, *, forward: bool = True) -> int | None:
    """Position of the line whose word ``closing`` ends the block that the current line belongs to.

    Args:
        program: The script.
        closing: The word to find.
        opening: The word that nests.
        forward: Search downwards from the next line, else upwards from the line before.
    """
    lines = program.lines
    start = program.position
    positions = range(start + 1, len(lines)) if forward else range(start - 1, -1, -1)
    depth = 1
    for position in positions:
        word = lines[position].keyword
        if word == opening:
            depth += 1
        elif word == closing:
            depth -= 1
            if depth == 0:
                return position
    return None


def find_label(program: Program, label: str) -> int | None:
    """Position of the line ``:label``: from the next line to the end, then from the top to here.

    The count of open ``for`` loops runs on across the wrap; leaving loops is allowed, entering one is not.

    Args:
        program: The script.
        label: The label with its colon; compared without regard to case.
    """
    lines = program.lines
    start = program.position
    wanted = label.lower()
    depth = 0
    for position in chain(range(start + 1, len(lines)), range(start)):
        word = lines[position].keyword
        if word == "for":
            depth += 1
        elif word == "endfor" and depth:
            depth -= 1
        if depth == 0 and word == wanted:
            return position
    return None


def find_else(program: Program) -> int | None:
    """Position just after the ``else`` or ``endif`` that belongs to the ``if`` on the current line."""
    depth = 1
    for position in range(program.position + 1, len(program.lines)):
        word = program.lines[position].keyword
        if word == "if":
            depth += 1
        elif word == "endif" or (word == "else" and depth == 1):
            depth -= 1
        if not depth:
            return position + 1
    return None
