"""Help texts: the docstrings of commands, cut into the shell's sections.

A docstring's first paragraph is the NAME; ``SYNOPSIS:``, ``OPTIONS:``, ``DESCRIPTION:``, ``EXAMPLES:`` and
``RETURNVALUES:`` begin the others. A line :data:`TD_OPTIONS` among the OPTIONS stands for those of the table.
"""

from __future__ import annotations

from tdvfsh.script.words import WORDS
from tdvfsh.shell.command import registry
from tdvfsh.shell.command.help_layout import lay_out

SECTIONS: tuple[str, ...] = ("NAME", "SYNOPSIS", "OPTIONS", "DESCRIPTION", "EXAMPLES", "RETURNVALUES")
DEFAULT_SECTIONS: tuple[str, ...] = SECTIONS[:5]
TD_OPTIONS = "[TD options]"


def sections(name: str) -> dict[str, list[str]] | None:
    """The sections of a command or word, by title; None where there is no such command."""
    text = _docstring(name.lower())
    if text is None:
        return None
    found = parse(name.lower(), text)
    options = found.get("OPTIONS", [])
    if TD_OPTIONS in options:
        from tdvfsh.options.uses import use_of
        from tdvfsh.shell.command.td_switches import td_help_lines

        at = options.index(TD_OPTIONS)
        options[at : at + 1] = td_help_lines(use_of(name.lower()))
    return found


def option_lines(name: str) -> dict[str, str]:
    """What the help of a command says of each of its options, by spelling in lower case."""
    found: dict[str, str] = {}
    spellings: list[str] = []
    for line in (sections(name) or {}).get("OPTIONS", []):
        head, colon, text = line.partition(":")
        words = [part.split()[0] for part in head.split(", ") if part.strip()]
        if colon and not line.startswith(" "):
            spellings = [word.lower() for word in words if word[0] in "-+/"]
            found.update(dict.fromkeys(spellings, text.strip()))
        else:
            found.update({spelling: f"{found[spelling]} {line.strip()}" for spelling in spellings})
    return found


def _docstring(name: str) -> str | None:
    if name in WORDS:
        from tdvfsh.shell.command.wordhelp import WORD_HELP

        return WORD_HELP[name]
    command = registry.find(name)
    return None if command is None else command.function.__doc__ or ""


def parse(name: str, text: str) -> dict[str, list[str]]:
    """Cut a docstring into sections; lines lose the indentation of their section."""
    lines = text.strip().splitlines()
    found: dict[str, list[str]] = {"NAME": [f"{name} - {lines[0].strip()}" if lines else name]}
    title = ""
    for line in lines[1:]:
        stripped = line.strip()
        if stripped.removesuffix(":") in SECTIONS and stripped.endswith(":"):
            title = stripped[:-1]
            found[title] = []
        elif title:
            found[title].append(line.removeprefix("    ").removeprefix("    ").rstrip())
    for key, content in found.items():
        while content and not content[-1]:
            content.pop()
        found[key] = content
    return found


def render(name: str, wanted: tuple[str, ...], columns: int) -> str | None:
    """The text of some sections as ``help`` prints it on a screen, None where there is no such command."""
    known = sections(name)
    if known is None:
        return None
    return "".join(lay_out(title, known[title], columns) for title in SECTIONS if title in wanted and title in known)


def summary(name: str) -> str:
    """The first line of a command's help."""
    known = sections(name)
    return "" if known is None else known["NAME"][0].partition(" - ")[2]
