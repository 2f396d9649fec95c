"""The command line's grammar."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from functools import cache

from tdvfsh import __version__
from tdvfsh.cli.arguments import FILE_SYSTEMS
from tdvfsh.cli.config import NO_CONFIG
from tdvfsh.cli.subcommands import SUBCOMMANDS, TASKS, Subcommand
from tdvfsh.errors import UsageError
from tdvfsh.lazy_typing import Any, Final, NoReturn
from tdvfsh.options.kinds import Switch
from tdvfsh.options.option import Option
from tdvfsh.options.td import OPTIONS
from tdvfsh.options.uses import Use, use_of
from tdvfsh.ui.colour import COLOUR_CHOICES

_EXAMPLES: Final = """\
examples:
  tdvfsh demo                                        the main job on real images
  tdvfsh boot installer-13 --memory 2G --accept 192M --cmdline nokaslr
  tdvfsh boot vmlinuz --initrd initrd.img --memory 2G --accept 512M --on-demand service
  tdvfsh compare vmlinuz --initrd initrd.img         every option side by side
  tdvfsh -c memmap                                   one shell command in a lazily accepted TD
  tdvfsh images list                                 names that do as well as paths of files
"""
EXIT_STATUS: Final = """\
exit status:
  0     success
  1     {fails}the host refused, or a file is not what it should be
  2     misuse: invalid options, a file that is not there, an extra that is not installed
  70    a defect of tdvfsh
  128+N ended by signal N: 130 Ctrl-C, 143 SIGTERM, 141 nobody reads the output"""
_COLUMNS: Final = 80
_OF_ALL: Final = Subcommand("", "", lambda parser: None, fails="the boot or the check failed")


class _Help(argparse.RawDescriptionHelpFormatter):
    """Help formatter that knows the terminal's width: argparse imports shutil and looks it up for each option.

    It breaks no names, as ``sd-boot``, at their hyphens.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)

    def _split_lines(self, text: str, width: int) -> list[str]:
        from textwrap import wrap

        return wrap(" ".join(text.split()), width, break_on_hyphens=False)


@cache
def _columns() -> int:
    with suppress(KeyError, ValueError):
        if columns := max(int(os.environ["COLUMNS"]), 0):
            return columns
    with suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _COLUMNS  # type: ignore[union-attr]
    return _COLUMNS


class _Parser(argparse.ArgumentParser):
    """A parser that tells of words it does not know where they stand, and which ones were meant perhaps."""

    _words: Sequence[str] = ()

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help')")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = args or ()
        values, left = super().parse_known_args(args, namespace)
        if left:
            self._refuse_words(left)
        return values, left

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            before = self._words[: self._words.index(value)]
            unknown = [word for word in before if word.startswith("--") and not self._knows(word)]
            if unknown:  # what follows it is its value, and no subcommand
                self._refuse_words(unknown)
            from tdvfsh.shell.command.suggest import did_you_mean

            hint = did_you_mean(value, action.choices) or f"choose from {', '.join(action.choices)}"
            self.error(f"'{value}' is no {str(action.metavar).lower()}; {hint}")
        super()._check_value(action, value)

    def _knows(self, word: str) -> bool:
        return word.partition("=")[0] in self._option_string_actions

    def _refuse_words(self, left: Sequence[str]) -> NoReturn:
        from tdvfsh.shell.command.suggest import close_names

        options = [word.partition("=")[0] for word in left if word.startswith("--")]
        likest = close_names(options[0], self._option_string_actions)[:1] if options else []
        hint = f"; did you mean '{likest[0]}'?" if likest else ""
        self.error(f"unrecognized arguments: {' '.join(left)}{hint}")


class _Version(argparse.Action):
    """The version, and in a checkout the commit that it is made of."""

    def __call__(self, parser: argparse.ArgumentParser, *rest: object) -> NoReturn:
        from tdvfsh.cli.output import print_lines

        commit = _commit()
        print_lines([f"tdvfsh {__version__}{f' ({commit})' if commit else ''}"])
        parser.exit()


