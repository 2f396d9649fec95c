"""The grammar declares the subcommands that are asked for; what is said of a mistake still names them all."""

from __future__ import annotations

import argparse
import shlex

import pytest

from tdvfsh.cli import grammar
from tdvfsh.cli.grammar import parse_words, whole_parser
from tdvfsh.cli.subcommands import SUBCOMMANDS, Subcommand
from tdvfsh.errors import UsageError


def test_only_the_subcommand_that_is_named_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    declared: list[str] = []

    def noted(name: str, subcommand: Subcommand) -> Subcommand:
        def declare(parser: argparse.ArgumentParser) -> None:
            declared.append(name)
            subcommand.declare(parser)

        return subcommand._replace(declare=declare)

    monkeypatch.setattr(grammar, "SUBCOMMANDS", {name: noted(name, one) for name, one in SUBCOMMANDS.items()})
    assert parse_words(["-c", "ver"])["subcommand"] == "shell"
    assert declared == []
    assert parse_words(["--memory", "2G", "boot", "vmlinuz"])["kernel"] == "vmlinuz"
    assert declared == ["boot"]


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_a_mistake_is_told_as_if_all_were_declared(name: str) -> None:
    with pytest.raises(UsageError, match=f"'nosuch' is no subcommand; choose from .*{name}"):
        parse_words(["nosuch"])
    with pytest.raises(UsageError, match=r"unrecognized arguments: --nosuch-option|are required"):
        parse_words([name, "--nosuch-option"])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bot", "'bot' is no subcommand; did you mean 'boot'? (see 'tdvfsh --help')"),
        ("images fech", "'fech' is no action; did you mean 'fetch'? (see 'tdvfsh images --help')"),
        ("cost paint", "'paint' is no action; choose from fit (see 'tdvfsh cost --help')"),
        ("--acept 3 boot k", "unrecognized arguments: --acept; did you mean '--accept'? (see 'tdvfsh --help')"),
        ("boot k --acept=3", "unrecognized arguments: --acept=3; did you mean '--accept'? (see 'tdvfsh boot --help')"),
        ("boot k --acept 3", "unrecognized arguments: --acept 3; did you mean '--accept'? (see 'tdvfsh boot --help')"),
        ("boot k -o x one", "unrecognized arguments: -o x one (see 'tdvfsh boot --help')"),
        ("cost fit a=1 --qqqqqq", "unrecognized arguments: --qqqqqq (see 'tdvfsh cost fit --help')"),
    ],
)
def test_a_mistyped_word_is_told_with_what_it_may_have_been(line: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_words(line.split())
    assert str(refused.value) == said


def test_help_names_every_subcommand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_words(["--help"])
    printed = capsys.readouterr().out
    assert all(f"\n  {name:<10} " in printed for name in SUBCOMMANDS)


@pytest.mark.parametrize(("columns", "widest"), [("60", 58), ("200", 198)])
def test_help_is_laid_out_for_the_width_that_is_told(
    columns: str, widest: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    grammar._columns.cache_clear()
    with pytest.raises(SystemExit):
        parse_words(["boot", "--help"])
    grammar._columns.cache_clear()
    lines = capsys.readouterr().out.splitlines()
    # the example is not wrapped
    assert max(len(line) for line in lines if line.startswith(("usage", "             "))) <= widest
    assert (len(lines) > 100) == (columns == "60")


def test_options_before_the_subcommand_hold_in_it() -> None:
    values = parse_words(["--memory", "2G", "boot", "k", "--vcpus", "3"])
    assert (values["memory"], values["vcpus"]) == ("2G", "3")
    assert "accept" not in values


@pytest.mark.parametrize(
    "line",
    [
        "run script.nsh --fs0 a -x one",
        "run script.nsh --td --accept 1G --engine cpu",
        "boot linux --initrd a --initrd b --memory 2G --no-td --fault accept:1=OPERAND_BUSY --json --color never",
        "exec --nvram vars shell.efi --memory 2G --fs0 disk",
        "firmware run ovmf --vcpus 2 --console",
        "cost fit 'memory=8G measured=24s' -o lab.toml",
        "images make initrd --size 8M -o made",
        "sweep spec.toml -o out --plot svg --plot png",
        "inspect a",
    ],
)
def test_a_subcommand_reads_its_words_as_the_whole_grammar_does(line: str) -> None:
    words = shlex.split(line)
    read, whole = parse_words(words), vars(whole_parser().parse_args(words))
    assert {name: value for name, value in read.items() if value} == {
        name: value for name, value in whole.items() if value
    }
