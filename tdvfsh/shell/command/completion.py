"""What could stand at the cursor of a half-typed line.

The line lexes as far as it goes; the command's annotations say what the word under the cursor is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from tdvfsh.script.lexer import Token, lex
from tdvfsh.script.redirection import SPELLINGS
from tdvfsh.script.words import WORDS
from tdvfsh.shell.command import registry
from tdvfsh.shell.command.signature import Signature
from tdvfsh.shell.drives.paths import clean, split_drive
from tdvfsh.shell.drives.search import list_directory, sort_key

if TYPE_CHECKING:
    from tdvfsh.shell.shell import Shell


class Completion(NamedTuple):
    """One proposal: ``text`` replaces the line from ``start`` to the cursor; ``meta`` says what it is."""

    text: str
    start: int
    meta: str


def complete(shell: Shell, text: str, cursor: int) -> list[Completion]:
    """Proposals for the word at the cursor, in order of their names.

    Args:
        shell: The shell.
        text: The line as typed so far.
        cursor: Offset in it; what stands behind is ignored.
    """
    typed = text[:cursor]
    command_start = typed.rfind("|") + 1
    tokens = lex(typed[command_start:])
    inside = bool(tokens) and tokens[-1].end == len(typed) - command_start
    if inside and not tokens[-1].closed:
        inside = True
    word = tokens[-1] if inside else None
    start = command_start + (word.start if word is not None else len(typed) - command_start)
    raw = word.raw if word is not None else ""
    percent = _open_percent(raw)
    if percent >= 0:
        names = (name for name, _ in shell.variables())
        return _matching((f"%{name}%" for name in names), raw[percent:], start + percent, "variable", fold=False)
    before = tokens[:-1] if word is not None else tokens
    return _word(shell, before, raw, start)


def _word(shell: Shell, before: list[Token], raw: str, start: int) -> list[Completion]:
    if not before:
        return _first_word(shell, raw, start)
    if before[-1].text in SPELLINGS:
        return _files(shell, raw, start, directories_only=False)
    name = before[0].text.lower()
    alias = shell.alias_of(name)
    name = name if registry.is_command(name) or alias is None else alias.partition(" ")[0]
    command = registry.find(name)
    if command is None:
        return _files(shell, raw, start, directories_only=False)
    signature = command.signature
    if raw.startswith(("-", "/")):
        spellings = [switch.spelling for switch in signature.switches] + ["-b", "-?"]
        return _matching(spellings, raw, start, "option")
    kind = _kind_at(signature, [token.text for token in before[1:]])
    return [] if kind is None else _values(shell, kind, raw, start)


def _kind_at(signature: Signature, words: list[str]) -> str | None:
    """Name of the type that the next word has."""
    index = 0
    waiting: str | None = None
    for word in words:
        switch = signature.find_switch(word)
        if switch is not None:
            waiting = switch.kind.name if switch.kind is not None and not switch.prefix else None
        elif waiting is not None:
            waiting = None
        elif not word.startswith("-"):
            index += 1
    if waiting is not None:
        return waiting
    if index < len(signature.parameters):
        return signature.parameters[index].kind.name
    return signature.variadic.kind.name if signature.variadic is not None else None


def _first_word(shell: Shell, raw: str, start: int) -> list[Completion]:
    found = [*_matching(registry.names(with_words=False), raw, start, "command")]
    if shell.interpreter.program is not None:
        found += _matching(WORDS, raw, start, "word")
    found += _matching((name for name, _, _ in shell.aliases.items()), raw, start, "alias")
    if raw:
        found += _matching(shell.drives.all_names(), raw, start, "drive") if "\\" not in raw else []
        runnable = (".nsh", ".efi", "\\")
        files = _files(shell, raw, start, directories_only=False)
        found += [item for item in files if item.text.lower().rstrip('"').endswith(runnable)]
    return found


def _values(shell: Shell, kind: str, raw: str, start: int) -> list[Completion]:
    provider = _PROVIDERS.get(kind)
    if provider is not None:
        return _matching(provider(shell), raw, start, kind.replace("_", " "))
    if kind in ("file", "directory"):
        return _files(shell, raw, start, directories_only=kind == "directory")
    return []


def _memory_types(shell: Shell) -> Iterable[str]:
    from tdvfsh.uefi.memory import EfiMemoryType

    return [member.name for member in EfiMemoryType]


_PROVIDERS: dict[str, Callable[[Shell], Iterable[str]]] = {
    "command": lambda shell: registry.names(),
    "variable": lambda shell: [name for name, _ in shell.variables()],
    "mapping": lambda shell: shell.drives.all_names(),
    "memory_type": _memory_types,
}


def add_provider(kind: str, provider: Callable[[Shell], Iterable[str]]) -> None:
    """Let a command family offer words for a type of its own, such as ``handle`` or ``service``."""
    _PROVIDERS[kind] = provider


def _open_percent(raw: str) -> int:
    """Where a ``%name`` begins that the cursor stands in, or -1."""
    count = raw.count("%") - raw.count("^%")
    return raw.rfind("%") if count % 2 else -1


def _matching(names: Iterable[str], raw: str, start: int, meta: str, *, fold: bool = True) -> list[Completion]:
    wanted = raw.lower() if fold else raw
    found = {name for name in names if (name.lower() if fold else name).startswith(wanted)}
    return [Completion(name, start, meta) for name in sorted(found, key=str.lower)]


def _files(shell: Shell, raw: str, start: int, *, directories_only: bool) -> list[Completion]:
    typed = raw.replace('"', "")
    cut = max(typed.rfind("\\"), typed.rfind("/"), typed.rfind(":")) + 1
    folder, stem = typed[:cut], typed[cut:].lower()
    full = shell.qualify(folder or ".\\") if folder or shell.current is not None else ""
    drive, _ = split_drive(clean(full + "\\"))
    mapping = shell.drives.find(drive) if drive else None
    if mapping is None:
        return []
    located = shell.locate(full)
    parts = located[1] if located is not None else ()
    found: list[Completion] = []
    for item in sorted(list_directory(mapping, drive, parts), key=lambda one: sort_key(one.name)):
        if item.is_dot or not item.name.lower().startswith(stem):
            continue
        if directories_only and not item.info.is_directory:
            continue
        path = folder + item.name + ("\\" if item.info.is_directory else "")
        shown = f'"{path}"' if " " in path else path
        found.append(Completion(shown, start, "directory" if item.info.is_directory else "file"))
    return found
