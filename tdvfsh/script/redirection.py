"""``>``, ``>>``, ``<`` and their kin: what a line asks for.

An operator counts only with a blank on both sides and outside quotes; the command ends where the first one stands.

Source: edk2 ShellPkg/Application/Shell/ShellParametersProtocol.c (UpdateStdInStdOutStdErr).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.uefi.status import EfiStatus


class Target(NamedTuple):
    """Target or source of a stream.

    ``kind`` is ``file`` or ``variable``; ``unicode`` tells UTF-16 with a byte order mark from ASCII.
    """

    kind: str
    name: str
    append: bool = False
    unicode: bool = True


class Redirection(NamedTuple):
    """A line split into its command and its redirections."""

    command: str
    stdin: Target | None = None
    stdout: Target | None = None
    stderr: Target | None = None


class RedirectionError(Exception):
    """An invalid redirection; ``status`` is what the command line ends with."""

    def __init__(self, status: EfiStatus) -> None:
        self.status = status
        super().__init__(status.name)


# Spelling, stream, kind, append, unicode; in firmware's order of search.
_OPERATORS = (
    ("2>>v", 2, "variable", True, True),
    ("1>>v", 1, "variable", True, True),
    (">>v", 1, "variable", True, True),
    (">v", 1, "variable", False, True),
    ("1>>a", 1, "file", True, False),
    ("1>>", 1, "file", True, True),
    (">>", 1, "file", True, True),
    (">>a", 1, "file", True, False),
    ("1>a", 1, "file", False, False),
    (">a", 1, "file", False, False),
    ("2>>", 2, "file", True, True),
    ("2>v", 2, "variable", False, True),
    ("1>v", 1, "variable", False, True),
    ("2>a", 2, "file", False, False),
    ("2>", 2, "file", False, True),
    ("1>", 1, "file", False, True),
    (">", 1, "file", False, True),
    ("<", 0, "file", False, True),
    ("<a", 0, "file", False, False),
    ("<v", 0, "variable", False, True),
)
SPELLINGS = frozenset(operator[0] for operator in _OPERATORS)


def _blank_quoted(text: str) -> str:
    characters = list(text)
    inside = False
    at = 0
    while at < len(text):
        if text[at] == "^" and text[at + 1 : at + 2] == '"':
            at += 1
        elif text[at] == '"':
            inside = not inside
        elif inside:
            characters[at] = " "
        at += 1
    return "".join(characters)


def _file_name(text: str) -> str:
    if text.startswith('"'):
        return text[1:].partition('"')[0]
    return text.lstrip(" ").partition(" ")[0]


def _variable_name(text: str) -> str:
    if text.startswith("%"):
        text = text[1:].partition("%")[0]
    return _file_name(text)


def split_redirection(text: str) -> Redirection:
    """Find all redirections of a line.

    Raises:
        RedirectionError: NOT_FOUND for the same operator twice, INVALID_PARAMETER for two targets of one stream or a
            missing name.
    """
    if ">" not in text and "<" not in text:
        return Redirection(text)
    searched = _blank_quoted(text)
    first = len(text)
    found: dict[tuple[int, str], Target] = {}
    for spelling, stream, kind, append, unicode in _OPERATORS:
        needle = f" {spelling} "
        at = searched.find(needle)
        if at < 0:
            continue
        first = min(first, at)
        searched = searched[:at] + " " * len(needle) + searched[at + len(needle) :]
        if searched.find(needle, at + len(needle)) >= 0:
            raise RedirectionError(EfiStatus.EFI_NOT_FOUND)
        if (stream, kind) in found:
            raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
        rest = text[at + len(needle) :]
        name = _variable_name(rest) if kind == "variable" else _file_name(rest)
        found[stream, kind] = Target(kind, name, append, unicode)
    if any(not target.name for target in found.values()) or len({stream for stream, _ in found}) != len(found):
        raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
    for kind in ("file", "variable"):
        names = [target.name.upper() for (_, its_kind), target in found.items() if its_kind == kind]
        if len(set(names)) != len(names):
            raise RedirectionError(EfiStatus.EFI_INVALID_PARAMETER)
    targets: list[Target | None] = [None, None, None]
    for (stream, _), target in found.items():
        targets[stream] = target
    return Redirection(text[:first], *targets)
