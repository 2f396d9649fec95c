"""Paths as the shell writes them: ``FS0:\\folder\\file``.

Source: edk2 MdePkg/Library/BaseLib/FilePaths.c (PathCleanUpDirectories, PathRemoveLastItem).
"""

from __future__ import annotations


def clean(path: str) -> str:
    """The path with backslashes only and without ``.``, ``..`` and doubled separators.

    ``..`` at the root stays at the root.
    """
    path = path.replace("/", "\\")
    while "\\\\" in path:
        path = path.replace("\\\\", "\\")
    while "\\.\\" in path:
        path = path.replace("\\.\\", "\\")
    if path.endswith("\\."):
        path = path[:-1]
    start = 0
    while (at := path.find("\\..", start)) >= 0:
        if path[at + 3 : at + 4] not in ("\\", ""):
            start = at + 1
            continue
        rest = path[at + 4 :]
        path = parent(path[: at + 1]) + rest
        start = 0
    return path


def parent(path: str) -> str:
    """The path without its last item, separator kept: ``FS0:\\a\\b`` and ``FS0:\\a\\b\\`` become ``FS0:\\a\\``."""
    last = -1
    for at, character in enumerate(path[:-1]):
        if character == "\\" or (character == ":" and path[at + 1] != "\\"):
            last = at + 1
    return path if last < 0 else path[:last]


def split_drive(path: str) -> tuple[str, str]:
    """The mapping name with its colon, empty where there is none, and the rest."""
    drive, colon, rest = path.partition(":")
    return (drive + colon, rest) if colon else ("", path)


def items(rest: str) -> tuple[str, ...]:
    """The names of a path without drive."""
    return tuple(item for item in rest.split("\\") if item)


def has_wildcard(text: str) -> bool:
    """Whether a path is a pattern."""
    return any(character in text for character in "*?[")
