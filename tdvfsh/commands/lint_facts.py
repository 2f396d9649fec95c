"""What the linter may know of the commands: their names, options and aliases."""

from __future__ import annotations

from tdvfsh.commands.firmware.unmodelled import UNMODELLED
from tdvfsh.script.lint import Finding, OptionCheck, lint_script
from tdvfsh.script.numbers import looks_like_number
from tdvfsh.shell.command import registry
from tdvfsh.shell.environment import BUILT_IN_ALIASES


def known_commands() -> dict[str, OptionCheck | None]:
    """Every command with a test of its options; ``-b`` and ``-?`` belong to all."""
    return {name: _check(name) for name in registry.names(with_words=False)}


def _check(name: str) -> OptionCheck:
    def is_option(word: str) -> bool:
        if word in ("-b", "-?") or "%" in word:
            return True
        if name in UNMODELLED:
            what = UNMODELLED[name]
            return word.lower() in what.flags | what.valued
        command = registry.find(name)
        assert command is not None
        return command.signature.find_switch(word) is not None or (command.numbers and looks_like_number(word[1:]))

    return is_option


def lint(text: str, file: str, programs: frozenset[str] = frozenset()) -> list[Finding]:
    """Check a script against this shell's own commands, and programs that it may call without their ending."""
    return lint_script(text, known_commands(), file=file, aliases=frozenset(BUILT_IN_ALIASES), programs=programs)
