"""``tdvfsh man``: the manual page, made from the grammar.

Source: groff_man(7).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from tdvfsh import __version__
from tdvfsh.cli.arguments import Arguments
from tdvfsh.cli.grammar import EXIT_STATUS, whole_parser
from tdvfsh.cli.output import print_json, print_script
from tdvfsh.cli.subcommands import SUBCOMMANDS
from tdvfsh.options.td import OPTIONS
from tdvfsh.report.schema import document


def run_man(arguments: Arguments) -> int:
    """Print the page: ``tdvfsh man >tdvfsh.1``."""
    if arguments.flag("json"):
        print_json(document("man", {"page": "\n".join(_page())}))
    else:
        print_script(_page())
    return 0


def _page() -> Iterator[str]:
    parser = whole_parser()
    (commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    yield f'.TH TDVFSH 1 "" "tdvfsh {__version__}" "User Commands"'
    yield from (".SH NAME", "tdvfsh \\- a UEFI shell over a virtual Intel TDX trust domain")
    yield from (".SH SYNOPSIS", ".B tdvfsh", "[\\fISUBCOMMAND\\fR] [\\fIOPTION\\fR ...]")
    yield from (".SH DESCRIPTION", "Without a subcommand it opens the shell, on a terminal with a prompt.")
    yield ".SH SUBCOMMANDS"
    for name, subcommand in SUBCOMMANDS.items():
        yield from (".SS " + name, _text(f"{subcommand.summary[0].upper()}{subcommand.summary[1:]}."))
        yield from _options(commands.choices[name])
        yield from (".PP", "Example:", ".PP", ".nf", *map(_text, subcommand.example.splitlines()), ".fi")
    yield ".SH OPTIONS"
    yield from _options(parser, table=True)
    yield from (".SH EXIT STATUS", ".nf", *map(_text, EXIT_STATUS.format(fails="").splitlines()[1:]), ".fi")


def _options(parser: argparse.ArgumentParser, *, table: bool = False) -> Iterator[str]:
    """The arguments of a parser; the TD options, which most have, stand once."""
    for action in parser._actions:
        if action.help == argparse.SUPPRESS or action.dest in ("help", "color" if not table else ""):
            continue
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items() if action.dest != "subcommand" else ():
                yield from (".PP", f".B {_text(name)}")
                yield from _options(below)
            continue
        if not table and action.dest in OPTIONS:
            continue
        value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
        flags = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in action.option_strings)
        yield from (".TP", f"{flags} \\fI{_text(value)}\\fR".strip(), _text(action.help or ""))


def _text(text: str) -> str:
    """Text as troff reads it: no escapes, no request at the start of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("%%", "%")
    return f"\\&{text}" if text.startswith((".", "'")) else text
