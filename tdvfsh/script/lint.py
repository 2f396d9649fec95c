"""Checking a script without running it.

What can be found from the text alone: blocks that do not close, labels that do not exist, unknown commands and options,
variables that nothing sets, ``if`` lines that firmware would refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import StrEnum

from tdvfsh.lazy_typing import NamedTuple
from tdvfsh.script.expansion import is_variable_name
from tdvfsh.script.lexer import Token, find_pipe, lex
from tdvfsh.script.program import label_of
from tdvfsh.script.redirection import SPELLINGS
from tdvfsh.script.text import find_comment, find_unescaped
from tdvfsh.script.words import WORDS

SHELL_VARIABLES = frozenset(
    (
        "cwd",
        "lasterror",
        "debuglasterror",
        "path",
        "profiles",
        "nonesting",
        "homefilesystem",
        "uefishellsupport",
        "uefishellversion",
        "uefiversion",
    )
)
_OPENING = {"endif": "if", "else": "if", "endfor": "for"}
_CLOSING = {"if": "endif", "for": "endfor"}
_EQUAL = ("==", "eq")
_PROGRAM_ENDS = (".nsh", ".efi")
OptionCheck = Callable[[str], bool]


class Severity(StrEnum):
    """How sure a finding is: an error ends or breaks the script, a warning may, a note says what it rests on."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """One fault in a script; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    message: str
    severity: Severity = Severity.ERROR


class _Line(NamedTuple):
    number: int
    text: str
    tokens: list[Token]


