"""Words of a command line, with the place each came from.

Blanks separate, double quotes group, a caret keeps the next character plain. A half-typed line lexes too: a word whose
quote is still open says so in ``closed``.

Source: edk2 ShellPkg/Application/Shell/ShellParametersProtocol.c (FindEndOfParameter, GetNextParameter).
"""

from __future__ import annotations

from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.script.text import find_first


class Token(NamedTuple):
    """One word of a line.

    ``text`` is the word as a command sees it, ``raw`` as it was typed; ``start`` and ``end`` are offsets into the line;
    ``line`` and ``column`` count from 1; ``closed`` is False while a quote is open.
    """

    text: str
    raw: str
    start: int
    end: int
    line: int
    column: int
    closed: bool = True


def _end_of_word(text: str, start: int) -> tuple[int, bool]:
    at = start
    while True:
        at = find_first(text, ' "', at)
        if at >= len(text) or text[at] == " ":
            return min(at, len(text)), True
        at = find_first(text, '"', at + 1)
        if at >= len(text):
            return len(text), False
        at += 1


def unescape(raw: str, *, keep_quotes: bool = False) -> str:
    """Resolve carets and, unless ``keep_quotes``, drop the quotes of one word."""
    if "^" not in raw and '"' not in raw:
        return raw
    pieces: list[str] = []
    at = 0
    while at < len(raw):
        character = raw[at]
        if character == "^":
            at += 1
            pieces.append(raw[at : at + 1])
        elif character != '"' or keep_quotes:
            pieces.append(character)
        at += 1
    return "".join(pieces)


def lex(text: str, *, line: int = 1, column: int = 1, keep_quotes: bool = False) -> list[Token]:
    """All words of a line.

    Args:
        text: The line.
        line: Number of the line in its script.
        column: Column of the first character.
        keep_quotes: Leave quotes in ``Token.text``, as for a script's own arguments.
    """
    tokens: list[Token] = []
    at, length = 0, len(text)
    while True:
        while at < length and text[at] == " ":
            at += 1
        if at >= length:
            return tokens
        end, closed = _end_of_word(text, at)
        raw = text[at:end]
        word = unescape(raw, keep_quotes=keep_quotes)
        tokens.append(Token(text=word, raw=raw, start=at, end=end, line=line, column=column + at, closed=closed))
        at = end


def split_words(text: str, *, keep_quotes: bool = False) -> list[str] | None:
    """The words of a complete line, or None where a quote stays open (INVALID_PARAMETER on firmware)."""
    tokens = lex(text.strip(" \t"), keep_quotes=keep_quotes)
    if tokens and not tokens[-1].closed:
        return None
    return [token.text for token in tokens]


def find_pipe(text: str) -> int:
    """Position of the first ``|`` that is neither escaped nor inside a closed pair of quotes, or -1.

    Quirk of edk2: a quote that is never closed protects nothing.
    """
    pipe = find_first(text, "|")
    quote = _next_quote(text, 0)
    while pipe < len(text):
        if quote < 0 or quote > pipe:
            return pipe
        closing = _next_quote(text, quote + 1)
        if closing < 0:
            return pipe
        if closing >= pipe:
            pipe = find_first(text, "|", pipe + 1)
        quote = _next_quote(text, closing + 1)
    return -1


def _next_quote(text: str, start: int) -> int:
    at = text.find('"', start)
    while at > start and text[at - 1] == "^":
        at = text.find('"', at + 1)
    return at
