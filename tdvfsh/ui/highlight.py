"""What the parts of a typed line are, for their colours. Looks at names only, never at a disk."""

from __future__ import annotations

import re

from tdvfsh.lazy_typing import Final
from tdvfsh.script.words import WORDS
from tdvfsh.shell.command import registry
from tdvfsh.shell.shell import Shell

Fragment = tuple[str, str]

_PARTS: Final = re.compile(
    r"(?P<escape>\^.)"
    r"|(?P<comment>\#.*)"
    r'|(?P<string>"(?:\^.|[^"])*"?)'
    r"|(?P<variable>%\w+%?)"
    r"|(?P<operator>\|a?(?=\ |$)|(?<=\ )(?:[12]?>>?|<)[av]?(?=\ |$)|[|<>])"
    r"|(?P<option>(?<=\ )[-/][?\w-]+)"
    r"|(?P<number>(?<![\w\\:.-])0[xX][0-9A-Fa-f]+\b)"
    r"|(?P<blank>\ +)"
    r"""|(?P<word>[^\s"%#^|<>]+|.)"""
)


def highlight(shell: Shell, line: str) -> list[Fragment]:
    """Cut a line into style classes and texts; the texts joined are the line."""
    found: list[Fragment] = []
    first = True
    for match in _PARTS.finditer(line):
        kind, text = match.lastgroup or "word", match[0]
        if kind == "word" and first:
            kind = _first_word(shell, text)
        if kind == "variable" and not text.endswith("%"):
            kind = "word"
        if kind == "operator":
            first = text.startswith("|")
        elif kind not in ("blank", "comment"):
            first = False
        found.append(("" if kind in ("word", "blank") else f"class:{kind}", text))
    return found


def _first_word(shell: Shell, text: str) -> str:
    name = text.removeprefix("@")
    if registry.is_command(name) or name.lower() in WORDS or shell.alias_of(name) is not None:
        return "command"
    return "drive" if name.endswith(":") and shell.drives.find(name) is not None else "word"