def _commit() -> str:
    """What git calls the checkout that this program runs from; empty where it runs from an installed package."""
    import subprocess
    from pathlib import Path

    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--tags", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """The values of a command line, by name.

    Raises:
        UsageError: It cannot be understood.
    """
    values = None
    named = frozenset(words)
    if named.isdisjoint(("-h", "--help")):  # help names every subcommand
        with suppress(UsageError):
            if words and words[0] in SUBCOMMANDS and "--" not in named:  # all other words are the subcommand's
                values = vars(_subcommand_parser(words[0]).parse_args(words[1:])) | {"subcommand": words[0]}
            else:
                values = vars(_build_parser(named, with_help=False).parse_args(words))
    if values is None:  # and so do error messages
        values = vars(_build_parser(SUBCOMMANDS, with_help=True).parse_args(words))
    if values.get("subcommand") is None:
        values["subcommand"] = "shell"
    return values


def whole_parser() -> argparse.ArgumentParser:
    """The whole grammar with its help, for what is made from it."""
    return _build_parser(SUBCOMMANDS, with_help=True, listed=True)


def _build_parser(only: Container[str], *, with_help: bool, listed: bool = False) -> _Parser:
    """The grammar with some of the subcommands: to declare them all takes a quarter of the shell's start."""
    parser = _Parser(
        prog="tdvfsh",
        usage="tdvfsh [SUBCOMMAND] [OPTION ...]",
        description=f"A UEFI shell over a virtual Intel TDX trust domain.\n\n{_overview()}" if with_help else None,
        epilog=f"{_EXAMPLES}\n{_exit_status(_OF_ALL)}",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    _add_td_options(parser, use_of(""), with_help=with_help)
    _add_shell_options(parser)
    _add_output_options(parser)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument(
        "-c", dest="commands", metavar="COMMAND", action="append", help="run a shell command (repeatable)"
    )
    parser.add_argument(
        "--json",
        dest="td_json",
        action="store_true",
        help="print the TD and its accepts at boot as JSON",
    )
    subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", prog="tdvfsh")
    for name, subcommand in SUBCOMMANDS.items():
        if name in only:
            _add_subcommand(subparsers.add_parser, name, subcommand, use_of(name), with_help=with_help, listed=listed)
    return parser


def _subcommand_parser(name: str) -> _Parser:
    """The grammar of what follows a subcommand, without help."""
    return _add_subcommand(
        lambda name, **more: _Parser(**more), name, SUBCOMMANDS[name], use_of(name), with_help=False, listed=False
    )


def _add_subcommand(
    add_parser: Callable[..., Any], name: str, subcommand: Subcommand, use: Use, *, with_help: bool, listed: bool
) -> _Parser:
    summary = subcommand.summary
    parser: _Parser = add_parser(
        name,
        **({"help": summary} if listed else {}),  # the overview lists the subcommands by task
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {subcommand.example}\n\n{_exit_status(subcommand)}",
        formatter_class=_Help,
        allow_abbrev=False,
    )
    if subcommand.td:
        _add_td_options(parser, use, with_help=with_help)
    _add_output_options(parser)
    if subcommand.shell:
        _add_shell_options(parser, suppress=True)
    subcommand.declare(parser)
    has_actions = subcommand.actions or any(isinstance(one, argparse._SubParsersAction) for one in parser._actions)
    if not has_actions or subcommand.alone:
        parser.add_argument("--json", action="store_true", help="print JSON: one object with its schema's name")
    if subcommand.actions:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=not subcommand.alone)
        for action, declared in subcommand.actions.items():
            _add_subcommand(
                actions.add_parser,
                action,
                declared._replace(fails=subcommand.fails),
                use,
                with_help=with_help,
                listed=True,
            )
    return parser


