"""Every command that help, hints, messages, pages and the demo name exists, and takes the options that stand there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import tdvfsh
from tdvfsh.cli.grammar import parse_words
from tdvfsh.cli.subcommands import SUBCOMMANDS
from tdvfsh.errors import UsageError
from tdvfsh.shell.command import registry
from tests.documents.blocks import blocks_of

ROOT = Path(__file__).parents[1]
PACKAGE = Path(tdvfsh.__file__).parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
_QUOTED = re.compile(r"'(tdvfsh(?: [^']*)?)'")
_CODE = re.compile(r"`(tdvfsh(?: [^`]*)?)`")
_NAMES_OF_KEYS = "tdvfsh test "
"""How the names of the test keys begin that sign our quotes: they are no commands."""
_HELP = re.compile(r"'help (?:-\w+ )?([a-z]+)'")
_NOT_KNOWN = re.compile(
    r"unrecognized arguments|invalid choice|is no (?:subcommand|action)|does not apply|applies only"
)


def texts() -> Iterator[tuple[str, str]]:
    """String constants of the program, docstrings of commands among them, and its templates."""
    for path in sorted(PACKAGE.rglob("*")):
        where = str(path.relative_to(PACKAGE))
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield where, node.value
        elif path.suffix in (".html", ".js", ".j2"):
            yield where, path.read_text(encoding="utf-8")


def named_commands() -> list[tuple[str, str]]:
    found = [(where, command) for where, text in texts() for command in _QUOTED.findall(text)]
    found += [
        (f"{name}: example", line.strip()) for name, one in SUBCOMMANDS.items() for line in one.example.splitlines()
    ]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in blocks_of(text):
            lines = [command.text.replace("\\\n", " ") for command in block.commands()]
            lines += block.lines if block.language == "sh" else []
            found += [(page.name, line) for line in lines]
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        found += [(page.name, " ".join(command.split())) for command in _CODE.findall(prose)]
    return [one for one in dict.fromkeys(found) if not one[1].startswith(_NAMES_OF_KEYS)]


def calls_of(line: str) -> Iterator[list[str]]:
    """The words of each call of tdvfsh in a line of the host's shell; what stands for something else is left out."""
    line = line.replace("%%", "%")
    try:
        words = shlex.split(line, comments=True)
    except ValueError:  # a sentence, or an open quote
        return
    for number, word in enumerate(words):
        if word.rpartition("/")[2] == "tdvfsh":
            rest = []
            for each in words[number + 1 :]:
                if each in ("|", "&&", ";", ">", "<", "2>"):
                    break
                rest.append(each)
            yield [each for each in rest if each not in ("…", "...", "\\")]


@pytest.mark.parametrize(("where", "line"), named_commands())
def test_a_command_that_is_named_is_there(where: str, line: str) -> None:
    for words in calls_of(line):
        if "--help" in words or "SUBCOMMAND" in words or any("{" in word for word in words):
            continue
        if words and not words[0].startswith("-"):
            assert words[0] in SUBCOMMANDS, f"{where}: {line}"
        said = ""
        try:
            parse_words(words)
        except UsageError as error:
            said = str(error)
        assert not _NOT_KNOWN.search(said), f"{where}: {line}: {said}"


def test_the_shells_commands_that_are_named_are_there() -> None:
    named = {(where, name) for where, text in texts() for name in _HELP.findall(text)}
    assert named
    assert [one for one in named if not registry.is_command(one[1])] == []


def test_the_check_finds_what_is_not_there() -> None:
    with pytest.raises(AssertionError):
        test_a_command_that_is_named_is_there("here", "tdvfsh nonsense")
    with pytest.raises(AssertionError, match="unrecognized"):
        test_a_command_that_is_named_is_there("here", "tdvfsh boot linux --nonsense")
    assert list(calls_of("printf 'x' | tdvfsh exec shell -nostartup  # a note")) == [["exec", "shell", "-nostartup"]]
    assert len(named_commands()) > 100
