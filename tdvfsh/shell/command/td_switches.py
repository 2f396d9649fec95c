"""The TD options as options of a command at the prompt, made from the table."""

from __future__ import annotations

from tdvfsh.options.kinds import Switch as TableSwitch
from tdvfsh.options.td import OPTIONS
from tdvfsh.options.uses import Use
from tdvfsh.shell.command.signature import Switch
from tdvfsh.shell.command.types import Kind, Option

_WORD = Kind("td_option", lambda word: word)


def td_switches(keyword: str) -> list[Switch]:
    """A switch for each option of the table; what is given reaches the parameter ``keyword``, by the options' names."""
    found: list[Switch] = []
    for option in OPTIONS.values():
        spelling = f"-{option.spelling}"
        if option.takes_value:
            marker = Option(spelling, repeats=option.repeats)
            found.append(Switch(keyword, spelling, _WORD, marker, table_option=option))
        else:
            for prefix, value in (("-", True), ("-no-", False)):
                spelled = f"{prefix}{option.spelling}"
                found.append(Switch(keyword, spelled, None, None, table_option=option, stands_for=value))
    return found


def td_help_lines(use: Use) -> list[str]:
    """The lines of help for the options that apply."""
    lines = []
    for option in OPTIONS.values():
        if option.name in use.without:
            continue
        if isinstance(option, TableSwitch):
            lines += [
                f"-{option.spelling}: {_sentence(option.line())}",
                f"-no-{option.spelling}: {_sentence(option.off)}",
            ]
            continue
        form = option.form.lower()
        form = f"{form}[,{form}...]" if option.name in use.several or option.repeats else form
        lines.append(f"-{option.spelling} {form}: {_sentence(option.line())}")
    return lines


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
