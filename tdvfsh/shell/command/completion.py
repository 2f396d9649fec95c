"""What could stand at the cursor of a half-typed line.

The line lexes as far as it goes; the command's annotations say what the word under the cursor is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tdvfsh.lazy_typing import TYPE_CHECKING, Any, NamedTuple
from tdvfsh.options.uses import use_of
from tdvfsh.script.lexer import Token, lex
from tdvfsh.script.redirection import SPELLINGS
from tdvfsh.script.words import WORDS
from tdvfsh.shell.command import registry
from tdvfsh.shell.command.helptext import option_lines
from tdvfsh.shell.command.signature import Parameter, Signature, Switch
from tdvfsh.shell.drives.paths import clean, split_drive
from tdvfsh.shell.drives.search import list_directory, sort_key

if TYPE_CHECKING:
    from tdvfsh.options.option import Option as TableOption
    from tdvfsh.shell.shell import Shell

_OF_EVERY_COMMAND = {"-b": "Stop after each screen.", "-?": "Show the command's help."}


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
        cursor: Offset in it; what follows is ignored.
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
    wanted: Switch | Parameter | None
    _, value = signature.spelled(raw)
    if value is not None:
        wanted, start, raw = signature.find_switch(raw), start + len(raw) - len(value), value
    elif raw.startswith(("-", "/", "+")):
        return _options(name, signature, raw, start)
    else:
        wanted = _wanted_at(signature, [token.text for token in before[1:]])
    if wanted is None:
        return []
    if isinstance(wanted, Switch) and wanted.table_option is not None:
        return _td_values(shell, name, wanted.table_option, raw, start) if wanted.kind is not None else []
    kind = None if wanted.kind is None else wanted.kind.name
    if kind in _PLACES:
        kind = _PLACES[kind]([token.text for token in before[1:]])
    return [] if kind is None else _values(shell, kind, raw, start, [token.text for token in before[1:]])


def _options(name: str, signature: Signature, raw: str, start: int) -> list[Completion]:
    """The options of a command, each with its line of help, in as many dashes as were typed."""
    lines = {**_OF_EVERY_COMMAND, **option_lines(name)}
    more = "-" if signature.two_dashes and raw.startswith("--") else ""
    without = use_of(name).without
    apply = (one for one in signature.switches if one.table_option is None or one.table_option.name not in without)
    spellings = [switch.spelling for switch in apply] + list(_OF_EVERY_COMMAND)
    found = _matching((more + spelling for spelling in spellings), raw, start, "option")
    return [item._replace(meta=lines.get(item.text[len(more) :].lower()) or item.meta) for item in found]


def _td_values(shell: Shell, name: str, option: TableOption[Any, Any], raw: str, start: int) -> list[Completion]:
    """Values of a TD option, where it takes several of the one after the last comma."""
    if option.is_file:
        return _values(shell, f"{option.image}_image" if option.image else "file", raw, start, [])
    several = option.repeats or option.name in use_of(name).several
    cut = raw.rfind(",") + 1 if several else 0
    wanted = raw[cut:].lower()
    values = (value for value in option.proposals() if value.lower().startswith(wanted))
    found = [Completion(value, start + cut, option.meaning(value)) for value in values]
    if option.suffix and raw:
        files = _files(shell, raw[cut:], start + cut, directories_only=False)
        found += [item for item in files if item.meta == "directory" or option.names_file(item.text.rstrip('"'))]
    return found


def _wanted_at(signature: Signature, words: list[str]) -> Switch | Parameter | None:
    """What the next word is: the value of an option, or an argument."""
    index = 0
    waiting: Switch | None = None
    for word in words:
        switch = signature.find_switch(word)
        if switch is not None:
            ended = switch.kind is None or switch.prefix or signature.spelled(word)[1] is not None
            waiting = None if ended else switch
        elif waiting is not None:
            waiting = None
        elif not word.startswith("-"):
            index += 1
    if waiting is not None:
        return waiting
    return signature.parameters[index] if index < len(signature.parameters) else signature.variadic


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


def _values(shell: Shell, kind: str, raw: str, start: int, words: list[str]) -> list[Completion]:
    described = _DESCRIBED.get(kind)
    if described is not None:
        wanted = raw.lower()
        return [Completion(text, start, meta) for text, meta in described(shell, words) if text.startswith(wanted)]
    provider = _PROVIDERS.get(kind)
    if provider is not None:
        return _matching(provider(shell), raw, start, kind.replace("_", " "))
    if kind in _IMAGES:
        return [*_files(shell, raw, start, directories_only=False), *_images(_IMAGES[kind], raw, start)]
    if kind in ("file", "directory"):
        return _files(shell, raw, start, directories_only=kind == "directory")
    return []


def _images(role: str, raw: str, start: int) -> list[Completion]:
    """Images of the catalogue that have such a file, once a letter is typed."""
    from tdvfsh.images.named import names_of

    wanted = raw.lower()
    return [Completion(name, start, "image") for name in (names_of(role) if raw else ()) if name.startswith(wanted)]


def _memory_types(shell: Shell) -> Iterable[str]:
    from tdvfsh.uefi.memory import EfiMemoryType

    return [member.name.removeprefix("Efi") for member in EfiMemoryType]


_PROVIDERS: dict[str, Callable[[Shell], Iterable[str]]] = {
    "command": lambda shell: registry.names(),
    "variable": lambda shell: [name for name, _ in shell.variables()],
    "mapping": lambda shell: shell.drives.all_names(),
    "memory_type": _memory_types,
}

_IMAGES = {
    "kernel_image": "kernel",
    "initrd_image": "initrd",
    "firmware_image": "firmware",
    "program_image": "program",
}
_PLACES: dict[str, Callable[[list[str]], str | None]] = {}
_DESCRIBED: dict[str, Callable[[Shell, list[str]], Iterable[tuple[str, str]]]] = {}


def add_provider(kind: str, provider: Callable[[Shell], Iterable[str]]) -> None:
    """Let a command family offer words for a type of its own, such as ``handle`` or ``service``."""
    _PROVIDERS[kind] = provider


def add_place(kind: str, find: Callable[[list[str]], str | None]) -> None:
    """Let the words in front of an argument of this kind decide what it is: ``find`` returns the kind, or None."""
    _PLACES[kind] = find


def add_described(kind: str, provider: Callable[[Shell, list[str]], Iterable[tuple[str, str]]]) -> None:
    """Offer words in an order and with a description of their own; the words of the command so far are handed in."""
    _DESCRIBED[kind] = provider


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