class _Linter:
    def __init__(
        self,
        commands: Mapping[str, OptionCheck | None],
        file: str,
        aliases: frozenset[str],
        programs: frozenset[str],
    ) -> None:
        self._commands = commands
        self._programs = programs
        self._aliases = aliases
        self._file = file
        self.findings: list[Finding] = []
        self._blocks: list[tuple[str, _Line]] = []
        self._labels: dict[str, int] = {}
        self._gotos: list[Token] = []
        self._set: dict[str, int] = {}
        self._read: list[tuple[str, int, int]] = []
        self._own_aliases: set[str] = set()
        self._loop_variables: set[str] = set()
        self._tested_empty: set[str] = set()
        self._runs_others = False

    def report(self, line: int, column: int, message: str, severity: Severity = Severity.ERROR) -> None:
        self.findings.append(Finding(self._file, line, column, message, severity))

    def run(self, text: str) -> list[Finding]:
        for number, raw in enumerate(text.split("\n"), 1):
            self._line(number, raw.rstrip("\r"))
        for word, line in self._blocks:
            first = line.tokens[0]
            self.report(line.number, first.column, f"'{word}' has no matching '{_CLOSING[word]}'")
        for token in self._gotos:
            if "%" not in token.text and token.text.lower() not in self._labels:
                self.report(token.line, token.column, f"there is no label ':{token.text}'")
        for name, number, column in self._read:
            if name not in self._set and name not in SHELL_VARIABLES and name not in self._tested_empty:
                self._unset(name, number, column)
        return sorted(set(self.findings))

    def _unset(self, name: str, number: int, column: int) -> None:
        if name in self._loop_variables:
            text = f"a variable of 'for' is written %{name}, not %{name}%: this is %{name} and a '%'"
            self.report(number, column, text)
            return
        known = {other.lower(): other for other in (*SHELL_VARIABLES, *self._set)}
        same = known.get(name.lower())
        if same is not None:
            text = f"variable '{name}' is never set: names are case-sensitive, did you mean '{same}'?"
            self.report(number, column, text)
            return
        near = get_close_matches(name, known.values(), n=1, cutoff=0.8)
        if self._runs_others and not near:
            text = f"variable '{name}' is never set in this script: it has a value where what the script runs sets it"
            self.report(number, column, text, Severity.NOTE)
            return
        hint = f"; did you mean '{near[0]}'?" if near else ""
        self.report(number, column, f"variable '{name}' is never set in this script{hint}", Severity.WARNING)

    def _line(self, number: int, raw: str) -> None:
        if raw.startswith("#"):
            return
        label = label_of(raw)
        if label is not None:
            self._label(number, raw, label)
            return
        comment = find_comment(raw)
        text = raw if comment < 0 else raw[:comment]
        start = len(text) - len(text.lstrip(" \t"))
        start += text[start : start + 1] == "@"
        self._variables(number, text)
        while True:
            pipe = find_pipe(text[start:])
            end = len(text) if pipe < 0 else start + pipe
            self._command(number, text[start:end], start + 1)
            if pipe < 0:
                return
            start = end + 1
            if text[start : start + 2] == "a ":
                start += 1

    def _label(self, number: int, raw: str, label: str) -> None:
        column = raw.index(":") + 1
        if not label:
            self.report(number, column, "a label needs a name right after its colon")
        elif label.lower() in self._labels:
            text = f"label ':{label}' stands in line {self._labels[label.lower()]} already"
            self.report(number, column, text, Severity.WARNING)
        else:
            self._labels[label.lower()] = number

    def _variables(self, number: int, text: str) -> None:
        at = 0
        while (start := find_unescaped(text, "%", at)) >= 0:
            end = find_unescaped(text, "%", start + 1)
            if end < 0:
                return
            name = text[start + 1 : end]
            if is_variable_name(name) and text[start - 1 : start] == text[end + 1 : end + 2] == "%":
                at = end + 1  # %%NAME%%, a mark that a text is put in for before the script is used
            elif is_variable_name(name):
                self._read.append((name, number, start + 1))
                at = end + 1
            else:
                at = start + 1

    def _command(self, number: int, text: str, column: int) -> None:
        tokens = lex(text.replace("\t", " "), line=number, column=column)
        if not tokens:
            return
        if not tokens[-1].closed:
            self._open_quote(number, tokens[-1])
            return
        tokens = self._without_redirections(tokens)
        if not tokens:
            self.report(number, column, "a redirection without a command")
            return
        line = _Line(number, text, tokens)
        name = tokens[0].text.lower()
        if name in WORDS:
            self._word(name, line)
        else:
            self._known(name, line)

    def _open_quote(self, number: int, token: Token) -> None:
        """Variables are replaced before quotes are looked at, so one may close what the text leaves open."""
        if "%" in token.text:
            text = "a quote is never closed, unless the value of a variable closes it"
            self.report(number, token.column, text, Severity.WARNING)
        else:
            self.report(number, token.column, "a quote is never closed; firmware does not run this line")

    def _without_redirections(self, tokens: list[Token]) -> list[Token]:
        for index, token in enumerate(tokens):
            if token.raw in SPELLINGS and index:
                if index + 1 == len(tokens):
                    self.report(token.line, token.column, f"'{token.text}' needs a name after it")
                else:
                    if token.raw.endswith("v"):
                        self._set.setdefault(tokens[index + 1].text.strip("%"), token.line)
                    self._without_redirections(tokens[index + 1 :])
                return tokens[:index]
        return tokens

    def _word(self, name: str, line: _Line) -> None:
        first = line.tokens[0]
        words = [token.text for token in line.tokens]
        if name in _CLOSING:
            self._blocks.append((name, line))
            if name == "if":
                self._if(line, words)
            else:
                self._for(line, words)
        elif name in _OPENING:
            opening = _OPENING[name]
            if not self._blocks or self._blocks[-1][0] != opening:
                self.report(line.number, first.column, f"'{name}' has no matching '{opening}'")
            elif name != "else":
                self._blocks.pop()
            if len(words) > 1 and name != "else":
                self.report(line.number, line.tokens[1].column, f"'{name}' takes no words")
        elif name == "goto":
            if len(words) != 2:
                self.report(line.number, first.column, "'goto' takes exactly one label")
            else:
                self._gotos.append(line.tokens[1])

    def _if(self, line: _Line, words: list[str]) -> None:
        lowered = [word.lower() for word in words]
        self._compare_with_nothing(words)
        if "then" not in lowered:
            self.report(line.number, line.tokens[0].column, "'if' needs 'then' at the end of its line")
        elif lowered.index("then") != len(words) - 1:
            token = line.tokens[lowered.index("then") + 1]
            self.report(line.number, token.column, "nothing may follow 'then'; the command belongs on the next line")
        elif len(words) < 3:
            self.report(line.number, line.tokens[0].column, "'if' without a condition")

    def _compare_with_nothing(self, words: list[str]) -> None:
        """A script that asks whether a variable is empty knows that it may not be set."""
        for left, operator, right in zip(words, words[1:], words[2:], strict=False):
            if operator.lower() in _EQUAL:
                for value, other in ((left, right), (right, left)):
                    if not other and len(value) > 2 and value.startswith("%") and value.endswith("%"):
                        self._tested_empty.add(value[1:-1])

    def _for(self, line: _Line, words: list[str]) -> None:
        if len(words) < 4:
            self.report(line.number, line.tokens[0].column, "'for' needs a variable, 'in' or 'run', and values")
            return
        variable = words[1]
        if len(variable) != 2 or variable[0] != "%" or not variable[1].isalpha():
            self.report(line.number, line.tokens[1].column, f"'{variable}' is not a loop variable (% and one letter)")
        else:
            self._loop_variables.add(variable[1])
        if words[2].lower() not in ("in", "run"):
            self.report(line.number, line.tokens[2].column, f"'{words[2]}' should be 'in' or 'run'")

    def _known(self, name: str, line: _Line) -> None:
        first = line.tokens[0]
        words = line.tokens[1:]
        if name == "set":
            named = [token.text for token in words if not token.text.startswith("-")]
            if len(named) > 1 and not any(token.text.lower() == "-d" for token in words):
                self._set.setdefault(named[0], line.number)
        if name == "alias":
            self._own_aliases.update(token.text.lower() for token in words[:2] if not token.text.startswith("-"))
        if name in self._commands:
            check = self._commands[name]
            for token in words:
                if check is not None and token.text.startswith("-") and len(token.text) > 1 and not check(token.text):
                    self.report(line.number, token.column, f"'{name}' has no option '{token.text}'")
            return
        word, colon, _ = name.partition(":")
        if colon and (word in WORDS or word in self._commands):
            text = f"'{first.text}' is taken for a mapping and ends the script: write '{word}' without the colon"
            self.report(line.number, first.column, text)
            return
        self._runs_others = True
        is_path = any(character in first.text for character in "\\/:.%") or name.endswith(_PROGRAM_ENDS)
        known = self._aliases | self._own_aliases | self._programs
        if not is_path and name not in known:
            near = get_close_matches(name, [*self._commands, *WORDS], n=1, cutoff=0.75) if len(name) > 3 else []
            hint = f"; did you mean '{near[0]}'?" if near else ""
            where = f"it runs where {first.text}.efi or .nsh is in the path"
            text = f"'{first.text}' is not a command of this shell: {where}{hint}"
            self.report(line.number, first.column, text, Severity.NOTE)


def lint_script(
    text: str,
    known_commands: Mapping[str, OptionCheck | None],
    *,
    file: str = "",
    aliases: frozenset[str] = frozenset(),
    programs: frozenset[str] = frozenset(),
) -> list[Finding]:
    """Check a script.

    Args:
        text: The script.
        known_commands: Lower-case command names; each with a test whether a word is one of its options, or None where
            its options are not checked.
        file: Name for the findings.
        aliases: Lower-case names that stand for commands.
        programs: Lower-case names of programs and scripts that it may call without their ending.

    Returns:
        All findings in order of lines.
    """
    return _Linter(known_commands, file, aliases, programs).run(text)