def _overview() -> str:
    """The subcommands by what users come for."""
    lines = ["subcommands ('tdvfsh SUBCOMMAND --help' has the options of one):"]
    for task in TASKS:
        named = {name: one.summary for name, one in SUBCOMMANDS.items() if one.task == task}
        if named:
            lines += ["", *([f" {task}:"] if task else [])]
        for name, summary in named.items():
            from textwrap import wrap

            first, *more = wrap(summary, _columns() - 15)
            lines += [f"  {name:<10} {first}", *(f"{'':13}{line}" for line in more)]
    return "\n".join(lines)


def _exit_status(subcommand: Subcommand) -> str:
    """What the exit status of a subcommand means."""
    text = EXIT_STATUS.format(fails=f"{subcommand.fails}; or " if subcommand.fails else "")
    return text.replace("  0     success\n", f"  {subcommand.status}; else\n") if subcommand.status else text


def _add_td_options(parser: _Parser, use: Use, *, with_help: bool) -> None:
    """The TD options. They have no defaults: a subcommand must not reset what stands before it.

    Args:
        parser: What takes them.
        use: How they are used by what takes them.
        with_help: Whether help is read, and not only words.
    """
    group = parser.add_argument_group("TD options")
    for option in OPTIONS.values():
        applies = with_help and option.name not in use.without
        text = _help_of(option, use) if applies else argparse.SUPPRESS
        if isinstance(option, Switch):
            flags = ((f"--{option.spelling}", True, text), (f"--no-{option.spelling}", False, option.off))
            for flag, value, said in flags:
                group.add_argument(
                    flag, dest=option.name, action="store_const", const=value, default=argparse.SUPPRESS,
                    help=said if applies else text,
                )  # fmt: skip
            continue
        group.add_argument(
            f"--{option.spelling}",
            dest=option.name,
            metavar=f"{option.form}[,{option.form}...]" if option.name in use.several else option.form,
            action="append" if option.repeats else "store",
            default=argparse.SUPPRESS,
            help=text,
        )


def _add_output_options(parser: _Parser) -> None:
    parser.add_argument(
        "--color", metavar="WHEN", choices=COLOUR_CHOICES, default=argparse.SUPPRESS,
        help=f"colours in results: {', '.join(COLOUR_CHOICES)} (default auto: on a terminal, unless NO_COLOR is set)",
    )  # fmt: skip
    parser.add_argument(
        NO_CONFIG, dest="no_config", action="store_true", default=argparse.SUPPRESS,
        help="leave out the defaults of your own, in config.toml (Linux: ~/.config/tdvfsh)",
    )  # fmt: skip


def _help_of(option: Option[Any, Any], use: Use) -> str:
    several = "; several with commas between them" if option.name in use.several else ""
    line = option.line()
    if option.name in use.usual:
        line = line.replace(f"(default {option.default})", f"(default {use.usual[option.name]})")
    return f"{line}{several}".replace("%", "%%")


def _add_shell_options(parser: _Parser, suppress: bool = False) -> None:
    group = parser.add_argument_group("shell options")
    missing = argparse.SUPPRESS if suppress else None
    for number in range(FILE_SYSTEMS):
        text = "host folder or disk image of FS0: (default: the current folder), FS1: (default: fetched images) …"
        group.add_argument(
            f"--fs{number}", metavar="DIR", default=missing, help=text if number == 0 else argparse.SUPPRESS
        )
    no = argparse.SUPPRESS if suppress else False
    group.add_argument("--fs0-write", action="store_true", default=no, help="let the shell write to FS0:")
    group.add_argument(
        "--engine", choices=("model", "cpu"), default=missing, help="cpu really runs the images that are started"
    )
    group.add_argument("--record", metavar="FILE", default=missing, help="write a transcript for 'tdvfsh replay'")
    group.add_argument("--cast", metavar="FILE", default=missing, help="write an asciicast for demos")
