"""Help for the word under the cursor."""

from __future__ import annotations

from tdvfsh.script.lexer import lex
from tdvfsh.shell.command.helptext import DEFAULT_SECTIONS, render
from tdvfsh.shell.shell import Shell


def help_for(shell: Shell, line: str, cursor: int) -> str:
    """Help for the command, alias or word of the language at the cursor, else for the command it belongs to.

    Args:
        shell: Knows the aliases.
        line: The line as typed so far.
        cursor: Offset in it.
    """
    start = line.rfind("|", 0, cursor) + 1
    tokens = lex(line[start:])
    if not tokens:
        return "F1 helps with the word under the cursor; 'help' lists all commands.\n"
    under = [token.text for token in tokens if token.start <= cursor - start <= token.end]
    for word in [*under[:1], tokens[0].text.removeprefix("@")]:
        stands_for = shell.alias_of(word)
        text = render(word, DEFAULT_SECTIONS, shell.columns())
        if text is None and stands_for is not None:
            text = render(stands_for.partition(" ")[0], DEFAULT_SECTIONS, shell.columns())
        if text is not None:
            return text
    return f"No help could be found for command '{tokens[0].text}'.\n"
