"""The command line's grammar."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Container, Sequence
from contextlib import suppress
from functools import cache
from typing import Any, Final, NoReturn

from tdvfsh import __version__
from tdvfsh.cli.arguments import FILE_SYSTEMS, TD_DEFAULTS, Default
from tdvfsh.cli.subcommands import SUBCOMMANDS, Subcommand
from tdvfsh.errors import UsageError

_EPILOG: Final = """\
examples:
  tdvfsh demo                                        the whole story on real images
  tdvfsh boot vmlinuz --initrd initrd.img --memory 2G --accept 512M --on-demand service
  tdvfsh compare vmlinuz --initrd initrd.img         every option side by side
  tdvfsh -c memmap                                   one shell command in a lazily accepted TD
  tdvfsh run scripts/tour.nsh                        a script
"""
_COLUMNS: Final = 80


class _Help(argparse.RawDescriptionHelpFormatter):
    """Knows the terminal's width: argparse looks it up anew for every option, and imports shutil to do so."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


@cache
def _columns() -> int:
    with suppress(KeyError, ValueError):
        if columns := max(int(os.environ["COLUMNS"]), 0):
            return columns
    with suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or _COLUMNS  # type: ignore[union-attr]
    return _COLUMNS


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see '{self.prog} --help')")


def parse_words(words: Sequence[str]) -> dict[str, Any]:
    """The values of a command line, by name.

    Raises:
        UsageError: It cannot be understood.
    """
    values = None
    named = frozenset(words)
    if named.isdisjoint(("-h", "--help")):  # help names every subcommand
        with suppress(UsageError):
            values = vars(_build_parser(named).parse_args(words))
    if values is None:  # and so does what is said of a mistake
        values = vars(_build_parser(SUBCOMMANDS).parse_args(words))
    if values.get("subcommand") is None:
        values["subcommand"] = "shell"
    return values


def _build_parser(only: Container[str]) -> _Parser:
    """The grammar with some of the subcommands: to declare them all takes a quarter of the shell's start."""
    parser = _Parser(
        prog="tdvfsh",
        description="A UEFI shell over a virtual Intel TDX trust domain.",
        epilog=_EPILOG,
        formatter_class=_Help,
        parents=[_td_options(), _shell_options()],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tdvfsh {__version__}")
    parser.add_argument(
        "-c", dest="commands", metavar="COMMAND", action="append", help="run a shell command (repeatable)"
    )
    parser.add_argument(
        "--json",
        dest="td_json",
        action="store_true",
        help="print the TD and its accepts at boot as JSON",
    )
    subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND")
    for name, subcommand in SUBCOMMANDS.items():
        if name in only:
            _add_subcommand(subparsers, name, subcommand)
    return parser


def _add_subcommand(subparsers: Any, name: str, subcommand: Subcommand) -> None:
    # What stands before the subcommand must not be reset by the subcommand's own defaults.
    parents = [_td_options(suppress=True)] if subcommand.td else []
    if subcommand.shell:
        parents.append(_shell_options(suppress=True))
    summary = subcommand.summary
    parser = subparsers.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"example:\n  {subcommand.example}",
        formatter_class=_Help,
        parents=parents,
        allow_abbrev=False,
    )
    subcommand.declare(parser)
    if subcommand.actions:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        for action, declared in subcommand.actions.items():
            _add_subcommand(actions, action, declared)


def _td_options(suppress: bool = False) -> _Parser:
    parser = _Parser(add_help=False, formatter_class=_Help, argument_default=argparse.SUPPRESS if suppress else None)
    group = parser.add_argument_group("TD options")

    def add(option: str, summary: str, metavar: str) -> None:
        default = TD_DEFAULTS[option]
        value = argparse.SUPPRESS if suppress else Default(default)
        group.add_argument(option, default=value, metavar=metavar, help=f"{summary} (default {default})")

    add("--memory", "RAM", "SIZE")
    add("--vcpus", "virtual CPUs", "N")
    add("--gpaw", "guest physical address width", "48|52")
    add("--accept", "accepted at boot: eager, SIZE, presize[:SIZE], below-4g", "POLICY")
    add("--on-demand", "none, allocator, loader, loader-literal, service", "OPTION")
    add("--profile", "edk2 generation: auto, rfc2021, lazy-v2, upstream, bookworm, trixie, sid", "NAME")
    add(
        "--loader",
        "direct, direct-legacy, grub2.06, grub2.12, grub2.12-debian, grub-rh, chainloader, sd-boot",
        "FLOW",
    )
    add(
        "--firmware-model",
        "recorded footprint: auto, MODEL.toml, inteltdx, lazy-v2, ovmf-2022.11, ovmf-2025.02, ovmf-2026.08",
        "NAME",
    )
    add("--host-page-size", "largest page the host maps: 4K or 2M", "SIZE")
    add("--kaslr-seed", "seed of the EFI stub's choice", "N")
    add("--max-ram-below-4g", "QEMU's machine option", "SIZE")
    add("--sept-ve-disable", "touching unaccepted memory leaves the TD instead of raising #VE", "on|off")
    add("--accept-at-exit", "firmware accepts the rest at ExitBootServices: none, unless-objected", "POLICY")
    add("--os-workload", "memory that the OS uses after boot, for the modelled OS side", "SIZE")
    missing = argparse.SUPPRESS if suppress else None
    group.add_argument(
        "--map", metavar="FILE", default=missing, help="start from a map: memmap, efi: mem or e820 lines, TD HOB list"
    )
    group.add_argument("--firmware", metavar="FILE", default=missing, help="OVMF.fd whose TDX metadata makes the TD")
    group.add_argument(
        "--fault", metavar="SPEC", action="append", default=missing, help="fail on purpose, as accept:1=OPERAND_BUSY"
    )
    no_td = argparse.SUPPRESS if suppress else False
    group.add_argument("--no-td", action="store_true", default=no_td, help="a plain VM: nothing is ever unaccepted")
    return parser


def _shell_options(suppress: bool = False) -> _Parser:
    parser = _Parser(add_help=False, formatter_class=_Help)
    group = parser.add_argument_group("shell options")
    missing = argparse.SUPPRESS if suppress else None
    for number in range(FILE_SYSTEMS):
        text = "host folder behind FS0: (default: the current one), FS1: (default: fetched images) …"
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
    return parser
